"""The tuning section: a study's trials and finalists, and how optimistic the search was."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from mmctr_kit.errors import plural
from mmctr_kit.metrics.estimate import Estimate
from mmctr_kit.report.blocks import (
    Picture,
    Section,
    Table,
    by_key,
    estimate_text,
    flatten,
    picture,
)
from mmctr_kit.report.context import ReportContext
from mmctr_kit.report.figures.rows import bars
from mmctr_kit.report.figures.trials import (
    Trial,
    Trials,
    complete,
    dimensions,
    history,
    parallel,
    value_text,
)

MIN_TRIALS = 20
"""From fewer complete trials the importance of settings is hardly more than chance."""
_MOST_KEYS = 12
_MOST_ROWS = 7
"""How many settings parallel coordinates show."""
_FEW = 8
"""How many trials are shown unfolded."""


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
        tables=[*_trials(study), _finalists(study), _changes(study)],
        notes=notes,
    )


def _pictures(study: Mapping[str, Any]) -> Iterator[Picture]:
    trials = complete(study["trials"])
    scores = "; ".join(f"trial {t['number']} {t['auc']['value']:.4f}" for t in trials)
    caption = "Bars: one standard error. Pruned trials are ticks on the axis."
    says = f"Mean fold AUC by trial. {scores}."
    yield picture(history(study["trials"]), "study-history", "Trials", caption, says)
    shares = dict(list(study["importance"].items())[:_MOST_KEYS])
    if shares:
        figure = bars(list(shares), np.array(list(shares.values())), "share of importance", 30)
        caption = f"PED-ANOVA, from {plural(len(trials), 'complete trial')}."
        if len(trials) < MIN_TRIALS:
            caption += f" Unreliable: with fewer than {MIN_TRIALS} trials it is mostly chance."
        says = "Importance. " + "; ".join(f"{key} {x:.2f}" for key, x in shares.items()) + "."
        yield picture(figure, "study-importance", "Parameter importance", caption, says)
    keys = _varied(trials, list(study["importance"]))
    if keys and len(trials) > 1:
        caption = (
            "A line is a trial: the stronger its colour, the higher its AUC; the best is heavy. "
            "Look for settings through which the strong lines go together."
        )
        says = f"Settings of each trial, and mean fold AUC. {scores}."
        yield picture(
            parallel(trials, keys), "study-parallel", "Parallel coordinates", caption, says
        )
    plane = dimensions(trials)
    if plane is not None:
        caption = "Larger dots, and darker bands if there are enough trials: higher AUC."
        says = f"Mean fold AUC over PCA dimensions of text and image. {scores}."
        yield picture(plane, "study-dimensions", "PCA dimensions", caption, says)


def _varied(trials: Trials, first: Sequence[str]) -> list[str]:
    """The settings in which trials differ, the most important first, at most ``_MOST_ROWS``."""
    keys = dict.fromkeys([*first, *(key for trial in trials for key in trial["params"])])
    values = {key: {str(t["params"].get(key)) for t in trials} for key in keys}
    return [key for key in keys if len(values[key]) > 1][:_MOST_ROWS]


def _trials(study: Mapping[str, Any]) -> list[Table]:
    """The best trials and, folded away, all of them."""
    keys = list(dict.fromkeys(key for t in study["trials"] for key in t["params"]))
    columns = ("trial", "state", "mean fold AUC", *(key.rpartition(".")[2] for key in keys))
    scored = sorted(complete(study["trials"]), key=lambda t: -float(t["auc"]["value"]))
    others = [t for t in study["trials"] if t["state"] != "complete"]
    rows = [_trial(trial, keys) for trial in (*scored, *others)]
    caption = "One seed each. ± is one standard error."
    if len(rows) <= 2 * _FEW:
        return [Table(f"Trials, the best first. {caption}", columns, rows, left=2)]
    return [
        Table(f"The best {_FEW} trials. {caption}", columns, rows[:_FEW], left=2),
        Table(caption, columns, rows, left=2, folded=f"All {len(rows)} trials"),
    ]


def _trial(trial: Trial, keys: Sequence[str]) -> tuple[str, ...]:
    params = dict(trial["params"])
    settings = (value_text(params[key]) if key in params else "–" for key in keys)
    auc = estimate_text(Estimate.find(trial, "auc"))
    return (str(trial["number"]), str(trial["state"]), auc, *settings)


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
