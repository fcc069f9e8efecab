"""Figures of a study's trials: their history, parallel coordinates, the plane of PCA dimensions."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from mmctr_kit.metrics.estimate import Estimate
from mmctr_kit.metrics.ranks import Floats
from mmctr_kit.report.figures.style import HALO, INK, MUTED, SMALL, canvas, colour, hover, short

Trial = Mapping[str, Any]
Trials = Sequence[Trial]
"""The trials of study.json. The score of one is its mean fold AUC: it has the colour of OOF."""

_AUC = "mean fold AUC"
_ROW_LETTERS = 46
"""How many letters fit beside each other in a figure's width."""
_MARKERS = "os^Dv*Ph"
_DIMS = ("items.text_dim", "items.image_dim")
_MIN_POINTS = 10
"""Bands of AUC are drawn from at least this many points: between fewer they would be invented."""


def complete(trials: Trials) -> Trials:
    """The trials that have a score."""
    return [t for t in trials if t["state"] == "complete"]


def history(trials: Trials) -> Figure:
    """AUC ± SE of each complete trial by its number, and the best so far.

    The marker is the item embedding, if that was searched. Pruned trials are ticks on the axis.
    """
    scored = sorted(complete(trials), key=lambda t: int(t["number"]))
    groups: dict[str, list[Trial]] = {}
    for trial in scored:
        groups.setdefault(str(trial["params"].get("items.embedding", "trials")), []).append(trial)
    with canvas(2.9) as figure:
        axes = figure.subplots()
        for number, (name, group) in enumerate(groups.items()):
            x, y = [t["number"] for t in group], [t["auc"]["value"] for t in group]
            se, marker = [t["auc"]["error"] or 0.0 for t in group], _MARKERS[number % len(_MARKERS)]
            style: Mapping[str, Any] = {"markersize": 4, "elinewidth": 1.0, "label": short(name)}
            axes.errorbar(x, y, yerr=se, fmt=marker, color=colour("OOF"), **style)
            hover(axes, x, y, [describe(t) for t in group])
        numbers = [t["number"] for t in scored]
        best = np.maximum.accumulate([t["auc"]["value"] for t in scored])
        axes.step(numbers, best, where="post", color=MUTED, linewidth=1.0, label="best so far")
        pruned = [t["number"] for t in trials if t["state"] == "pruned"]
        ticks: Mapping[str, Any] = {"markersize": 7, "clip_on": False, "label": "pruned"}
        on_axis = axes.get_xaxis_transform()
        if pruned:  # an empty line would take room below the axis
            axes.plot(pruned, np.zeros(len(pruned)), "|", color=MUTED, transform=on_axis, **ticks)
        axes.xaxis.set_major_locator(MaxNLocator(8, integer=True))
        axes.set_xlabel("trial")
        axes.set_ylabel(_AUC)
        figure.legend(loc="outside lower left", ncols=3)
        return figure


def describe(trial: Trial) -> str:
    """A trial's number, score and settings in one line."""
    settings = ", ".join(f"{key} {value_text(value)}" for key, value in trial["params"].items())
    return f"trial {trial['number']}: {Estimate.from_json(trial['auc'])}; {settings}"


def parallel(trials: Trials, keys: Sequence[str]) -> Figure:
    """Parallel coordinates of the complete trials, from the top down: a row for each key, then AUC.

    A trial is a line through its values; the stronger, the higher its AUC, and the best is heavy.
    A key that a trial does not have interrupts its line.
    """
    scored = sorted(complete(trials), key=lambda t: float(t["auc"]["value"]))
    rows = [*keys, _AUC]
    with canvas(0.3 + 0.66 * len(rows)) as figure:
        axes = figure.subplots()
        places = np.full((len(scored), len(rows)), np.nan)
        for row, key in enumerate(rows):
            values = [_of(trial, key) for trial in scored]
            places[:, row] = _scale(axes, row, short(key, 40), values)
        for rank, line in enumerate(places):
            last = rank == len(scored) - 1
            alpha = 1.0 if last else 0.1 + 0.6 * rank / len(scored)
            style: Mapping[str, Any] = {"linewidth": 2.2 if last else 1.2, "alpha": alpha}
            axes.plot(line, range(len(rows)), color=INK if last else colour("OOF"), **style)
        on_row = np.isfinite(places)
        where = np.argwhere(on_row)
        texts = [describe(scored[i]) for i in where[:, 0]]
        hover(axes, places[on_row].tolist(), where[:, 1].tolist(), texts)
        axes.set_xlim(-0.03, 1.03)
        axes.set_ylim(len(rows) - 0.45, -0.75)
        axes.axis("off")
        return figure


