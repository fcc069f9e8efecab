"""One trial: a recipe cross-validated on the study's folds, reported epoch by epoch."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from mmctr_kit.challenge.data import ChallengeData
from mmctr_kit.errors import MmctrKitError
from mmctr_kit.foldjobs import FoldRows, fold_rows, model_seed
from mmctr_kit.folds import user_folds
from mmctr_kit.learner import Learner, check_model, make_learner
from mmctr_kit.metrics import AucSample, Estimate
from mmctr_kit.recipe import Recipe
from mmctr_kit.training.shared import Shared
from mmctr_kit.tune.pruning import fold_end, step_of


@dataclass(frozen=True)
class Place:
    """Where a trial is: an epoch of a fold, or (``epoch`` None) the end of the fold. ``auc`` is
    that of the held-out users, or the mean over the finished folds of that of their own rows."""

    fold: int
    epoch: int | None
    epochs: int
    auc: float


@dataclass(frozen=True)
class Scored:
    """What a trial came to: the mean fold ``auc`` with its error, and each fold's own."""

    auc: Estimate
    folds: tuple[float, ...]

    @property
    def value(self) -> float:
        """What the search makes as large as it can."""
        return objective(self.auc)


class GivenUpError(MmctrKitError):
    """The trial ends here; the message says why."""


class RefusedError(MmctrKitError):
    """The point makes no recipe that can run on the data; the message says why."""


Reporter = Callable[[Place, int | None], None]
"""Told of every epoch and fold, with the step it ends, if any. May raise GivenUpError."""


def objective(auc: Estimate) -> float:
    """The mean fold AUC less its error."""
    return auc.value - auc.error


class Trials:
    """Runs trials of one base recipe on one data set, which they share. ``seed`` is that of every
    trial's models."""

    def __init__(self, base: Recipe, data: ChallengeData, device: str) -> None:
        self.base, self.data, self.device = base, data, device
        self.seed = base.seeds[0]
        self._shared = Shared(base.folds.count)
        train = data.train
        self.fold = user_folds(train.user_id, base.folds.count, base.folds.seed)
        self.rows: list[FoldRows] = [fold_rows(base, data, f) for f in range(base.folds.count)]
        self._label = train.labels()
        self._sample = AucSample(self._label, train.user_id, self.fold)
        self._samples = [AucSample(self._label[r.own], train.user_id[r.own]) for r in self.rows]

    def learner(self, settings: dict[str, object]) -> tuple[Recipe, Learner]:
        """The recipe of a point and its learner; RefusedError where there is none."""
        try:
            recipe = self.base.changed(settings)
            check_model(recipe, self.data)
            learner = make_learner(recipe, self.data, self.device, self._shared)
        except MmctrKitError as e:
            raise RefusedError(str(e).removeprefix("the recipe: ")) from e
        return recipe, learner

    def run(self, learner: Learner, report: Reporter) -> Scored:
        """Fit and predict fold by fold, exactly as ``cv`` does with the trial's recipe and seed.

        Raises GivenUpError where the reporter does, or the training diverges.
        """
        logits = np.full(len(self._label), np.nan)
        aucs: list[float] = []
        for fold, rows in enumerate(self.rows):
            epochs = 0
            try:
                for epoch in learner.fit(rows.train, rows.holdout, model_seed(self.seed, fold)):
                    epochs = epoch.epochs
                    place = Place(fold, epoch.epoch, epochs, epoch.holdout_auc)
                    report(place, step_of(fold, epoch.epoch, epochs))
            except MmctrKitError as e:
                raise GivenUpError(str(e)) from e
            logits[rows.own] = learner.predict("train", rows.own)
            sample = self._samples[fold]
            aucs.append(sample.influence(logits[rows.own]).auc)
            report(Place(fold, None, epochs, float(np.mean(aucs))), fold_end(fold))
        return Scored(self._sample.estimate(self._sample.influence(logits)), tuple(aucs))
