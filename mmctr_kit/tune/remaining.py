"""How long a study's finalists will take, from how long their trials took."""

from collections.abc import Sequence

from optuna.trial import FrozenTrial

from mmctr_kit.recipe import Recipe
from mmctr_kit.runs import Run, RunWriter
from mmctr_kit.tune.finalists import best_trials, final_seeds
from mmctr_kit.tune.folder import StudyFolder


def finalists_seconds(
    folder: StudyFolder, trials: Sequence[FrozenTrial], wanted: int, seeds: int, side_by_side: int
) -> float | None:
    """About the seconds that ``wanted`` finalists take, each a trial's folds once a seed, so many
    fold models ``side_by_side``. The best trials so far stand for those that will be chosen.
    Finalists that are finished take none. None where no trial is complete."""
    best = best_trials(list(trials), wanted)
    took = {t.number: t.duration.total_seconds() for t in best if t.duration is not None}
    if not took:
        return None
    unknown = (wanted - len(took)) * sum(took.values()) / len(took)
    known = sum(s for number, s in took.items() if not Run(folder.finalist(number)).finished)
    return (known + unknown) * seeds / side_by_side


def jobs_waiting(
    folder: StudyFolder, trials: Sequence[FrozenTrial], base: Recipe, wanted: int, seeds: int
) -> int:
    """The fold models of the finalists that are still to be fitted."""
    chosen = [folder.finalist(t.number) for t in best_trials(list(trials), wanted)]
    return sum(
        not RunWriter(path).fold(fold, seed).finished
        for path in chosen
        if not Run(path).finished
        for fold in range(base.folds.count)
        for seed in final_seeds(base, seeds)
    )