def _of(trial: Trial, key: str) -> Any:
    """The value of a trial in a row of parallel coordinates; None if it has none."""
    return trial["auc"]["value"] if key == _AUC else dict(trial["params"]).get(key)


def _scale(axes: Axes, row: int, name: str, values: Sequence[Any]) -> Floats:
    """Draw the row's line, name and ends; returns the places (trials,) of the values, 0 to 1.

    Numbers that are all positive and span more than a factor of 10 are on a logarithmic scale.
    """
    held = [v for v in values if v is not None]
    numbers = all(isinstance(v, int | float) and not isinstance(v, bool) for v in held)
    if not numbers:  # a list among them can be no key
        values = [None if v is None else value_text(v) for v in values]
    names: list[Any] = sorted({v for v in values if v is not None})
    if numbers:
        log = min(names) > 0 and max(names) > 10 * min(names)
        raw = np.array([np.nan if v is None else float(v) for v in values])
        raw = np.log(raw) if log else raw
        span = float(np.nanmax(raw) - np.nanmin(raw))
        places = (raw - np.nanmin(raw)) / span if span > 0 else 0.5 + 0.0 * raw
        ticks = {0.0: names[0], 1.0: names[-1]} if span > 0 else {0.5: names[0]}
    else:
        at = {v: i / (len(names) - 1) if len(names) > 1 else 0.5 for i, v in enumerate(names)}
        places = np.array([np.nan if v is None else at[v] for v in values])
        ticks = {place: value for value, place in at.items()}
    axes.plot([0, 1], [row, row], color=MUTED, linewidth=0.8)
    axes.text(0, row - 0.28, name, fontsize=SMALL, color=INK, va="center", gid=HALO)
    most = max(4, _ROW_LETTERS // len(ticks))
    for place, value in ticks.items():
        side = "left" if place < 0.2 else "right" if place > 0.8 else "center"
        style: Mapping[str, Any] = {"fontsize": SMALL, "color": MUTED, "ha": side, "va": "center"}
        axes.text(place, row + 0.24, short(value_text(value), most), gid=HALO, **style)
        axes.plot([place], [row], "|", color=MUTED, markersize=6)
    return places


def value_text(value: Any) -> str:
    """A setting's value as text, a number with four significant digits."""
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def dimensions(trials: Trials) -> Figure | None:
    """Complete trials in the plane of text and image PCA dimensions; larger dots have higher AUC.

    With enough trials there are bands of AUC behind the dots. None if no complete trial has PCA
    dimensions of both modalities.
    """
    trials = [t for t in complete(trials) if all(key in t["params"] for key in _DIMS)]
    if not trials:
        return None
    x, y = (np.log2([t["params"][key] for t in trials]) for key in _DIMS)
    auc = np.array([t["auc"]["value"] for t in trials])
    with canvas(3.4) as figure:
        axes = figure.subplots()
        levels = np.unique(np.quantile(auc, np.linspace(0.0, 1.0, 7)))
        if spans_plane(x, y) and len(levels) > 1:
            depths = np.linspace(20, 130, 6).astype(int).tolist()
            shades = [f"{colour('OOF')}{depth:02x}" for depth in depths]
            axes.tricontourf(x, y, auc, levels=levels, colors=shades[-(len(levels) - 1) :])
        spread = float(np.ptp(auc)) or 1.0
        axes.scatter(x, y, 12 + 60 * (auc - auc.min()) / spread, color=colour("OOF"), zorder=3)
        hover(axes, x.tolist(), y.tolist(), [describe(t) for t in trials])
        best = int(auc.argmax())
        number: Mapping[str, Any] = {"textcoords": "offset points", "fontsize": SMALL}
        axes.annotate(f"{auc[best]:.4f}", (x[best], y[best]), xytext=(6, 6), **number)
        axes.use_sticky_edges = False  # bands would end the axes at the outermost trials
        axes.margins(0.1)
        for axis, name in ((axes.xaxis, "text"), (axes.yaxis, "image")):
            axis.set_label_text(f"PCA dimensions of {name}")
            axis.set_major_locator(MaxNLocator(6, integer=True))
            axis.set_major_formatter(FuncFormatter(lambda power, _: f"{2**power:.0f}"))
        return figure


def spans_plane(x: Floats, y: Floats) -> bool:
    """Whether there are enough points, and not all on one line, to be joined to triangles."""
    points = np.unique(np.column_stack([x, y]), axis=0)
    return len(points) >= _MIN_POINTS and np.linalg.matrix_rank(points - points.mean(axis=0)) == 2
