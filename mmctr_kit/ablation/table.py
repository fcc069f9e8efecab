"""The table of an ablation: each change's paired effect on AUC, and each model's cost."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mmctr_kit.ablation.status import TABLE, cost_file
from mmctr_kit.ablation.variants import BASE, Ablation, shown
from mmctr_kit.cv.model_cost import Measured, on_this_machine
from mmctr_kit.cv.plan import Plan
from mmctr_kit.cv.run import predictions_of
from mmctr_kit.data.folds import UNPREDICTED
from mmctr_kit.files import write_json
from mmctr_kit.metrics.auc import AucSample, Influence
from mmctr_kit.metrics.estimate import Estimate, recipe_estimate, required_z
from mmctr_kit.metrics.ranks import Ids, Labels
from mmctr_kit.runs.lineage import note_finished
from mmctr_kit.runs.slices import slice_columns
from mmctr_kit.runs.writer import RunWriter

SEEDS_FOR_A_CLAIM = 3


@dataclass(frozen=True)
class Row:
    """A run of the ablation.

    ``oof`` (single fold models) and ``valid`` (mean of the fold models) are AUCs for the base, and
    changes against the base for any other run; ``before`` is the base's value of the changed key.
    ``cold`` and ``warm`` are OOF on the rows with rare and with frequent targets: cold is the
    quarter of the rows whose targets have the fewest train rows, and all whose target no row of
    the other folds has. None if a fold's part has one label only.

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
    cold: Estimate | None
    warm: Estimate | None
    claim: str | None
    cost: Measured

    @property
    def aucs(self) -> dict[str, Estimate | None]:
        """The row's AUCs by the name of their field."""
        return {"oof": self.oof, "valid": self.valid, "cold": self.cold, "warm": self.warm}

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
            asdict(r) | {k: e and e.to_json() for k, e in r.aucs.items()} | {"errors": r.z}
            for r in self.rows
        ]
        return {**asdict(self), "rows": rows}


def tabulate(ablation: Ablation, folder: Path, costs: Mapping[str, Measured]) -> Table:
    """Make the table of an ablation whose runs are finished, and write ``ablation.json``."""
    plan, compared = ablation.base, _Compared(ablation.base, folder / BASE)
    measured_on = on_this_machine(plan).resources
    needed = required_z(2 * len(ablation.variants))
    rows = []
    for variant in ablation.variants:
        change = compared.change(folder / variant.name)
        settings = tuple(f"{k}={shown(v)}" for k, v in variant.settings.items())
        about = (variant.name, variant.what, shown(variant.before), settings)
        claim = _claim(change[0], len(plan.recipe.seeds), needed)
        rows.append(Row(*about, *change, claim, costs[variant.name]))
    rows.sort(key=lambda row: -row.oof.value)
    table = Table(
        recipe=plan.recipe.name,
        seeds=plan.recipe.seeds,
        folds=plan.recipe.folds.count,
        device=measured_on.device,
        threads=measured_on.threads,
        needed=needed,
        rows=(Row(BASE, "", "", (), *compared.base_aucs(), None, costs[BASE]), *rows),
        left_out=ablation.left_out,
    )
    write_json(folder / TABLE, table.as_json())
    runs = [folder / name for name in ablation.runs]
    note_finished(folder, (TABLE, *map(cost_file, ablation.runs)), runs)
    return table


Aucs = tuple[Estimate, Estimate, Estimate | None, Estimate | None]
"""The AUCs of a :class:`Row`: OOF, valid, cold and warm."""


class _Compared:
    """The base's logits on the parts of the rows, ready for comparison with other runs."""

    def __init__(self, plan: Plan, path: Path) -> None:
        train, valid = plan.data.train, plan.data.valid
        self.plan = plan
        folds = plan.recipe.folds.assign(train)
        popularity = slice_columns(plan.data, folds).columns["popularity"].codes["oof"]
        some = folds != UNPREDICTED
        label, user, fold = train.labels()[some], train.user_id[some], folds[some]
        self.cold, self.warm = np.flatnonzero(popularity <= 1), np.flatnonzero(popularity > 1)
        self.samples = (
            AucSample(label, user, fold),
            AucSample(valid.labels(), valid.user_id),
            *(_sample(label[i], user[i], fold[i]) for i in (self.cold, self.warm)),
        )
        self.base = self._influences(path)

    def base_aucs(self) -> Aucs:
        """The base's AUCs."""
        pairs = zip(self.samples, self.base, strict=True)
        return _four([[s.estimate(i) for i in each] if s else [] for s, each in pairs])

    def change(self, path: Path) -> Aucs:
        """The AUCs of the run at ``path`` less those of the base."""
        three = zip(self.samples, self._influences(path), self.base, strict=True)
        return _four([list(map(s.difference, a, b)) if s else [] for s, a, b in three])

    def _influences(self, path: Path) -> list[list[Influence]]:
        """Influences, one per seed; on valid they are of the fold models' mean logits."""
        influences: list[list[Influence]] = [[] for _ in self.samples]
        for seed in self.plan.recipe.seeds:
            predictions = predictions_of(self.plan, RunWriter(path), (seed,))
            assert predictions.oof is not None
            logit = predictions.oof.logit
            logits = (logit, predictions.valid_mean(), logit[self.cold], logit[self.warm])
            for sample, of_part, scores in zip(self.samples, influences, logits, strict=True):
                if sample is not None:
                    of_part.append(sample.influence(scores))
        return influences


def _four(by_seed: Sequence[Sequence[Estimate]]) -> Aucs:
    """Over seeds, the mean of OOF, valid, cold and warm; None for a part without estimates."""
    oof, valid, cold, warm = (_over_seeds(each) if each else None for each in by_seed)
    assert oof is not None
    assert valid is not None
    return oof, valid, cold, warm


def _sample(labels: Labels, users: Ids, fold: Ids) -> AucSample | None:
    """The rows as a sample; None if there are none, or a fold lacks a label and so has no AUC."""
    try:
        return AucSample(labels, users, fold) if len(labels) else None
    except ValueError:
        return None


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
