"""Workers of a study: they claim trials one after another, run them, and report how they end."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from optuna import TrialPruned
from optuna.trial import FrozenTrial, Trial, TrialState

from mmctr_kit.cv.executors.base import Executor, Pipe, Pool, Resources, WorkerConfig
from mmctr_kit.data.dataset import ChallengeData
from mmctr_kit.errors import RunError
from mmctr_kit.processes import KILLED, WorkerExit
from mmctr_kit.recipe import Recipe
from mmctr_kit.recipe.search import Search
from mmctr_kit.tuning.folder import REFUSED, WORKER, StudyFolder, requeue, sampler
from mmctr_kit.tuning.heartbeat import heartbeat
from mmctr_kit.tuning.space import Settings, suggest
from mmctr_kit.tuning.trial import (
    QUARTERS,
    InvalidTrialError,
    Position,
    TrialResult,
    TrialRunner,
    prune_reason,
)

_UINT64 = 0xFFFFFFFFFFFFFFFF
_REFUSALS = 20
"""How many proposals may be refused, for each trial wanted, before the search is given up."""
_DEATHS = 3
"""How many workers may be killed, for each worker of the command, before it ends."""


@dataclass(frozen=True)
class TrialProgress:
    """A trial has reached a position."""

    number: int
    position: Position


@dataclass(frozen=True)
class TrialFinished:
    """A trial has ended. ``result`` is None unless it is complete; ``why`` is then empty."""

    number: int
    state: Literal["complete", "pruned", "refused"]
    result: TrialResult | None
    why: str


@dataclass(frozen=True)
class WorkerDied:
    """A worker process was killed, by ``cause``; its trials are marked as failed."""

    cause: str
    trials: tuple[int, ...]


Event = TrialProgress | TrialFinished | WorkerDied
Listener = Callable[[Event], None]


@dataclass(frozen=True)
class Budget:
    """When a study is complete.

    ``trials`` is how many it is to have; after ``deadline`` (seconds since the epoch) none begins.
    """

    trials: int
    deadline: float | None

    def spent(self, trials: list[FrozenTrial]) -> bool:
        """Whether, given the trials so far, no other is to begin."""
        late = self.deadline is not None and time.time() >= self.deadline
        return late or sum(map(counts, trials)) >= self.trials


def counts(trial: FrozenTrial) -> bool:
    """Whether the trial counts towards the budget: it is running, or has a result."""
    ended = trial.state in (TrialState.COMPLETE, TrialState.PRUNED)
    return trial.state == TrialState.RUNNING or (ended and REFUSED not in trial.user_attrs)


@dataclass
class Worker:
    """Runs trials of a study until its budget is spent."""

    folder: StudyFolder
    runner: TrialRunner
    search: Search
    budget: Budget
    listen: Listener

    def __post_init__(self) -> None:
        self.study = self.folder.study()

    def work(self) -> None:
        """Run trials until the budget is spent; a trial that is interrupted is queued again.

        Raises RunError if nearly all proposals of the search are invalid recipes.
        """
        with heartbeat(self.folder.heartbeats) as name:
            while (claimed := self._claim(name)) is not None:
                trial, settings = claimed
                try:
                    self._run(trial, settings)
                except BaseException:
                    with self.folder.claiming():
                        requeue(self.study, self.study.get_trials(deepcopy=False)[trial.number])
                    raise

    def _claim(self, name: str) -> tuple[Trial, Settings] | None:
        with self.folder.claiming():
            trials = self.study.get_trials(deepcopy=False)
            refused = [t for t in trials if REFUSED in t.user_attrs]
            if len(refused) > _REFUSALS * self.budget.trials:
                raise RunError(
                    f"more than {_REFUSALS} proposals for each trial were invalid recipes (last: "
                    f"{refused[-1].user_attrs[REFUSED]}); narrow the search space"
                )
            if self.budget.spent(trials):
                return None
            # A new sampler for each trial: a study that is resumed draws nothing twice.
            seed = np.random.SeedSequence([self.runner.base.folds.seed & _UINT64, len(trials)])
            self.study.sampler = sampler(int(seed.generate_state(1)[0]))
            trial = self.study.ask()
            trial.set_user_attr(WORKER, name)
            settings = suggest(trial, self.search, self.runner.base)
            trial.set_user_attr("settings", settings)
        return trial, settings

    def _run(self, trial: Trial, settings: Settings) -> None:
        number = trial.number

        def report(position: Position) -> None:
            self.listen(TrialProgress(number, position))
            if position.step is None:
                return
            trial.report(position.auc, position.step)
            why = prune_reason(self.study, number, position.step, position.auc)
            if why is not None and position.step < QUARTERS * len(self.runner.rows):
                raise TrialPruned(f"{position}: {why}")

        try:
            result = self.runner.run(self.runner.learner(settings), report)
        except InvalidTrialError as e:
            self._prune(trial, REFUSED, str(e), "refused")
        except TrialPruned as e:
            self._prune(trial, "why", str(e), "pruned")
        else:
            trial.set_user_attr("auc", result.auc.value)
            trial.set_user_attr("error", result.auc.se)
            trial.set_user_attr("rows", result.auc.n)
            trial.set_user_attr("fold_aucs", list(result.folds))
            self.study.tell(trial, result.value)
            self.listen(TrialFinished(number, "complete", result, ""))

    def _prune(
        self, trial: Trial, attribute: str, why: str, state: Literal["pruned", "refused"]
    ) -> None:
        trial.set_user_attr(attribute, why)
        self.study.tell(trial, state=TrialState.PRUNED)
        self.listen(TrialFinished(trial.number, state, None, why))


def run_search(
    folder: StudyFolder,
    recipe: Recipe,
    search: Search,
    data: ChallengeData,
    executor: Executor,
    resources: Resources,
    budget: Budget,
    listen: Listener,
) -> None:
    """Run trials until the budget is spent: a single local worker works in this process."""
    if executor.name != "local" or resources.workers > 1:
        numbers = range(resources.workers)
        configs = [executor.config(resources, number, recipe, data) for number in numbers]
        with executor.pool(resources, recipe, data, folder.path) as pool:
            run_workers(folder, configs, search, budget, listen, pool)
        return
    from mmctr_kit.training.device import prepare

    prepare(resources.device, resources.threads)
    runner = TrialRunner(recipe, data, resources.device)
    Worker(folder, runner, search, budget, listen).work()


def run_workers(
    folder: StudyFolder,
    configs: list[WorkerConfig],
    search: Search,
    budget: Budget,
    listen: Listener,
    pool: Pool,
) -> None:
    """Run trials in a worker of the pool for each of ``configs`` until the budget is spent.

    If a worker is killed, its trial is marked as failed and another worker takes its place. Raises
    RunError if that happens again and again, and the MmctrKitError that a worker raises.
    """
    deaths = 0
    try:
        for number, config in enumerate(configs):
            pool.start(number, _work, config, folder.path, search, budget)
        for number, event in pool.events():
            if not isinstance(event, WorkerExit):
                listen(event)
            elif event.cause:
                deaths += 1
                failed = folder.reap()
                listen(WorkerDied(event.cause, tuple(t.number for t in failed)))
                if deaths > _DEATHS * len(configs):
                    raise RunError(
                        f"{KILLED}, and so were {deaths - 1} before it; the same command goes on "
                        "where it stopped, with fewer --workers in less memory"
                    )
                pool.start(number, _work, configs[number], folder.path, search, budget)
    except BaseException:
        folder.reap()
        raise


def _work(config: WorkerConfig, folder: Path, search: Search, budget: Budget, pipe: Pipe) -> None:
    runner = TrialRunner(*config.load(pipe), config.device)
    Worker(StudyFolder(folder), runner, search, budget, pipe.send).work()
