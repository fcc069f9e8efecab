"""Learning curves by fold."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from mmctr_kit.report.blocks import Picture, Section, picture
from mmctr_kit.report.context import Subject
from mmctr_kit.report.figures.curves import FoldCurve, learning
from mmctr_kit.runs.run import Run

MOST_RUNS = 8


def learning_section(subject: Subject) -> Section | None:
    """A figure for each cv run that the subject is, or is made of."""
    made = [found for run in subject.parts if (found := _figure(run)) is not None]
    if not made:
        return None
    notes = []
    if len(made) > MOST_RUNS:
        notes.append(f"The first {MOST_RUNS} of {len(made)} runs; the others have their own pages.")
    return Section(
        "learning",
        "Learning curves",
        "Each fold model chooses its snapshot (the dot) on users held out of its own training "
        "part. Curves that still rise at their end ask for more epochs; a loss that falls while "
        "the AUC falls is overfitting.",
        made[:MOST_RUNS],
        notes=notes,
    )


def _figure(run: Run) -> Picture | None:
    folds = {name: lines for name, lines in run.epochs().items() if lines}
    if not folds:
        return None
    curves = [_curve(name, lines) for name, lines in folds.items()]
    says = "; ".join(
        f"{c.label}: AUC {c.auc[0]:.4f} after epoch 1, best {c.auc[c.kept - 1]:.4f} at epoch "
        f"{c.kept} of {len(c.auc)}"
        for c in curves
    )
    return picture(
        learning(curves),
        f"learning-{run.name}",
        run.name,
        f"{len(curves)} fold models; dots mark the snapshots kept.",
        f"Held-out AUC and training loss by epoch. {says}.",
    )


def _curve(name: str, lines: Sequence[Mapping[str, Any]]) -> FoldCurve:
    fold, _, seed = name.partition("-")
    auc = np.array([line["holdout_auc"] for line in lines], np.float64)
    kept = max((line["epoch"] for line in lines if line["best"]), default=len(lines))
    loss = np.array([line["train_loss"] for line in lines], np.float64)
    return FoldCurve(f"fold {fold}, seed {seed}", loss, auc, int(kept))
