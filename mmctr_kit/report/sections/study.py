"""A tuning study: its finalists, and how far the search flattered itself."""

from collections import Counter
from collections.abc import Mapping
from typing import Any

from mmctr_kit.report.parts import Grid, Section, shown
from mmctr_kit.report.subject import Subject
from mmctr_kit.scores import estimate_from


def study_section(subject: Subject) -> Section | None:
    """None where there is no study of the run's recipe."""
    study = subject.study
    if study is None:
        return None
    states = Counter(str(trial["state"]) for trial in study["trials"])
    counts = ", ".join(f"{n} {state}" for state, n in states.items())
    found = estimate_from(study["search"]["auc"])
    notes = [
        f"The search's best: OOF AUC {shown(found)}, trial {study['search']['best_trial']}. New "
        f"seeds of the chosen trial scored {study['optimism']:.4f} lower than the search said: the "
        "best of many noisy scores is too high.",
    ]
    notes += [f"Left out: {what} ({why})." for what, why in study["left_out"].items()]
    return Section(
        "study",
        "Tuning",
        f"{len(study['trials'])} trials ({counts}) of {study['objective']}, on the same "
        f"{study['folds']} folds. The best few were trained again with new seeds; of these the "
        "best by OOF was chosen, and its valid AUC, which chose nothing, is the score to believe.",
        grids=[_finalists(study)],
        notes=notes,
    )


def _finalists(study: Mapping[str, Any]) -> Grid:
    rows = [
        (
            f"trial {final['trial']}" + " (chosen)" * (i == 0),
            ", ".join(f"{k}={v}" for k, v in final["params"].items()) or "the recipe's own",
            shown(estimate_from(final["searched"])),
            shown(estimate_from(final["oof"])),
            shown(estimate_from(final["valid"])),
        )
        for i, final in enumerate(study["finalists"])
    ]
    seeds = ", ".join(str(s) for s in study["final_seeds"])
    caption = f"Finalists, trained again with seeds {seeds}."
    columns = ("finalist", "what it changes", "search's OOF", "OOF", "valid")
    return Grid(caption, columns, rows, left=2)
