"""The scores of a run's single models: what each fold model of each seed is worth by itself."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Self

from mmctr_kit.metrics.auc import auc_with_se
from mmctr_kit.metrics.estimate import Estimate
from mmctr_kit.metrics.ranks import Floats, Ids, Labels
from mmctr_kit.runs.run import Run

Labelled = tuple[Labels, Ids]
"""Labels and users of rows, (rows,) each."""


@dataclass(frozen=True)
class FoldModel:
    """One model of a run.

    ``fold`` is its number as text, "all" for a model of the whole train split. ``oof`` is its AUC
    on the ``oof_rows`` of its fold, ``valid`` its AUC on the valid split; None without such rows.
    It was trained for ``epochs``, and its weights are those of ``best_epoch``.
    """

    fold: str
    seed: int
    oof_rows: int
    oof: Estimate | None
    valid: Estimate | None
    epochs: int
    best_epoch: int

    def to_json(self) -> dict[str, Any]:
        """The entry in metrics.json."""
        aucs = {"oof": self.oof, "valid": self.valid}
        return asdict(self) | {name: auc and auc.to_json() for name, auc in aucs.items()}

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> Self:
        """The model that :meth:`to_json` stored."""
        return cls(**{**stored, **{name: Estimate.find(stored, name) for name in ("oof", "valid")}})


def score_model(
    name: str,
    logits: Mapping[str, Floats],
    oof: Labelled,
    valid: Labelled,
    epochs: Sequence[Mapping[str, Any]],
) -> FoldModel:
    """Score the model in the folder ``name``, FOLD-SEED.

    ``logits`` has its ``oof`` and ``valid``, ``oof`` and ``valid`` are their rows; ``epochs`` as
    in :meth:`Run.epochs`. Raises ValueError if rows that are there have one label only.
    """
    fold, _, seed = name.partition("-")
    scored = {"oof": oof, "valid": valid}
    aucs = {
        split: auc_with_se(label, logits[split], user) if len(label) else None
        for split, (label, user) in scored.items()
    }
    best = max((int(line["epoch"]) for line in epochs if line["best"]), default=len(epochs))
    return FoldModel(fold, int(seed), len(oof[0]), aucs["oof"], aucs["valid"], len(epochs), best)


def fold_models(run: Run) -> tuple[FoldModel, ...]:
    """The models of a finished run, by fold, then by seed.

    None for a blend and an import, which have no models of their own, and for a run that an
    earlier version wrote.
    """
    stored = run.metrics.get("fold_models", ())
    return tuple(FoldModel.from_json(entry) for entry in stored)
