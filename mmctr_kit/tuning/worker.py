"""Workers of a study: they claim trials one after another, run them, and report how they end."""

import threading
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import numpy as np
from optuna import TrialPruned
from optuna.exceptions import UpdateFinishedTrialError
from optuna.trial import FrozenTrial, Trial, TrialState

from mmctr_kit.activity import Activity, heard_by
from mmctr_kit.cv.executors.base import Executor, Pipe, Pool, Resources, WorkerConfig
from mmctr_kit.data.dataset import ChallengeData
from mmctr_kit.errors import RunError
from mmctr_kit.processes import KILLED, WorkerExit
from mmctr_kit.recipe import Recipe
from mmctr_kit.recipe.search import Search
from mmctr_kit.tuning.folder import (
    REFUSED,
    ROW_SECONDS,
    SETTLED,
    START_SECONDS,
    StudyFolder,
    begin_trial,
    drawn_before,
    heartbeats,
    interrupt,
    sampler,
)
from mmctr_kit.tuning.heartbeat import WORKER, heartbeat
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
_EVERY = 1.0
"""Seconds between two messages of how far an epoch is: they may go over a network."""
_SILENT = "its worker was taken for dead; the trial is tried again"
_DEATHS = 3
"""How many workers may be killed, for each worker of the command, before it ends."""


@dataclass(frozen=True)
class TrialProgress:
    """A trial has reached a position."""

    number: int
    position: Position


State = Literal["complete", "pruned", "refused", "failed"]


@dataclass(frozen=True)
class TrialFinished:
    """A trial has ended. ``result`` is None unless it is complete; ``why`` is then empty."""

    number: int
    state: State
    result: TrialResult | None
    why: str


@dataclass(frozen=True)
class TrialActivity:
    """What is being done for a trial."""

    number: int
    activity: Activity


@dataclass(frozen=True)
class WorkerDied:
    """A worker process was killed, by ``cause``; its trials are marked as failed."""

    cause: str
    trials: tuple[int, ...]


@dataclass(frozen=True)
class Outage:
    """A worker has begun to wait for the database; ``text`` says so."""

    text: str


Event = TrialProgress | TrialActivity | TrialFinished | WorkerDied | Outage
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
    """Runs trials of a study until its budget is spent; its process took ``start`` seconds."""

    folder: StudyFolder
    runner: TrialRunner
    search: Search
    budget: Budget
    listen: Listener
    start: float = 0.0

    def __post_init__(self) -> None:
        # The thread of the heartbeats reports an outage too; and so does a listener that looks at
        # the trials while the database is lost, in the middle of an event.
        lock, listen = threading.RLock(), self.listen

        def one_by_one(event: Event) -> None:
            with lock:
                listen(event)

        self.listen = one_by_one
        self.folder.storage.listen = lambda text: self.listen(Outage(text))
        self.study = self.folder.study()

    def work(self) -> None:
        """Run trials until the budget is spent; a trial that is interrupted is queued again.

        Raises RunError if nearly all proposals of the search are invalid recipes, or if the
        storage does not answer for long.
        """
        with heartbeat(self.folder.heartbeats) as name:
            claim = partial(self._claim, name)
            while (claimed := self.folder.exclusively(claim)) is not None:
                trial, settings = claimed
                try:
                    with heartbeats(trial), self._heard(trial.number):
                        self._run(trial, settings)
                except BaseException:
                    with suppress(RunError):  # the error that counts is the one above
                        self.folder.exclusively(partial(self._interrupt, trial.number), 0.0)
                    raise

    def _heard(self, number: int) -> AbstractContextManager[None]:
        return heard_by(lambda activity: self.listen(TrialActivity(number, activity)), _EVERY)

    def _claim(self, name: str) -> tuple[Trial, Settings] | None:
        running = self.study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))
        # This worker has none: a claim was lost with its database, and is made anew.
        lost = [t for t in running if t.user_attrs.get(WORKER) in (None, name)]
        for each in lost:
            self.study._storage.set_trial_user_attr(each._trial_id, WORKER, None)
        interrupt(self.study, lost)
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
        drawn = drawn_before(trials)
        seed = np.random.SeedSequence([self.runner.base.folds.seed & _UINT64, drawn])
        self.study.sampler = sampler(int(seed.generate_state(1)[0]))
        trial = begin_trial(self.study)
        trial.set_user_attr(WORKER, name)
        settings = suggest(trial, self.search, self.runner.base)
        trial.set_user_attr(SETTLED, settings)
        return trial, settings

    def _interrupt(self, number: int) -> None:
        interrupt(self.study, [self.study.get_trials(deepcopy=False)[number]])

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
            self._end(trial, "refused", {REFUSED: str(e)}, why=str(e))
        except TrialPruned as e:
            self._end(trial, "pruned", {"why": str(e)}, why=str(e))
        except UpdateFinishedTrialError:
            self.listen(TrialFinished(number, "failed", None, _SILENT))
        else:
            auc = {"auc": result.auc.value, "error": result.auc.se, "rows": result.auc.n}
            took = {ROW_SECONDS: result.seconds_per_row, START_SECONDS: self.start}
            known = {**auc, "fold_aucs": list(result.folds), **took}
            self._end(trial, "complete", known, result)

    def _end(
        self,
        trial: Trial,
        state: State,
        attributes: Mapping[str, Any],
        result: TrialResult | None = None,
        why: str = "",
    ) -> None:
        """End the trial, unless another worker has marked it as failed, and tell the listener."""

        def end() -> TrialState:
            now = self.study.get_trials(deepcopy=False)[trial.number].state
            if not now.is_finished():
                for name, value in attributes.items():
                    trial.set_user_attr(name, value)
                if result is None:
                    self.study.tell(trial, state=TrialState.PRUNED)
                else:
                    self.study.tell(trial, result.value)
            return now

        if self.folder.exclusively(end) == TrialState.FAIL:
            state, result, why = "failed", None, _SILENT
        self.listen(TrialFinished(trial.number, state, result, why))


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
        pool = executor.pool(resources, recipe, data, folder.path)
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
    pool: AbstractContextManager[Pool],
) -> None:
    """Run trials in a worker of the pool for each of ``configs`` until the budget is spent.

    If a worker is killed, its trial is marked as failed and another worker takes its place. Raises
    RunError if that happens again and again, and the MmctrKitError that a worker raises.
    """
    deaths = 0
    try:
        with pool as workers:
            for number, config in enumerate(configs):
                workers.start(number, _work, config, folder, search, budget, time.time())
            for number, event in workers.events():
                if not isinstance(event, WorkerExit):
                    listen(event)
                elif event.cause:
                    deaths += 1
                    failed = folder.reap()
                    listen(WorkerDied(event.cause, tuple(t.number for t in failed)))
                    if deaths > _DEATHS * len(configs):
                        raise RunError(
                            f"{KILLED} ({event.cause}), and so were {deaths - 1} before it; the "
                            "same command goes on, with fewer --jobs in less memory"
                        )
                    anew = configs[number], folder, search, budget, time.time()
                    workers.start(number, _work, *anew)
    except BaseException:
        with suppress(RunError):  # the error that counts is the one above
            folder.reap(0.0)
        raise


def _work(
    config: WorkerConfig,
    folder: StudyFolder,
    search: Search,
    budget: Budget,
    began: float,
    pipe: Pipe,
) -> None:
    runner = TrialRunner(*config.load(pipe), config.device)
    start = max(time.time() - began, 0.0)  # clocks of two machines may differ
    Worker(folder, runner, search, budget, pipe.send, start).work()
