"""What a blend is made of: weights, and how alike its runs rank."""

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from numpy.typing import NDArray

from mmctr_kit.report.figures.style import INK, MUTED, SMALL, canvas, colour, short


def weights(names: Sequence[str], values: NDArray[np.float64]) -> Figure:
    """A bar a run, from the top; values (runs,)."""
    with canvas(0.6 + 0.23 * len(names)) as figure:
        axes = figure.subplots()
        axes.barh(range(len(names)), values, height=0.6, color=colour(0))
        for place, value in enumerate(values):
            side, by = ("left", 3) if value >= 0 else ("right", -3)
            axes.annotate(
                f"{value:.2f}",
                (value, place),
                xytext=(by, 0),
                textcoords="offset points",
                va="center",
                ha=side,
                fontsize=SMALL,
            )
        axes.set_yticks(range(len(names)), [short(n) for n in names])
        axes.set_ylim(len(names) - 0.5, -0.5)
        axes.set_xlim(min(0.0, 1.2 * values.min()), 1.2 * max(values.max(), 1e-3))
        axes.grid(False, axis="y")
        axes.tick_params(axis="y", length=0)
        axes.set_xlabel("weight")
        return figure


def correlations(names: Sequence[str], matrix: NDArray[np.float64]) -> Figure:
    """A square for each pair of runs; matrix (runs, runs), rank correlations.

    The tint goes from the smallest to the largest correlation of two runs; squares have their
    numbers where they are large enough.
    """
    count = len(names)
    low, high = _range(matrix)
    with canvas(min(4.4, 1.2 + 0.3 * count)) as figure:
        axes = figure.subplots()
        for i in range(count):
            for j in range(count):
                if i == j:
                    continue
                value = matrix[i, j]
                depth = 0.08 + 0.62 * float(np.clip((value - low) / (high - low), 0, 1))
                square = Rectangle(
                    (j - 0.47, i - 0.47), 0.94, 0.94, color=colour(0), alpha=depth, linewidth=0
                )
                axes.add_patch(square)
                if count <= 9:
                    text = f"{value:.2f}".replace("0.", ".", 1)
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


def _range(matrix: NDArray[np.float64]) -> tuple[float, float]:
    apart = matrix[~np.eye(len(matrix), dtype=np.bool_)]
    if len(apart) == 0:
        return 0.0, 1.0
    low, high = float(apart.min()), float(apart.max())
    return (low, high) if high - low > 1e-3 else (low - 0.05, low + 0.05)
