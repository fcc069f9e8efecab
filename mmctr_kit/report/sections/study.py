"""The tuning section: a study's trials and finalists, and how optimistic the search was."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from mmctr_kit.errors import plural
from mmctr_kit.metrics.estimate import Estimate
from mmctr_kit.metrics.ranks import Floats
from mmctr_kit.report.blocks import Picture, Section, Table, by_key, flatten, picture
from mmctr_kit.report.context import ReportContext
from mmctr_kit.report.figures.rows import bars
from mmctr_kit.report.figures.style import COLOURS, MUTED, SMALL, canvas, colour, short

_MOST_KEYS = 12
_MARKERS = "os^Dv*Ph"
_DIMS = ("items.text_dim", "items.image_dim")
_MIN_POINTS = 4
"""A surface is drawn from at least this many points that do not lie on a line."""

Trials = Sequence[Mapping[str, Any]]
"""The trials of study.json."""


def study_section(context: ReportContext) -> Section | None:
    """The study of the run's recipe, if there is one."""
    study = context.study
    if study is None:
        return None
    states = Counter(str(trial["state"]) for trial in study["trials"])
    counts = ", ".join(f"{n} {state}" for state, n in states.items())
    best = Estimate.from_json(study["search"]["auc"])
    gap = study["optimism"]
    notes = [
        f"Best of the search: trial {study['search']['best_trial']}, {best} with one seed. The "
        "best of many noisy scores is too high: with new seeds the chosen trial scored "
        f"{abs(gap):.4f} {'lower' if gap > 0 else 'higher'} per seed than in the search.",
    ]
    if not study["finalists"][0]["changes"]:
        notes.append("No trial was better than the base recipe.")
    notes += [f"Left out: {what} ({why})." for what, why in study["left_out"].items()]
    return Section(
        "study",
        "Tuning",
        f"{plural(len(study['trials']), 'trial')} ({counts}); objective: {study['objective']}, on "
        f"the same {study['folds']} folds. The best few were trained again with new seeds, and the "
        "best of these by OOF was chosen. Its valid AUC was not used for selection: the unbiased "
        "estimate.",
        pictures=tuple(_pictures(study)),
        tables=[_finalists(study), _changes(study)],
        notes=notes,
    )


def _pictures(study: Mapping[str, Any]) -> Iterator[Picture]:
    complete = _complete(study["trials"])
    scores = "; ".join(f"trial {t['number']} {t['auc']['value']:.4f}" for t in complete)
    caption = "Bars: one standard error. Pruned trials are ticks on the axis."
    says = f"Mean fold AUC by trial. {scores}."
    yield picture(history(study["trials"]), "study-history", "Trials", caption, says)
    shares = dict(list(study["importance"].items())[:_MOST_KEYS])
    if shares:
        figure = bars(list(shares), np.array(list(shares.values())), "share of importance", 30)
        caption = f"PED-ANOVA, from {plural(len(complete), 'complete trial')}; a rough estimate."
        says = "Importance. " + "; ".join(f"{key} {x:.2f}" for key, x in shares.items()) + "."
        yield picture(figure, "study-importance", "Parameter importance", caption, says)
    plane = dimensions(study["trials"])
    if plane is not None:
        caption = "Larger dots and darker bands: higher AUC. The number is the best trial's."
        says = f"Mean fold AUC over PCA dimensions of text and image. {scores}."
        yield picture(plane, "study-dimensions", "PCA dimensions", caption, says)


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
            x, y = [t["number"] for t in group], [t["auc"]["value"] for t in group]
            se, marker = [t["auc"]["error"] or 0.0 for t in group], _MARKERS[number % len(_MARKERS)]
            style: Mapping[str, Any] = {"markersize": 4, "elinewidth": 1.0, "label": short(name)}
            axes.errorbar(x, y, yerr=se, fmt=marker, color=colour(number), **style)
        ordered = sorted(complete, key=lambda t: int(t["number"]))
        numbers = [t["number"] for t in ordered]
        best = np.maximum.accumulate([t["auc"]["value"] for t in ordered])
        axes.step(numbers, best, where="post", color=MUTED, linewidth=1.0, label="best so far")
        pruned = [t["number"] for t in trials if t["state"] == "pruned"]
        ticks: Mapping[str, Any] = {"markersize": 7, "clip_on": False, "label": "pruned"}
        on_axis = axes.get_xaxis_transform()
        axes.plot(pruned, np.zeros(len(pruned)), "|", color=MUTED, transform=on_axis, **ticks)
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
        number: Mapping[str, Any] = {"textcoords": "offset points", "fontsize": SMALL}
        axes.annotate(f"{auc[best]:.4f}", (x[best], y[best]), xytext=(6, 6), **number)
        axes.use_sticky_edges = False  # bands would end the axes at the outermost trials
        axes.margins(0.1)
        for axis, name in ((axes.xaxis, "text"), (axes.yaxis, "image")):
            axis.set_label_text(f"PCA dimensions of {name}")
            axis.set_major_locator(MaxNLocator(6, integer=True))
            axis.set_major_formatter(FuncFormatter(lambda power, _: f"{2**power:.0f}"))
        return figure


def _spans_plane(x: Floats, y: Floats) -> bool:
    """Whether there are enough points, and not all on one line, to be joined to triangles."""
    points = np.unique(np.column_stack([x, y]), axis=0)
    return len(points) >= _MIN_POINTS and np.linalg.matrix_rank(points - points.mean(axis=0)) == 2


def _complete(trials: Trials) -> Trials:
    return [t for t in trials if t["state"] == "complete"]


def _finalists(study: Mapping[str, Any]) -> Table:
    """Comparable scores stand side by side: those of one seed, then those of the seeds' mean."""
    seeds = study["final_seeds"]
    n = len(seeds)
    columns = {
        "searched": "one seed, in the search",
        "oof_one_seed": "one seed, again",
        "oof": f"mean of {n} seeds, OOF",
        "valid": "valid (fold mean)",
    }
    caption = f"Finalists, trained again with {plural(n, 'seed')} ({', '.join(map(str, seeds))})."
    if n == 1:
        del columns["oof"]
    else:
        caption += (
            " One seed: mean fold AUC of one seed's models, in the search, and averaged over the "
            "new seeds. The mean of the seeds' logits is a better predictor: compare it among "
            "finalists, not with the search."
        )
    rows = []
    for i, final in enumerate(study["finalists"]):
        name = f"trial {final['trial']}" + " (chosen)" * (i == 0)
        rows.append((name, *(str(Estimate.from_json(final[key])) for key in columns)))
    return Table(caption, ("finalist", *columns.values()), rows)


def _changes(study: Mapping[str, Any]) -> Table:
    each = {f"trial {final['trial']}": flatten(final["changes"]) for final in study["finalists"]}
    rows = by_key(each) or [("none", *("–" for _ in each))]
    caption = "Finalist settings that differ from the base recipe (– = unchanged)."
    return Table(caption, ("key", *each), rows, left=1 + len(each))
