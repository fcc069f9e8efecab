"""Where the time went."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from mmctr_kit.report.figures.style import canvas, colour, short


def phases(names: Sequence[str], seconds: Mapping[str, NDArray[np.float64]], unit: str) -> Figure:
    """A bar a run, from the top, made of its phases; seconds: phase -> (runs,), in ``unit``."""
    with canvas(1.0 + 0.25 * len(names)) as figure:
        axes = figure.subplots()
        begin = np.zeros(len(names))
        for place, (phase, values) in enumerate(seconds.items()):
            axes.barh(
                range(len(names)), values, left=begin, height=0.6, color=colour(place), label=phase
            )
            begin = begin + values
        axes.set_yticks(range(len(names)), [short(n) for n in names])
        axes.set_ylim(len(names) - 0.5, -0.5)
        axes.grid(False, axis="y")
        axes.tick_params(axis="y", length=0)
        axes.set_xlabel(unit)
        figure.legend(loc="outside lower left", ncols=5, handletextpad=0.4, handlelength=1.0)
        return figure
