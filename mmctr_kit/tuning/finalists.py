"""The finalists: the best trials trained again, with seeds that the search has not seen.

A search's best score is the largest of many noisy scores, so it is too high. Finalists are ordinary
runs on the study's folds. The one with the best OOF is chosen, and its AUC on the official valid
rows, which no choice has used, is the one to report.
"""

import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

from optuna.trial import FrozenTrial, TrialState

from mmctr_kit.cv.executors.base import Executor
from mmctr_kit.cv.fold import Progress
from mmctr_kit.cv.plan import Plan, manifest_of, plan_cv
from mmctr_kit.cv.run import run_cv
from mmctr_kit.data.dataset import ChallengeData
from mmctr_kit.errors import RunError
from mmctr_kit.files import locked, write_whole
from mmctr_kit.metrics.estimate import Estimate
from mmctr_kit.recipe import Recipe, parse_recipe
from mmctr_kit.runs.conflict import changed_environment
from mmctr_kit.runs.run import Run
from mmctr_kit.runs.writer import RunWriter
from mmctr_kit.tuning.folder import ROW_SECONDS, START_SECONDS, StudyFolder
from mmctr_kit.tuning.space import changes
from mmctr_kit.tuning.trial import objective

FinalListener = Callable[[int, Progress], None]
"""Called with a trial's number and the progress of its run."""


@dataclass(frozen=True)
class Finalist:
    """A trial trained again. ``changes`` are its settings that differ from the base recipe.

    ``searched`` is its mean fold AUC in the search, of one seed. The others are of its run:
    ``oof``, the AUC of the mean over seeds; ``one_seed``, the mean over seeds of each seed's AUC,
    which compares with ``searched``; and ``valid``, the AUC of the fold mean.
    """

    number: int
    settings: dict[str, Any]
    changes: dict[str, Any]
    searched: Estimate
    oof: Estimate
    one_seed: Estimate
    valid: Estimate

    @property
    def value(self) -> float:
        """The value by which finalists are ranked."""
        return objective(self.oof)


def final_seeds(recipe: Recipe, count: int) -> tuple[int, ...]:
    """``count`` seeds that no trial was trained with."""
    first = max(recipe.seeds) + 1
    return tuple(range(first, first + count))


def final_recipe(base: Recipe, settings: dict[str, Any], seeds: tuple[int, ...]) -> Recipe:
    """The recipe of a trial's finalist."""
    content = base.changed(settings).resolved()
    content |= {"name": f"{base.name}-tuned", "seeds": list(seeds)}
    return parse_recipe(content, "the recipe")


def best_trials(trials: list[FrozenTrial], count: int) -> list[FrozenTrial]:
    """The best complete trials with different settings; a pruned trial is never among them."""
    complete = [t for t in trials if t.state == TrialState.COMPLETE]
    complete.sort(key=lambda t: (-float(t.values[0]), t.number))
    best: list[FrozenTrial] = []
    for trial in complete:
        if all(trial.user_attrs["settings"] != t.user_attrs["settings"] for t in best):
            best.append(trial)
    return best[:count]


def train_finalists(
    folder: StudyFolder,
    base: Recipe,
    data: ChallengeData,
    executor: Executor,
    count: int,
    seeds: int,
    listen: FinalListener,
) -> list[Finalist]:
    """Train the finalists that are not finished yet; the chosen one comes first.

    If another command trains them, this one waits for it. Writes ``best.yaml``.
    """
    trials = best_trials(folder.study().get_trials(deepcopy=False), count)
    if not trials:
        raise RunError("no trial was completed; run the same command again, with more --trials")
    plans: dict[int, Plan] = {}
    for trial in trials:
        settings = trial.user_attrs["settings"]
        recipe = final_recipe(base, settings, final_seeds(base, seeds))
        plans[trial.number] = plan_cv(recipe, data, executor)
    with locked(folder.path, wait=True):
        for number, plan in plans.items():
            _require_same_run(plan, folder.finalist(number))
        for number, plan in plans.items():
            run_cv(plan, folder.finalist(number), False, partial(listen, number))
    finalists = [_finalist(t, Run(folder.finalist(t.number)), base) for t in trials]
    finalists.sort(key=lambda f: (-f.value, f.number))
    chosen = finalists[0]
    text = _header(folder, chosen) + plans[chosen.number].recipe.to_yaml()
    write_whole(folder.path / "best.yaml", lambda p: p.write_text(text))
    return finalists


