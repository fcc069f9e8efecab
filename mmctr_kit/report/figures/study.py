"""Figures of a tuning study, from the trials of study.json: their AUC, their PCA dimensions."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator
from numpy.typing import NDArray

from mmctr_kit.report.figures.style import COLOURS, MUTED, SMALL, canvas, colour, short

Trials = Sequence[Mapping[str, Any]]

_MARKERS = "os^Dv*Ph"
_DIMS = ("items.text_dim", "items.image_dim")
_MIN_POINTS = 4
"""A surface is drawn from at least this many points that do not lie on a line."""


def history(trials: Trials) -> Figure:
    """AUC ± SE of each complete trial by its number, and the best so far.

    The colour is the item embedding, if that was searched. Pruned trials are ticks on the axis.
    """
    complete = _complete(trials)
    groups: dict[str, list[Mapping[str, Any]]] = {}
    for trial in complete:
        groups.setdefault(str(trial["params"].get("items.embedding", "trials")), []).append(trial)
    with canvas(2.9) as figure:
        axes = figure.subplots()
        for number, (name, group) in enumerate(groups.items()):
            axes.errorbar(
                [t["number"] for t in group],
                [t["auc"]["value"] for t in group],
                yerr=[t["auc"]["error"] or 0.0 for t in group],
                fmt=_MARKERS[number % len(_MARKERS)],
                markersize=4,
                elinewidth=1.0,
                color=colour(number),
                label=short(name),
            )
        best = sorted(complete, key=lambda t: int(t["number"]))
        axes.step(
            [t["number"] for t in best],
            np.maximum.accumulate([t["auc"]["value"] for t in best]),
            where="post",
            color=MUTED,
            linewidth=1.0,
            label="best so far",
        )
        pruned = [t["number"] for t in trials if t["state"] == "pruned"]
        axes.plot(
            pruned,
            np.zeros(len(pruned)),
            "|",
            color=MUTED,
            markersize=7,
            transform=axes.get_xaxis_transform(),
            clip_on=False,
            label="pruned",
        )
        axes.xaxis.set_major_locator(MaxNLocator(8, integer=True))
        axes.set_xlabel("trial")
        axes.set_ylabel("mean fold AUC")
        figure.legend(loc="outside lower left", ncols=3)
        return figure


def dimensions(trials: Trials) -> Figure | None:
    """Complete trials in the plane of text and image PCA dimensions; larger dots have higher AUC.

    With enough trials there are bands of AUC behind the dots. None if no complete trial has PCA
    dimensions of both modalities.
    """
    trials = [t for t in _complete(trials) if all(key in t["params"] for key in _DIMS)]
    if not trials:
        return None
    x, y = (np.log2([t["params"][key] for t in trials]) for key in _DIMS)
    auc = np.array([t["auc"]["value"] for t in trials])
    with canvas(3.4) as figure:
        axes = figure.subplots()
        levels = np.unique(np.quantile(auc, np.linspace(0.0, 1.0, 7)))
        if _spans_plane(x, y) and len(levels) > 1:
            shades = [f"{COLOURS[0]}{alpha:02x}" for alpha in np.linspace(20, 150, 6).astype(int)]
            axes.tricontourf(x, y, auc, levels=levels, colors=shades[-(len(levels) - 1) :])
        spread = float(np.ptp(auc)) or 1.0
        axes.scatter(x, y, 12 + 60 * (auc - auc.min()) / spread, color=colour(1), zorder=3)
        best = int(auc.argmax())
        axes.annotate(
            f"{auc[best]:.4f}",
            (x[best], y[best]),
            xytext=(6, 6),
            textcoords="offset points",
            fontsize=SMALL,
        )
        axes.use_sticky_edges = False  # bands would end the axes at the outermost trials
        axes.margins(0.1)
        for axis, name in ((axes.xaxis, "text"), (axes.yaxis, "image")):
            axis.set_label_text(f"PCA dimensions of {name}")
            axis.set_major_locator(MaxNLocator(6, integer=True))
            axis.set_major_formatter(FuncFormatter(lambda power, _: f"{2**power:.0f}"))
        return figure


def _spans_plane(x: NDArray[np.float64], y: NDArray[np.float64]) -> bool:
    """Whether there are enough points, and not all on one line, to be joined to triangles."""
    points = np.unique(np.column_stack([x, y]), axis=0)
    return len(points) >= _MIN_POINTS and np.linalg.matrix_rank(points - points.mean(axis=0)) == 2


def _complete(trials: Trials) -> Trials:
    return [t for t in trials if t["state"] == "complete"]
