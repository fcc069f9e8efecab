"""The section of learning curves by fold."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from mmctr_kit.report.blocks import Picture, Section, picture
from mmctr_kit.report.context import ReportContext
from mmctr_kit.report.figures.curves import FoldCurve, learning
from mmctr_kit.runs.run import Run

MOST_RUNS = 8


def learning_section(context: ReportContext) -> Section | None:
    """A figure for each cv run that the page is about."""
    pictures = [made for run in context.trained if (made := _figure(run)) is not None]
    if not pictures:
        return None
    notes = []
    if len(pictures) > MOST_RUNS:
        notes.append(f"The first {MOST_RUNS} of {len(pictures)} runs; each run has its own page.")
    return Section(
        "learning",
        "Learning curves",
        "Each fold model saves its best snapshot (the dot), chosen on users held out of its "
        "training rows. If AUC still rises at the end, train longer; if it falls while the "
        "training loss falls, the model overfits.",
        pictures[:MOST_RUNS],
        notes=notes,
    )


def _figure(run: Run) -> Picture | None:
    curves = [_curve(name, lines) for name, lines in run.epochs().items() if lines]
    if not curves:
        return None
    says = "; ".join(
        f"{c.label}: AUC {c.auc[0]:.4f} after epoch 1, best {c.auc[c.best - 1]:.4f} at epoch "
        f"{c.best} of {len(c.auc)}"
        for c in curves
    )
    return picture(
        learning(curves),
        f"learning-{run.name}",
        run.name,
        f"{len(curves)} fold models; dots mark the saved snapshots.",
        f"Held-out AUC and training loss by epoch. {says}.",
    )


def _curve(name: str, lines: Sequence[Mapping[str, Any]]) -> FoldCurve:
    fold, _, seed = name.partition("-")
    auc = np.array([line["holdout_auc"] for line in lines], np.float64)
    best = max((line["epoch"] for line in lines if line["best"]), default=len(lines))
    loss = np.array([line["train_loss"] for line in lines], np.float64)
    return FoldCurve(f"fold {fold}, seed {seed}", loss, auc, int(best))
