"""Numbers beside their errors, one a line: a dot with a bar of 95 %."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.figure import Figure

from mmctr_kit.metrics.estimate import Estimate
from mmctr_kit.report.figures.style import INK, MUTED, canvas, colour, short

INTERVAL = 1.96
"""Errors that a bar reaches on either side: 95 % of a normal distribution."""


@dataclass(frozen=True)
class Dots:
    """One colour of dots: as many estimates as the figure has lines, None where one has none."""

    label: str
    estimates: Sequence[Estimate | None]


def dots(
    names: Sequence[str],
    series: Sequence[Dots],
    axis: str,
    reference: float | None = None,
    marked: Sequence[bool] = (),
    marks_bad: bool = False,
) -> Figure:
    """A line for each name, from the top, with a dot and its 95 % bar for each of the series.

    ``reference`` draws a vertical line; the names of ``marked`` lines stand out, in red
    where that is bad news.
    """
    height = 0.55 + 0.21 * len(names) + (0.25 if len(series) > 1 else 0.0)
    with canvas(max(height, 1.2)) as figure:
        axes = figure.subplots()
        spread = 0.3 / max(1, len(series))
        for place, one in enumerate(series):
            shift = (place - (len(series) - 1) / 2) * spread
            known = [(i, e) for i, e in enumerate(one.estimates) if e is not None]
            axes.errorbar(
                [e.value for _, e in known],
                [i + shift for i, _ in known],
                xerr=[INTERVAL * e.se if math.isfinite(e.se) else 0.0 for _, e in known],
                fmt="os^D"[place % 4],
                markersize=4,
                elinewidth=1.4,
                color=colour(place),
                label=one.label,
            )
        if reference is not None:
            axes.axvline(reference, color=MUTED, linewidth=1.0)
        axes.set_yticks(range(len(names)), [short(n) for n in names])
        axes.set_ylim(len(names) - 0.5, -0.5)
        axes.grid(False, axis="y")
        axes.tick_params(axis="y", length=0)
        axes.spines["left"].set_visible(False)
        axes.locator_params(axis="x", nbins=4)
        axes.set_xlabel(axis)
        for label, stands_out in zip(axes.get_yticklabels(), marked, strict=False):
            label.set_fontweight("bold" if stands_out else "normal")
            label.set_color((colour(7) if marks_bad else INK) if stands_out else MUTED)
        if len(series) > 1:
            figure.legend(loc="outside lower left", ncols=len(series))
        return figure
