"""A matrix of rank correlations between runs."""

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from numpy.typing import NDArray

from mmctr_kit.report.figures.style import INK, MUTED, SMALL, canvas, colour, short


def correlations(names: Sequence[str], matrix: NDArray[np.float64]) -> Figure:
    """A square for each pair of runs; matrix (runs, runs), rank correlations.

    The tint goes from the smallest to the largest correlation between two runs; squares have their
    numbers if they are large enough.
    """
    count = len(names)
    low, high = _range(matrix)
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


def _range(matrix: NDArray[np.float64]) -> tuple[float, float]:
    pairs = matrix[~np.eye(len(matrix), dtype=np.bool_)]
    if len(pairs) == 0:
        return 0.0, 1.0
    low, high = float(pairs.min()), float(pairs.max())
    return (low, high) if high - low > 1e-3 else (low - 0.05, low + 0.05)
