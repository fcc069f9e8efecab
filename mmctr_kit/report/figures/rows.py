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
from mmctr_kit.report.figures.style import INK, MUTED, SMALL, canvas, colour, short

INTERVAL = 1.96
"""Standard errors on either side of a 95 % confidence interval."""


def dots(
    names: Sequence[str],
    series: Mapping[str, Sequence[Estimate | None]],
    axis: str,
    reference: float | None = None,
    marked: Sequence[bool] = (),
    marks_bad: bool = False,
) -> Figure:
    """In each row a dot and its 95 % interval for each of the series; None for a row without.

    ``series`` are estimates (names,) by label, each of one colour. ``reference`` draws a vertical
    line. The names of ``marked`` rows are bold, and red if the mark means something bad.
    """
    with canvas(max(0.55 + 0.21 * len(names) + 0.25 * (len(series) > 1), 1.2)) as figure:
        axes = _rows(figure, names, axis)
        step = 0.3 / max(1, len(series))
        for number, (label, estimates) in enumerate(series.items()):
            shift = (number - (len(series) - 1) / 2) * step
            known = [(i, e) for i, e in enumerate(estimates) if e is not None]
            x, y = [e.value for _, e in known], [i + shift for i, _ in known]
            xerr = [INTERVAL * e.se if math.isfinite(e.se) else 0.0 for _, e in known]
            style: Mapping[str, Any] = {"markersize": 4, "elinewidth": 1.4, "label": label}
            axes.errorbar(x, y, xerr=xerr, fmt="os^D"[number % 4], color=colour(number), **style)
        if reference is not None:
            axes.axvline(reference, color=MUTED, linewidth=1.0)
        axes.spines["left"].set_visible(False)
        axes.locator_params(axis="x", nbins=4)
        for text, mark in zip(axes.get_yticklabels(), marked, strict=False):
            text.set_fontweight("bold" if mark else "normal")
            text.set_color((colour(7) if marks_bad else INK) if mark else MUTED)
        if len(series) > 1:
            figure.legend(loc="outside lower left", ncols=len(series))
        return figure


def bars(names: Sequence[str], values: Floats, axis: str, longest: int = 24) -> Figure:
    """A bar for each name, shortened to ``longest``, and its value beside it; values (names,)."""
    with canvas(max(0.6 + 0.23 * len(names), 1.2)) as figure:
        axes = _rows(figure, names, axis, longest)
        axes.barh(range(len(names)), values, height=0.6, color=colour(0))
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
            tint = colour(number)
            axes.barh(range(len(names)), values, left=begin, height=0.6, color=tint, label=label)
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
            square = Rectangle(corner, 0.94, 0.94, color=colour(0), alpha=depth, linewidth=0)
            axes.add_patch(square)
            if count <= 9:
                text = f"{matrix[i, j]:.2f}".replace("0.", ".", 1)
                axes.text(j, i, text, ha="center", va="center", fontsize=SMALL, color=INK)
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
