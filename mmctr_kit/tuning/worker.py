"""A worker of a study: claims trials one after another, runs them, and reports how they end."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from optuna import TrialPruned
from optuna.trial import FrozenTrial, Trial, TrialState

from mmctr_kit.errors import RunError
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

_REFUSALS = 20
"""How many proposals may be refused, for each trial wanted, before the search is given up."""


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
    """A worker process was killed by ``signal``; its trials are marked as failed."""

    signal: int
    trials: tuple[int, ...]


Event = TrialProgress | TrialFinished | WorkerDied
Listener = Callable[[Event], None]


@dataclass(frozen=True)
class Budget:
    """How many trials the study is to have, and the time (seconds since the epoch) after which no
    trial begins."""

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


class Worker:
    """Runs trials of a study until its budget is spent."""

    def __init__(
        self,
        folder: StudyFolder,
        runner: TrialRunner,
        search: Search,
        budget: Budget,
        listen: Listener,
    ) -> None:
        self.folder, self.runner, self.search = folder, runner, search
        self.budget, self.listen = budget, listen
        self.study = folder.study()

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
            seed = np.random.SeedSequence([self.runner.base.folds.seed, len(trials)])
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
            result = self.runner.run(self.runner.learner(settings)[1], report)
        except InvalidTrialError as e:
            self._prune(trial, REFUSED, str(e), "refused")
        except TrialPruned as e:
            self._prune(trial, "why", str(e), "pruned")
        else:
            attributes: dict[str, Any] = {
                "auc": result.auc.value,
                "error": result.auc.se,
                "rows": result.auc.n,
                "fold_aucs": list(result.folds),
            }
            for key, value in attributes.items():
                trial.set_user_attr(key, value)
            self.study.tell(trial, result.value)
            self.listen(TrialFinished(number, "complete", result, ""))

    def _prune(
        self, trial: Trial, attribute: str, why: str, state: Literal["pruned", "refused"]
    ) -> None:
        trial.set_user_attr(attribute, why)
        self.study.tell(trial, state=TrialState.PRUNED)
        self.listen(TrialFinished(trial.number, state, None, why))
