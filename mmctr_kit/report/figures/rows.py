"""Figures with a row for each name: dots with 95 % intervals, bars, and a matrix of runs."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from mmctr_kit.metrics.estimate import Estimate
from mmctr_kit.metrics.ranks import Floats
from mmctr_kit.report.figures.style import (
    INK,
    MUTED,
    SMALL,
    canvas,
    colour,
    hover,
    marker,
    shade,
    short,
)


def dots(
    names: Sequence[str],
    series: Mapping[str, Sequence[Estimate | None]],
    axis: str,
    reference: float | None = None,
    marked: Sequence[bool] = (),
    marks_bad: bool = False,
) -> Figure:
    """In each row a dot and its 95 % interval for each of the series; None for a row without.

    ``series`` are estimates (names,) by label, each of one colour: AUCs, whose intervals stay
    between 0 and 1, or differences, with a vertical line at their ``reference``. The names of
    ``marked`` rows are bold, and red if the mark means something bad.
    """
    several = len(series) > 1
    height = 0.55 + (0.21 + 0.05 * several) * len(names) + 0.25 * several
    with canvas(max(height, 1.2)) as figure:
        axes = _rows(figure, names, axis)
        step = 0.44 / max(1, len(series))
        for number, (label, estimates) in enumerate(series.items()):
            shift = (number - (len(series) - 1) / 2) * step
            known = [(i, e) for i, e in enumerate(estimates) if e is not None]
            x, y = [e.value for _, e in known], [i + shift for i, _ in known]
            xerr = np.array([_reach(e, reference is not None) for _, e in known]).reshape(-1, 2).T
            style: Mapping[str, Any] = {"markersize": 4, "elinewidth": 1.4, "label": label}
            axes.errorbar(x, y, xerr=xerr, fmt=marker(label), color=colour(label), **style)
            shown = f", {label}" if several else ""
            values = [e.signed() if reference is not None else str(e) for _, e in known]
            texts = [f"{names[i]}{shown}: {v}" for (i, _), v in zip(known, values, strict=True)]
            hover(axes, x, y, texts)
        if reference is not None:
            axes.axvline(reference, color=MUTED, linewidth=1.0)
        axes.spines["left"].set_visible(False)
        axes.locator_params(axis="x", nbins=4)
        for text, mark in zip(axes.get_yticklabels(), marked, strict=False):
            text.set_fontweight("bold" if mark else "normal")
            text.set_color((colour("bad") if marks_bad else INK) if mark else MUTED)
        if several:
            figure.legend(loc="outside lower left", ncols=len(series))
        return figure


def _reach(estimate: Estimate, difference: bool) -> tuple[float, float]:
    """How far the 95 % interval reaches to the left and to the right; 0 if that is not known."""
    low, high = estimate.interval() if difference else estimate.share_interval()
    if not (math.isfinite(low) and math.isfinite(high)):
        return 0.0, 0.0
    # Rounding may put a value that is itself a bound beyond its interval.
    return max(0.0, estimate.value - low), max(0.0, high - estimate.value)


def bars(names: Sequence[str], values: Floats, axis: str, longest: int = 24) -> Figure:
    """A bar for each name, shortened to ``longest``, and its value beside it; values (names,)."""
    with canvas(max(0.6 + 0.23 * len(names), 1.2)) as figure:
        axes = _rows(figure, names, axis, longest)
        axes.barh(range(len(names)), values, height=0.6, color=colour("amount"))
        texts = [f"{name}: {value:.4g}" for name, value in zip(names, values, strict=True)]
        hover(axes, values.tolist(), range(len(names)), texts)
        style: Mapping[str, Any] = {"textcoords": "offset points", "fontsize": SMALL}
        for row, value in enumerate(values):
            side, by = ("left", 3) if value >= 0 else ("right", -3)
            text = f"{value:.2f}"
            axes.annotate(text, (value, row), xytext=(by, 0), va="center", ha=side, **style)
        axes.set_xlim(min(0.0, 1.2 * values.min()), 1.2 * max(values.max(), 1e-3))
        return figure


def stacked(names: Sequence[str], parts: Mapping[str, Floats], axis: str) -> Figure:
    """A bar for each name, made of its parts; parts: label -> (names,)."""
    with canvas(1.0 + 0.25 * len(names)) as figure:
        axes = _rows(figure, names, axis)
        begin = np.zeros(len(names))
        for number, (label, values) in enumerate(parts.items()):
            style: Mapping[str, Any] = {"height": 0.6, "label": label, "linewidth": 0}
            tint, alpha = colour("amount"), shade(number, len(parts))
            axes.barh(range(len(names)), values, left=begin, color=tint, alpha=alpha, **style)
            texts = [f"{n}, {label}: {v:.4g}" for n, v in zip(names, values, strict=True)]
            hover(axes, begin + values / 2, range(len(names)), texts)
            begin = begin + values
        figure.legend(loc="outside lower left", ncols=5, handletextpad=0.4, handlelength=1.0)
        return figure


def correlations(names: Sequence[str], matrix: Floats) -> Figure:
    """A square for each pair of runs; matrix (runs, runs), rank correlations.

    The tint goes from the smallest to the largest correlation between two runs; squares have their
    numbers if they are large enough.
    """
    count = len(names)
    between = matrix[~np.eye(count, dtype=np.bool_)]
    low, high = between.min(initial=1.0), between.max(initial=-1.0)
    if high - low <= 1e-3:
        low, high = low - 0.05, low + 0.05
    with canvas(min(4.4, 1.2 + 0.3 * count)) as figure:
        axes = figure.subplots()
        for i, j in np.argwhere(~np.eye(count, dtype=np.bool_)):
            depth = 0.08 + 0.62 * float(np.clip((matrix[i, j] - low) / (high - low), 0, 1))
            corner = (j - 0.47, i - 0.47)
            square = Rectangle(corner, 0.94, 0.94, color=colour("amount"), alpha=depth, linewidth=0)
            axes.add_patch(square)
            if count <= 9:
                text = f"{matrix[i, j]:.2f}".replace("0.", ".", 1)
                axes.text(j, i, text, ha="center", va="center", fontsize=SMALL, color=INK)
        pairs = np.argwhere(~np.eye(count, dtype=np.bool_)).tolist()
        texts = [f"{names[i]} and {names[j]}: {matrix[i, j]:.3f}" for i, j in pairs]
        hover(axes, [j for _, j in pairs], [i for i, _ in pairs], texts)
        axes.set_xlim(-0.5, count - 0.5)
        axes.set_ylim(count - 0.5, -0.5)
        axes.set_yticks(range(count), [f"{short(n, 20)} {i + 1}" for i, n in enumerate(names)])
        axes.set_xticks(range(count), [str(i + 1) for i in range(count)])
        axes.grid(False)
        axes.tick_params(length=0, colors=MUTED)
        for side in ("left", "bottom"):
            axes.spines[side].set_visible(False)
        return figure


def _rows(figure: Figure, names: Sequence[str], axis: str, longest: int = 24) -> Axes:
    """Axes with the names from the top down, and a label of the horizontal axis."""
    axes = figure.subplots()
    axes.set_yticks(range(len(names)), [short(n, longest) for n in names])
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.grid(False, axis="y")
    axes.tick_params(axis="y", length=0)
    axes.set_xlabel(axis)
    return axes
