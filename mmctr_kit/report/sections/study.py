"""A tuning study: its finalists, and how far the search flattered itself."""

from collections import Counter
from collections.abc import Mapping
from typing import Any

from mmctr_kit.errors import plural
from mmctr_kit.metrics.estimate import Estimate
from mmctr_kit.report.blocks import Grid, Picture, Section, picture, shown
from mmctr_kit.report.context import Subject
from mmctr_kit.report.figures import study as figures


def study_section(subject: Subject) -> Section | None:
    """None where there is no study of the run's recipe."""
    study = subject.study
    if study is None:
        return None
    states = Counter(str(trial["state"]) for trial in study["trials"])
    counts = ", ".join(f"{n} {state}" for state, n in states.items())
    found = Estimate.from_json(study["search"]["auc"])
    gap = study["optimism"]
    notes = [
        f"The search's best: {shown(found)}, trial {study['search']['best_trial']}, of one seed: "
        "the best of many noisy scores is too high. One seed each, the chosen trial scored "
        f"{abs(gap):.4f} {'lower' if gap > 0 else 'higher'} with new seeds than the search said.",
    ]
    if not study["finalists"][0]["changes"]:
        notes.append("Nothing that was tried is better than the recipe as it is.")
    notes += [f"Left out: {what} ({why})." for what, why in study["left_out"].items()]
    return Section(
        "study",
        "Tuning",
        f"{plural(len(study['trials']), 'trial')} ({counts}) of {study['objective']}, on the same "
        f"{study['folds']} folds. The best few were trained again with new seeds; of these the "
        "best by OOF was chosen, and its valid AUC, which chose nothing, is the score to believe.",
        pictures=_pictures(study),
        grids=[_finalists(study), _changes(study)],
        notes=notes,
    )


def _pictures(study: Mapping[str, Any]) -> list[Picture]:
    complete = [t for t in study["trials"] if t["state"] == "complete"]
    scores = "; ".join(f"trial {t['number']} {t['auc']['value']:.4f}" for t in complete)
    made = [
        picture(
            figures.history(study),
            "study-history",
            "Trials",
            "Bars: one error. Pruned trials are ticks on the axis.",
            f"Mean fold AUC by trial. {scores}.",
        )
    ]
    if study["importance"]:
        shares = "; ".join(f"{key} {share:.2f}" for key, share in study["importance"].items())
        made.append(
            picture(
                figures.importance(study),
                "study-importance",
                "What mattered",
                "The share of each key in what set good trials apart (PED-ANOVA), roughly, of "
                f"{plural(len(complete), 'complete trial')}.",
                f"Shares of importance. {shares}.",
            )
        )
    if figures.has_dimensions(study):
        made.append(
            picture(
                figures.dimensions(study),
                "study-dimensions",
                "PCA dimensions",
                "Larger dots and darker bands: higher AUC. The number is the best trial's.",
                f"Mean fold AUC over PCA dimensions of text and image. {scores}.",
            )
        )
    return made


def _finalists(study: Mapping[str, Any]) -> Grid:
    """What compares stands side by side: one seed's numbers, then those of the seeds' mean."""
    seeds = study["final_seeds"]
    names, n = ", ".join(map(str, seeds)), len(seeds)
    columns = ["finalist", "one seed, in the search", "one seed, again", f"mean of {n} seeds, OOF"]
    kept = ["searched", "oof_one_seed", "oof", "valid"]
    text = (
        f"Finalists, trained again with seeds {names}. One seed: mean fold AUC of one seed's "
        "models, in the search, and on average of the new seeds. The mean of the seeds' logits is "
        "another, better predictor: it is compared among finalists, not with the search."
    )
    if n == 1:
        columns, text = columns[:-1], f"Finalists, trained again with seed {names}."
        kept.remove("oof")
    rows = [
        (
            f"trial {final['trial']}" + " (chosen)" * (i == 0),
            *(shown(Estimate.from_json(final[name])) for name in kept),
        )
        for i, final in enumerate(study["finalists"])
    ]
    return Grid(text, (*columns, "valid (fold mean)"), rows)


def _changes(study: Mapping[str, Any]) -> Grid:
    finals = study["finalists"]
    keys = dict.fromkeys(key for final in finals for key in final["changes"])
    rows = [(key, *(_value(final["changes"], key) for final in finals)) for key in keys]
    if not rows:
        rows = [("nothing", *("–" for _ in finals))]
    columns = ("key", *(f"trial {final['trial']}" for final in finals))
    caption = "What finalists have other than the recipe; – as the recipe."
    return Grid(caption, columns, rows, left=len(columns))


def _value(params: Mapping[str, Any], key: str) -> str:
    if key not in params:
        return "–"
    value = params[key]
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