def _require_same_run(plan: Plan, path: Path) -> None:
    """Raise RunError if another finalist is at ``path``.

    It must not advise ``--force``, as a run's error does: that would replace the whole study.
    """
    if not path.exists():
        return
    run, manifest = Run(path), manifest_of(plan)
    different = run.manifest.differences(manifest)
    if changed_environment(run, manifest):
        different.append("environment")
    if different:
        raise RunError(
            f"finalist {path} differs in {', '.join(different)}; give --final-seeds and --workers "
            "as before, or delete that folder to train it again"
        )


def _finalist(trial: FrozenTrial, run: Run, base: Recipe) -> Finalist:
    attributes, metrics = trial.user_attrs, run.metrics
    return Finalist(
        number=trial.number,
        settings=attributes["settings"],
        changes=changes(attributes["settings"], base),
        searched=Estimate(attributes["auc"], attributes["error"], attributes["rows"]),
        oof=Estimate.from_json(metrics["oof"]),
        one_seed=Estimate.from_json(metrics["recipe_oof" if len(metrics["seeds"]) > 1 else "oof"]),
        valid=Estimate.from_json(metrics["valid"]),
    )


def _header(folder: StudyFolder, chosen: Finalist) -> str:
    name = folder.path.name.removesuffix(".study")
    return (
        f"# The chosen finalist of study {name}.\n#\n"
        f"#   mmctr-kit cv {shlex.quote(str(folder.path / 'best.yaml'))} --data DATA\n#\n"
        f"# OOF AUC {chosen.oof} (the basis of the choice), valid AUC {chosen.valid} (unbiased).\n"
    )


@dataclass(frozen=True)
class FinalistShape:
    """What every finalist's run is: its folds and seeds, and how many models train in parallel.

    ``rows`` are those of valid and test, which a trial's models do not predict.
    """

    folds: int
    seeds: int
    side_by_side: int
    rows: int

    def seconds(self, trial: FrozenTrial) -> float | None:
        """Estimate the seconds of a trial's finalist, with the start of its worker processes.

        None if the trial's time is not known.
        """
        if trial.duration is None:
            return None
        row, start = (trial.user_attrs.get(k) or 0.0 for k in (ROW_SECONDS, START_SECONDS))
        model = trial.duration.total_seconds() / self.folds + self.rows * row
        rounds = -(-self.folds * self.seeds // self.side_by_side)
        return rounds * model + (start if self.side_by_side > 1 else 0.0)


def finalists_seconds(
    folder: StudyFolder, trials: Sequence[FrozenTrial], wanted: int, shape: FinalistShape
) -> float | None:
    """Estimate the seconds that ``wanted`` finalists still take; None if no trial is complete.

    The best trials so far stand for the finalists. Finished finalists take none.
    """
    best = best_trials(list(trials), wanted)
    took = {t.number: s for t in best if (s := shape.seconds(t)) is not None}
    if not took:
        return None
    unknown = (wanted - len(took)) * sum(took.values()) / len(took)
    return unknown + sum(s for n, s in took.items() if not Run(folder.finalist(n)).finished)


def finished_finalists(folder: StudyFolder, trials: Sequence[FrozenTrial], wanted: int) -> int:
    """How many of the ``wanted`` finalists that the trials choose are trained."""
    return sum(Run(folder.finalist(t.number)).finished for t in best_trials(list(trials), wanted))


def jobs_waiting(
    folder: StudyFolder, trials: Sequence[FrozenTrial], base: Recipe, wanted: int, seeds: int
) -> int:
    """How many fold models of the finalists are still to be fitted."""
    chosen = [folder.finalist(t.number) for t in best_trials(list(trials), wanted)]
    begun = [RunWriter(path) for path in chosen if not Run(path).finished]
    models = product(begun, range(base.folds.count), final_seeds(base, seeds))
    return sum(not run.fold(fold, seed).finished for run, fold, seed in models)
