"""One trial: a recipe cross-validated on the study's folds, reported epoch by epoch."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import optuna
from optuna import TrialPruned

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
class Position:
    """How far a trial is: an epoch of a fold, or (``epoch`` None) the end of the fold.

    ``auc`` is of the fold's held-out users; at a fold's end, the mean AUC of the finished folds.
    """

    fold: int
    epoch: int | None
    epochs: int
    auc: float


@dataclass(frozen=True)
class TrialResult:
    """A complete trial's mean fold ``auc`` with its standard error, and each fold's AUC."""

    auc: Estimate
    folds: tuple[float, ...]

    @property
    def value(self) -> float:
        """What the search maximises."""
        return objective(self.auc)


class InvalidTrialError(MmctrKitError):
    """The proposed settings make no recipe that can run on the data; the message says why."""


Reporter = Callable[[Position, int | None], None]
"""Called after every epoch and fold, with the pruning step that it ends, if any. May raise
Optuna's TrialPruned."""


def objective(auc: Estimate) -> float:
    """The mean fold AUC less its standard error."""
    return auc.value - auc.se


class TrialRunner:
    """Runs trials of one base recipe on one data set, which share what they prepare of the data."""

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
        """The recipe of the settings and its learner. Raises InvalidTrialError if there is none."""
        try:
            recipe = self.base.changed(settings)
            items = ItemFeatures.derive(recipe, self.data)
            check_model(recipe, self.data, items)
            learner = make_learner(recipe, self.data, items, self.device, self._cache)
        except MmctrKitError as e:
            raise InvalidTrialError(str(e).removeprefix("the recipe: ")) from e
        return recipe, learner

    def run(self, learner: Learner, report: Reporter) -> TrialResult:
        """Fit and predict fold by fold, exactly as ``cv`` does with the trial's recipe and seed.

        Raises TrialPruned if the reporter does, or if the training diverges.
        """
        logits = np.full(len(self._label), np.nan)
        aucs: list[float] = []
        for fold, rows in enumerate(self.rows):
            epochs = 0
            try:
                for epoch in learner.fit(rows.train, rows.holdout, model_seed(self.seed, fold)):
                    epochs = epoch.epochs
                    position = Position(fold, epoch.epoch, epochs, epoch.holdout_auc)
                    report(position, step_of(fold, epoch.epoch, epochs))
            except MmctrKitError as e:
                raise TrialPruned(str(e)) from e
            logits[rows.own] = learner.predict("train", rows.own)
            sample = self._samples[fold]
            aucs.append(sample.influence(logits[rows.own]).auc)
            report(Position(fold, None, epochs, float(np.mean(aucs))), fold_end(fold))
        return TrialResult(self._sample.estimate(self._sample.influence(logits)), tuple(aucs))


QUARTERS = 4
"""How many pruning steps a fold has."""

PEERS = 5
"""A trial is not pruned before this many other trials have reached its step."""

_QUANTILE = {False: 0.25, True: 0.5}
"""The quantile of its peers below which a trial is pruned: within a fold, and at its end."""


def step_of(fold: int, epoch: int, epochs: int) -> int | None:
    """The pruning step that ends with this epoch (from 1); None within a quarter.

    The last quarter is the fold's end, step ``(fold + 1) * QUARTERS``, which comes when the fold's
    own rows are predicted.
    """
    before, now = (QUARTERS * e // epochs for e in (epoch - 1, epoch))
    return fold * QUARTERS + now if before < now < QUARTERS else None


def fold_end(fold: int) -> int:
    """The pruning step of a finished fold."""
    return (fold + 1) * QUARTERS


def prune_reason(study: optuna.Study, number: int, step: int, value: float) -> str | None:
    """Why the trial ``number``, with ``value`` at ``step``, should be pruned; None to go on."""
    peers = [
        t.intermediate_values[step]
        for t in study.get_trials(deepcopy=False)
        if t.number != number and step in t.intermediate_values
    ]
    return below_peers(value, peers, ended=step % QUARTERS == 0)


def below_peers(value: float, peers: Sequence[float], ended: bool) -> str | None:
    """The reason to prune if ``value`` is below its peers' lower quartile within a fold, or below
    their median at its end; else None."""
    if len(peers) < PEERS:
        return None
    bound = float(np.quantile(peers, _QUANTILE[ended]))
    if value >= bound:
        return None
    kind = "the median" if ended else "the lower quartile"
    return f"AUC {value:.4f}, below {kind} {bound:.4f} of {len(peers)} trials at that step"
