"""Curves: learning, ROC, calibration, and the distribution of scores."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from mmctr_kit.metrics.estimate import INTERVAL_Z
from mmctr_kit.metrics.ranks import Floats
from mmctr_kit.report.figures.style import (
    DASHES,
    MUTED,
    canvas,
    colour,
    dashes,
    hover,
    marker,
    shade,
)


@dataclass(frozen=True)
class FoldCurve:
    """One fold model's epochs: training ``loss`` and held-out ``auc``, (epochs,) each.

    ``best`` is the epoch (from 1) whose snapshot was saved.
    """

    label: str
    loss: Floats
    auc: Floats
    best: int


Reliability = tuple[Floats, Floats, Floats]
"""Mean prediction, mean label and the standard error of the latter, (bins,) each."""


def learning(curves: Sequence[FoldCurve]) -> Figure:
    """Held-out AUC by epoch above, training loss below; a dot marks the saved snapshot."""
    with canvas(3.6) as figure:
        rounds = -(-len(curves) // len(DASHES))
        above, below = figure.subplots(2, 1, sharex=True, height_ratios=(3, 2))
        for number, curve in enumerate(curves):
            epochs = np.arange(1, len(curve.auc) + 1)
            tint, alpha = colour("fold"), shade(number // len(DASHES), rounds)
            style: Mapping[str, Any] = {"color": tint, "alpha": alpha, "linestyle": dashes(number)}
            above.plot(epochs, curve.auc, label=curve.label, **style)
            best = curve.auc[curve.best - 1]
            above.plot([curve.best], [best], "o", color=tint, alpha=alpha, markersize=5)
            below.plot(epochs, curve.loss, **style)
            for axes, values in ((above, curve.auc), (below, curve.loss)):
                texts = [f"{curve.label}, epoch {n}: {v:.4f}" for n, v in enumerate(values, 1)]
                hover(axes, epochs, values, texts)
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


def roc(curves: Mapping[str, tuple[Floats, Floats]]) -> Figure:
    """Each curve (false positive rate, true positive rate) by its label, and the diagonal."""
    with canvas(4.1) as figure:
        axes = _square(figure, 0.01, 1.0, "false positive rate", "true positive rate")
        for number, (label, (x, y)) in enumerate(curves.items()):
            axes.plot(x, y, color=colour(label), label=label, linestyle=dashes(number))
            rates = np.linspace(0.0, 1.0, 21)
            highs = np.interp(rates, x, y)
            points = zip(rates, highs, strict=True)
            name = label.split(":")[0]
            texts = [f"{name}: {b:.1%} of positives above {a:.0%} of negatives" for a, b in points]
            hover(axes, rates, highs, texts)
        axes.legend(loc="lower right")
        return figure


def calibration(curves: Mapping[str, Reliability]) -> Figure:
    """Mean label by mean prediction, with 95 % intervals, for each label; and the diagonal."""
    with canvas(4.1) as figure:
        top = 1.05 * max(max(x.max(), y.max()) for x, y, _ in curves.values())
        axes = _square(figure, 0.0, top, "mean prediction of the bin", "share of positives")
        for number, (label, (prediction, mean, se)) in enumerate(curves.items()):
            line: Mapping[str, Any] = {"linewidth": 1.2, "linestyle": dashes(number)}
            point: Mapping[str, Any] = {"fmt": marker(label), "markersize": 4, "label": label}
            yerr = INTERVAL_Z * np.nan_to_num(se)
            axes.errorbar(prediction, mean, yerr=yerr, color=colour(label), **line, **point)
            points = zip(prediction, mean, strict=True)
            texts = [f"{label}: predicted {p:.3f}, positives {m:.3f}" for p, m in points]
            hover(axes, prediction, mean, texts)
        figure.legend(loc="outside lower left", ncols=2)
        return figure


def distributions(edges: Floats, shares: Mapping[str, Floats]) -> Figure:
    """Histograms of logits: the share of rows in each bin, (bins,), by label; edges (bins + 1,)."""
    with canvas(2.9) as figure:
        axes = figure.subplots()
        for number, (label, share) in enumerate(shares.items()):
            tint, style = colour(label), dashes(number)
            axes.stairs(share, edges, color=tint, alpha=0.14, fill=True)
            axes.stairs(share, edges, color=tint, linestyle=style, linewidth=1.5, label=label)
            bins = zip(edges[:-1], edges[1:], share, strict=True)
            texts = [f"{label}, {a:.2f} to {b:.2f}: {part:.1%} of rows" for a, b, part in bins]
            hover(axes, (edges[:-1] + edges[1:]) / 2, share, texts)
        axes.set_xlim(edges[0], edges[-1])
        axes.set_ylim(0, None)
        axes.set_xlabel("logit")
        axes.set_ylabel("share of rows")
        figure.legend(loc="outside lower left", ncols=3)
        return figure


def _square(figure: Figure, margin: float, top: float, x: str, y: str) -> Axes:
    """Square axes from 0 to ``top`` with a dotted diagonal."""
    axes = figure.subplots()
    axes.plot([0, top], [0, top], color=MUTED, linewidth=0.8, linestyle=(0, (2, 2)))
    axes.set_xlim(-margin, top + margin)
    axes.set_ylim(-margin, top + margin)
    axes.set_aspect("equal")
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    return axes
