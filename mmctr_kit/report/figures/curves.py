"""Learning curves and ROC."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from mmctr_kit.report.figures.style import MUTED, canvas, colour, dashes


@dataclass(frozen=True)
class FoldCurve:
    """One fold model's epochs: ``loss`` of training rows, ``auc`` of the held-out users' rows,
    (epochs,) each, and the epoch (from 1) whose snapshot was ``kept``."""

    label: str
    loss: NDArray[np.float64]
    auc: NDArray[np.float64]
    kept: int


def learning(curves: Sequence[FoldCurve]) -> Figure:
    """Held-out AUC by epoch above, training loss below; a dot marks the snapshot kept."""
    with canvas(3.6) as figure:
        above, below = figure.subplots(2, 1, sharex=True, height_ratios=(3, 2))
        for place, curve in enumerate(curves):
            epochs = np.arange(1, len(curve.auc) + 1)
            how: Mapping[str, Any] = {"color": colour(place), "linestyle": dashes(place)}
            above.plot(epochs, curve.auc, label=curve.label, **how)
            kept = curve.auc[curve.kept - 1]
            above.plot([curve.kept], [kept], "o", color=colour(place), markersize=5)
            below.plot(epochs, curve.loss, **how)
        above.set_ylabel("held-out AUC")
        below.set_ylabel("training loss")
        below.set_xlabel("epoch")
        for axes in (above, below):
            axes.yaxis.set_major_locator(MaxNLocator(5))
        below.xaxis.set_major_locator(MaxNLocator(8, integer=True, min_n_ticks=1))
        if len(curves) > 1:
            handles, labels = above.get_legend_handles_labels()
            figure.legend(handles[:9], labels[:9], loc="outside lower left", ncols=3)
        return figure


def roc(curves: Mapping[str, tuple[NDArray[np.float64], NDArray[np.float64]]]) -> Figure:
    """Each curve (false positive rate, true positive rate) by its label, and the diagonal."""
    with canvas(4.1) as figure:
        axes = figure.subplots()
        axes.plot([0, 1], [0, 1], color=MUTED, linewidth=0.8, linestyle=(0, (2, 2)))
        for place, (label, (x, y)) in enumerate(curves.items()):
            style = ("-", (0, (4, 1.5)))[place % 2]
            axes.plot(x, y, color=colour(place), label=label, linestyle=style)
        axes.set_xlim(-0.01, 1.01)
        axes.set_ylim(-0.01, 1.01)
        axes.set_aspect("equal")
        axes.set_xlabel("false positive rate")
        axes.set_ylabel("true positive rate")
        axes.legend(loc="lower right")
        return figure
