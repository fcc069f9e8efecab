"""A worker of a study: claims trials one after another, runs them, and tells how they ended."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import optuna
from optuna.trial import FrozenTrial, Trial, TrialState

from mmctr_kit.errors import RunError
from mmctr_kit.recipe.search import Search
from mmctr_kit.tune.folder import REFUSED, WORKER, StudyFolder, give_up, sampler
from mmctr_kit.tune.heartbeat import lease
from mmctr_kit.tune.space import Settings, suggest
from mmctr_kit.tune.trial import (
    GivenUpError,
    Place,
    RefusedError,
    Scored,
    Trials,
    fold_end,
    why_give_up,
)

_REFUSALS = 20
"""Of each trial wanted, so many points may be refused before the search is called hopeless."""


@dataclass(frozen=True)
class Going:
    """A trial is at a place."""

    number: int
    place: Place


@dataclass(frozen=True)
class Ended:
    """A trial has ended. ``scored`` is None but for a complete one; ``why`` tells of the others."""

    number: int
    state: Literal["complete", "pruned", "refused"]
    scored: Scored | None
    why: str


@dataclass(frozen=True)
class Died:
    """A worker process was killed; its trials are marked as failed."""

    signal: int
    trials: tuple[int, ...]


Event = Going | Ended | Died
Listener = Callable[[Event], None]


@dataclass(frozen=True)
class Budget:
    """How many trials the study is to have, and when (seconds since the epoch) none begins any
    more."""

    trials: int
    deadline: float | None

    def spent(self, trials: list[FrozenTrial]) -> bool:
        """Whether no trial is to begin, with those that there are."""
        late = self.deadline is not None and time.time() >= self.deadline
        return late or sum(map(counts, trials)) >= self.trials


def counts(trial: FrozenTrial) -> bool:
    """Whether the trial is one of those that were asked for: one at work, or with a result."""
    ended = trial.state in (TrialState.COMPLETE, TrialState.PRUNED)
    return trial.state == TrialState.RUNNING or (ended and REFUSED not in trial.user_attrs)


class Worker:
    """Runs trials of a study until its budget is spent."""

    def __init__(
        self,
        folder: StudyFolder,
        trials: Trials,
        search: Search,
        seed: int,
        budget: Budget,
        listen: Listener,
    ) -> None:
        self.folder, self.trials, self.search = folder, trials, search
        self.seed, self.budget, self.listen = seed, budget, listen
        self.study = folder.study()

    def work(self) -> None:
        """Until the budget is spent; what is interrupted is put in line again.

        Raises RunError where hardly a point of the search makes a recipe.
        """
        with lease(self.folder.leases) as name:
            while (claimed := self._claim(name)) is not None:
                trial, settings = claimed
                try:
                    self._run(trial, settings)
                except BaseException:
                    with self.folder.claiming():
                        give_up(self.study, _frozen(self.study, trial.number))
                    raise

    def _claim(self, name: str) -> tuple[Trial, Settings] | None:
        with self.folder.claiming():
            trials = self.study.get_trials(deepcopy=False)
            refused = [t for t in trials if REFUSED in t.user_attrs]
            if len(refused) > _REFUSALS * self.budget.trials:
                why = refused[-1].user_attrs[REFUSED]
                raise RunError(f"hardly a point of the search makes a recipe ({why}); narrow it")
            if self.budget.spent(trials):
                return None
            # A sampler of its own for each trial: a study gone on with draws nothing twice.
            self.study.sampler = sampler(_sampler_seed(self.seed, len(trials)))
            trial = self.study.ask()
            trial.set_user_attr(WORKER, name)
            settings = suggest(trial, self.search, self.trials.base)
            trial.set_user_attr("settings", settings)
        return trial, settings

    def _run(self, trial: Trial, settings: Settings) -> None:
        number = trial.number

        def report(place: Place, step: int | None) -> None:
            self.listen(Going(number, place))
            if step is None:
                return
            trial.report(place.auc, step)
            why = why_give_up(self.study, number, step, place.auc)
            if why is not None and step < fold_end(len(self.trials.rows) - 1):
                at = f"epoch {place.epoch}/{place.epochs} of fold {place.fold}"
                raise GivenUpError(f"{at if place.epoch else f'after fold {place.fold}'}: {why}")

        try:
            learner = self.trials.learner(settings)[1]
            scored = self.trials.run(learner, report)
        except RefusedError as e:
            self._prune(trial, REFUSED, str(e), "refused")
        except GivenUpError as e:
            self._prune(trial, "why", str(e), "pruned")
        else:
            attributes: dict[str, Any] = {
                "auc": scored.auc.value,
                "error": scored.auc.error,
                "rows": scored.auc.n,
                "fold_aucs": list(scored.folds),
            }
            for key, value in attributes.items():
                trial.set_user_attr(key, value)
            self.study.tell(trial, scored.value)
            self.listen(Ended(number, "complete", scored, ""))

    def _prune(
        self, trial: Trial, attribute: str, why: str, state: Literal["pruned", "refused"]
    ) -> None:
        trial.set_user_attr(attribute, why)
        self.study.tell(trial, state=TrialState.PRUNED)
        self.listen(Ended(trial.number, state, None, why))


def _frozen(study: optuna.Study, number: int) -> FrozenTrial:
    return study.get_trials(deepcopy=False)[number]


def _sampler_seed(seed: int, number: int) -> int:
    return int(np.random.SeedSequence([seed, number]).generate_state(1)[0])
