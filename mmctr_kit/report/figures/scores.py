"""Scores against labels: reliability, and how the scores are spread."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from mmctr_kit.report.figures.estimates import INTERVAL
from mmctr_kit.report.figures.style import DASHES, MUTED, canvas, colour


@dataclass(frozen=True)
class Reliability:
    """(bins,) each: mean prediction, mean label and the error of the latter."""

    prediction: NDArray[np.float64]
    label: NDArray[np.float64]
    error: NDArray[np.float64]


def calibration(found: Mapping[str, Reliability]) -> Figure:
    """Mean label by mean prediction, with 95 % bars, of each of the named; and the diagonal."""
    with canvas(4.1) as figure:
        axes = figure.subplots()
        top = 1.05 * max(max(r.prediction.max(), r.label.max()) for r in found.values())
        axes.plot([0, top], [0, top], color=MUTED, linewidth=0.8, linestyle=(0, (2, 2)))
        for place, (name, one) in enumerate(found.items()):
            axes.errorbar(
                one.prediction,
                one.label,
                yerr=INTERVAL * np.nan_to_num(one.error),
                fmt="os"[place % 2],
                markersize=4,
                linewidth=1.2,
                linestyle=("-", (0, (4, 1.5)))[place % 2],
                color=colour(place),
                label=name,
            )
        axes.set_xlim(0, top)
        axes.set_ylim(0, top)
        axes.set_aspect("equal")
        axes.set_xlabel("mean prediction of the bin")
        axes.set_ylabel("share of positives")
        axes.legend(loc="upper left")
        return figure


def distributions(edges: NDArray[np.float64], shares: Mapping[str, NDArray[np.float64]]) -> Figure:
    """How scores are spread: for each name the share of its rows in every bin, (bins,).

    edges (bins + 1,): of the bins, in logits.
    """
    with canvas(2.9) as figure:
        axes = figure.subplots()
        for place, (name, share) in enumerate(shares.items()):
            tint, style = colour(place), DASHES[place % len(DASHES)]
            axes.stairs(share, edges, color=tint, alpha=0.14, fill=True)
            axes.stairs(share, edges, color=tint, linestyle=style, linewidth=1.5, label=name)
        axes.set_xlim(edges[0], edges[-1])
        axes.set_ylim(0, None)
        axes.set_xlabel("logit")
        axes.set_ylabel("share of rows")
        figure.legend(loc="outside lower left", ncols=3)
        return figure
