"""One trial: a recipe cross-validated on the study's folds, reported epoch by epoch."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import optuna

from mmctr_kit.cv.fold import FoldRows, fold_rows, model_seed
from mmctr_kit.data.dataset import ChallengeData
from mmctr_kit.data.folds import user_folds
from mmctr_kit.errors import MmctrKitError
from mmctr_kit.items.features import ItemFeatures
from mmctr_kit.metrics.auc import AucSample
from mmctr_kit.metrics.estimate import Estimate
from mmctr_kit.recipe import Recipe
from mmctr_kit.training.build import check_model, make_learner
from mmctr_kit.training.data.fold_cache import FoldCache
from mmctr_kit.training.learner import Learner


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
        self._cache = FoldCache(base.folds.count)
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
            items = ItemFeatures.derive(recipe, self.data)
            check_model(recipe, self.data, items)
            learner = make_learner(recipe, self.data, items, self.device, self._cache)
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


QUARTERS = 4
PEERS = 5
"""So many other trials must have come as far before one is given up."""

_SHARE = {False: 0.25, True: 0.5}
"""The share of its peers that a trial must not lie below: within a fold, and at its end."""


def step_of(fold: int, epoch: int, epochs: int) -> int | None:
    """The step that ends with this epoch (from 1); None within a quarter.

    The last quarter is the fold's end, step ``(fold + 1) * QUARTERS``, which comes when its own
    rows are predicted.
    """
    before, now = (QUARTERS * e // epochs for e in (epoch - 1, epoch))
    return fold * QUARTERS + now if before < now < QUARTERS else None


def fold_end(fold: int) -> int:
    """The step of a finished fold."""
    return (fold + 1) * QUARTERS


def why_give_up(study: optuna.Study, number: int, step: int, value: float) -> str | None:
    """Why the trial ``number`` with ``value`` at ``step`` is not worth going on with, or None."""
    trials = study.get_trials(deepcopy=False)
    peers = [
        t.intermediate_values[step]
        for t in trials
        if t.number != number and step in t.intermediate_values
    ]
    return below_peers(value, peers, ended=step % QUARTERS == 0)


def below_peers(value: float, peers: Sequence[float], ended: bool) -> str | None:
    """The reason where ``value`` lies too low among its peers: below their lower quartile within a
    fold, below their median at its end."""
    if len(peers) < PEERS:
        return None
    bound = float(np.quantile(peers, _SHARE[ended]))
    if value >= bound:
        return None
    kind = "the median" if ended else "the lower quartile"
    return f"AUC {value:.4f}, below {kind} {bound:.4f} of {len(peers)} trials there"
