"""The table of an ablation: each change's paired effect on AUC, and each model's cost."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from mmctr_kit.ablation.variants import BASE, Ablation, shown
from mmctr_kit.cv.model_cost import Measured
from mmctr_kit.cv.plan import Plan
from mmctr_kit.cv.run import predictions_of
from mmctr_kit.data.folds import user_folds
from mmctr_kit.files import write_json
from mmctr_kit.metrics.auc import AucSample, Influence
from mmctr_kit.metrics.estimate import Estimate, recipe_estimate, required_z
from mmctr_kit.runs.writer import RunWriter

SEEDS_FOR_A_CLAIM = 3


@dataclass(frozen=True)
class Row:
    """A run of the ablation.

    ``oof`` (single fold models) and ``valid`` (mean of the fold models) are AUCs for the base, and
    changes against the base for any other run; ``before`` is the base's value of the changed key.

    A change is the mean over seeds, each paired with the same seed of the base. Its standard error
    is that of sampling users, and with several seeds also counts the variance between seeds.
    ``claim`` is 'better' or 'worse' if the OOF change exceeds the required number of standard
    errors, else empty, and None with fewer than three seeds.
    """

    name: str
    what: str
    before: str
    settings: tuple[str, ...]
    oof: Estimate
    valid: Estimate
    claim: str | None
    cost: Measured

    @property
    def is_base(self) -> bool:
        return self.name == BASE

    @property
    def z(self) -> float | None:
        """The OOF change in standard errors; None for the base or an unknown standard error."""
        z = self.oof.z(0.0)
        return z if not self.is_base and math.isfinite(z) else None


@dataclass(frozen=True)
class Table:
    """The base, then the variants by OOF change; a claim takes ``needed`` standard errors."""

    recipe: str
    seeds: tuple[int, ...]
    folds: int
    device: str
    threads: int
    needed: float
    rows: tuple[Row, ...]
    left_out: Mapping[str, str]

    @property
    def claims(self) -> bool:
        """Whether there are enough seeds to call a change better or worse."""
        return len(self.seeds) >= SEEDS_FOR_A_CLAIM

    def as_json(self) -> dict[str, Any]:
        rows = [
            {**asdict(r), "oof": r.oof.to_json(), "valid": r.valid.to_json(), "errors": r.z}
            for r in self.rows
        ]
        return {**asdict(self), "rows": rows}


def tabulate(ablation: Ablation, folder: Path, costs: Mapping[str, Measured]) -> Table:
    """Make the table of an ablation whose runs are finished, and write ``ablation.json``."""
    plan, compared = ablation.base, _Compared(ablation.base, folder / BASE)
    needed = required_z(2 * len(ablation.variants))
    rows = []
    for variant in ablation.variants:
        oof, valid = compared.change(folder / variant.name)
        settings = tuple(f"{k}={shown(v)}" for k, v in variant.settings.items())
        about = (variant.name, variant.what, shown(variant.before), settings)
        claim = _claim(oof, len(plan.recipe.seeds), needed)
        rows.append(Row(*about, oof, valid, claim, costs[variant.name]))
    rows.sort(key=lambda row: -row.oof.value)
    base_oof, base_valid = compared.base_aucs()
    table = Table(
        recipe=plan.recipe.name,
        seeds=plan.recipe.seeds,
        folds=plan.recipe.folds.count,
        device=plan.resources.device,
        threads=plan.resources.threads,
        needed=needed,
        rows=(Row(BASE, "", "", (), base_oof, base_valid, None, costs[BASE]), *rows),
        left_out=ablation.left_out,
    )
    write_json(folder / "ablation.json", table.as_json())
    return table


class _Compared:
    """The base's logits on train (OOF) and valid, ready for comparison with other runs."""

    def __init__(self, plan: Plan, path: Path) -> None:
        train, valid, folds = plan.data.train, plan.data.valid, plan.recipe.folds
        self.plan = plan
        fold = user_folds(train.user_id, folds.count, folds.seed)
        of_oof = AucSample(train.labels(), train.user_id, fold)
        self.samples = (of_oof, AucSample(valid.labels(), valid.user_id))
        self.base = self._influences(path)

    def base_aucs(self) -> list[Estimate]:
        """The base's AUCs on OOF and on valid."""
        pairs = zip(self.samples, self.base, strict=True)
        return [_over_seeds(list(map(sample.estimate, each))) for sample, each in pairs]

    def change(self, path: Path) -> list[Estimate]:
        """The AUCs of the run at ``path`` less those of the base, on OOF and on valid."""
        three = zip(self.samples, self._influences(path), self.base, strict=True)
        return [_over_seeds(list(map(s.difference, these, base))) for s, these, base in three]

    def _influences(self, path: Path) -> tuple[list[Influence], list[Influence]]:
        """Influences on OOF, and on valid with the fold models' mean logits, one per seed."""
        oof, valid = list[Influence](), list[Influence]()
        for seed in self.plan.recipe.seeds:
            predictions = predictions_of(self.plan, RunWriter(path), (seed,))
            assert predictions.oof is not None
            oof.append(self.samples[0].influence(predictions.oof.logit))
            valid.append(self.samples[1].influence(predictions.valid_mean()))
        return oof, valid


def _over_seeds(each: Sequence[Estimate]) -> Estimate:
    """The mean over seeds; its standard error counts the variance between several seeds."""
    return each[0] if len(each) == 1 else recipe_estimate(each)


def _claim(change: Estimate, seeds: int, needed: float) -> str | None:
    if seeds < SEEDS_FOR_A_CLAIM:
        return None
    z = change.z(0.0)
    if z > needed:
        return "better"
    return "worse" if z < -needed else ""
