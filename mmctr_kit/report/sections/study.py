"""The tuning section: a study's finalists, and how optimistic the search was."""

from collections import Counter
from collections.abc import Mapping
from typing import Any

import numpy as np

from mmctr_kit.errors import plural
from mmctr_kit.metrics.estimate import Estimate
from mmctr_kit.report.blocks import Picture, Section, Table, picture
from mmctr_kit.report.context import ReportContext
from mmctr_kit.report.figures.rows import bars
from mmctr_kit.report.figures.study import dimensions, has_dimensions, history

_MOST_KEYS = 12


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
        pictures=_pictures(study),
        tables=[_finalists(study), _changes(study)],
        notes=notes,
    )


def _pictures(study: Mapping[str, Any]) -> list[Picture]:
    complete = [t for t in study["trials"] if t["state"] == "complete"]
    scores = "; ".join(f"trial {t['number']} {t['auc']['value']:.4f}" for t in complete)
    pictures = [
        picture(
            history(study),
            "study-history",
            "Trials",
            "Bars: one standard error. Pruned trials are ticks on the axis.",
            f"Mean fold AUC by trial. {scores}.",
        )
    ]
    shares = dict(list(study["importance"].items())[:_MOST_KEYS])
    if shares:
        pictures.append(
            picture(
                bars(list(shares), np.array(list(shares.values())), "share of importance", 30),
                "study-importance",
                "Parameter importance",
                f"PED-ANOVA, from {plural(len(complete), 'complete trial')}; a rough estimate.",
                "Importance. " + "; ".join(f"{key} {x:.2f}" for key, x in shares.items()) + ".",
            )
        )
    if has_dimensions(study):
        pictures.append(
            picture(
                dimensions(study),
                "study-dimensions",
                "PCA dimensions",
                "Larger dots and darker bands: higher AUC. The number is the best trial's.",
                f"Mean fold AUC over PCA dimensions of text and image. {scores}.",
            )
        )
    return pictures


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
    rows = [
        (
            f"trial {final['trial']}" + " (chosen)" * (i == 0),
            *(str(Estimate.from_json(final[name])) for name in columns),
        )
        for i, final in enumerate(study["finalists"])
    ]
    return Table(caption, ("finalist", *columns.values()), rows)


def _changes(study: Mapping[str, Any]) -> Table:
    finals = study["finalists"]
    keys = dict.fromkeys(key for final in finals for key in final["changes"])
    rows = [(key, *(_value(final["changes"], key) for final in finals)) for key in keys]
    columns = ("key", *(f"trial {final['trial']}" for final in finals))
    caption = "Finalist settings that differ from the base recipe (– = unchanged)."
    return Table(caption, columns, rows or [("none", *("–" for _ in finals))], left=len(columns))


def _value(changes: Mapping[str, Any], key: str) -> str:
    if key not in changes:
        return "–"
    value = changes[key]
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
