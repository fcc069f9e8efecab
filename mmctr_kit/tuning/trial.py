"""One trial: a recipe cross-validated on the study's folds, reported epoch by epoch."""

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import optuna
from optuna import TrialPruned
from optuna.trial import TrialState

from mmctr_kit.cv.fold import FoldRows, fold_rows, model_seed
from mmctr_kit.data.dataset import ChallengeData
from mmctr_kit.data.folds import UNPREDICTED
from mmctr_kit.errors import MmctrKitError
from mmctr_kit.items.features import ItemFeatures
from mmctr_kit.metrics.auc import AucSample
from mmctr_kit.metrics.estimate import Estimate
from mmctr_kit.recipe import Recipe
from mmctr_kit.training.build import check_model, make_learner
from mmctr_kit.training.data.source import FoldCache
from mmctr_kit.training.learner import Learner

QUARTERS = 4
"""How many pruning steps a fold has."""
PEERS = 5
"""A trial is not pruned before this many other trials have reached its step."""


@dataclass(frozen=True)
class Position:
    """How far a trial is: an epoch (from 1) of a fold, or (``epoch`` None) the end of the fold.

    ``auc`` is of the fold's held-out users; at a fold's end, the mean AUC of the finished folds.
    """

    fold: int
    epoch: int | None
    epochs: int
    auc: float

    @property
    def step(self) -> int | None:
        """The pruning step that ends here; None within a quarter of a fold's epochs.

        The last quarter ends with the fold, when the fold's own rows are predicted.
        """
        if self.epoch is None:
            return (self.fold + 1) * QUARTERS
        before, now = (QUARTERS * e // self.epochs for e in (self.epoch - 1, self.epoch))
        return self.fold * QUARTERS + now if before < now < QUARTERS else None

    def __str__(self) -> str:
        if self.epoch is None:
            return f"after fold {self.fold}"
        return f"epoch {self.epoch}/{self.epochs} of fold {self.fold}"


@dataclass(frozen=True)
class TrialResult:
    """A complete trial's mean fold ``auc`` with its standard error, and each fold's AUC.

    A row of its folds was predicted in ``seconds_per_row``.
    """

    auc: Estimate
    folds: tuple[float, ...]
    seconds_per_row: float

    @property
    def value(self) -> float:
        """What the search maximises."""
        return objective(self.auc)


class InvalidTrialError(MmctrKitError):
    """The proposed settings make no recipe that can run on the data; the message says why."""


Reporter = Callable[[Position], None]
"""Called after every epoch and fold; may raise Optuna's TrialPruned."""


def objective(auc: Estimate) -> float:
    """The mean fold AUC less its standard error, or the AUC alone if that cannot be had."""
    return auc.value if math.isnan(auc.se) else auc.value - auc.se


class TrialRunner:
    """Runs trials of one base recipe on one data set, which share what they prepare of the data."""

    def __init__(self, base: Recipe, data: ChallengeData, device: str) -> None:
        self.base, self.data, self.device = base, data, device
        self.seed = base.seeds[0]
        self._cache = FoldCache(base.folds.count)
        train = data.train
        self.fold = base.folds.assign(train)
        self.rows: list[FoldRows] = [fold_rows(base, data, f) for f in range(base.folds.count)]
        self._label = train.labels()
        self._some = np.flatnonzero(self.fold != UNPREDICTED)
        self._sample = AucSample(*(x[self._some] for x in (self._label, train.user_id, self.fold)))
        self._samples = [
            AucSample(self._label[r.predicted], train.user_id[r.predicted]) for r in self.rows
        ]

    def learner(self, settings: dict[str, object]) -> Learner:
        """The learner of the settings' recipe. Raises InvalidTrialError if there is none."""
        try:
            recipe = self.base.changed(settings)
            items = ItemFeatures.derive(recipe, self.data)
            check_model(recipe, self.data, items)
            return make_learner(recipe, self.data, items, self.device, self._cache)
        except MmctrKitError as e:
            raise InvalidTrialError(str(e).removeprefix("the recipe: ")) from e

    def run(self, learner: Learner, report: Reporter) -> TrialResult:
        """Fit and predict fold by fold, exactly as ``cv`` does with the trial's recipe and seed.

        Raises TrialPruned if the reporter does, or if the training diverges.
        """
        logits = np.full(len(self._label), np.nan)
        aucs: list[float] = []
        predicting = 0.0
        for fold, rows in enumerate(self.rows):
            epochs = 0
            try:
                for epoch in learner.fit(rows.train, rows.holdout, model_seed(self.seed, fold)):
                    epochs = epoch.epochs
                    if len(rows.holdout):
                        report(Position(fold, epoch.epoch, epochs, epoch.holdout_auc))
            except MmctrKitError as e:
                raise TrialPruned(str(e)) from e
            began = time.perf_counter()
            logits[rows.predicted] = learner.predict("train", rows.predicted)
            predicting += time.perf_counter() - began
            sample = self._samples[fold]
            aucs.append(sample.influence(logits[rows.predicted]).auc)
            report(Position(fold, None, epochs, float(np.mean(aucs))))
        return TrialResult(
            self._sample.estimate(self._sample.influence(logits[self._some])),
            tuple(aucs),
            predicting / len(self._some),
        )


def prune_reason(study: optuna.Study, number: int, step: int, auc: float) -> str | None:
    """Why the trial ``number``, with ``auc`` at ``step``, should be pruned; None to go on."""
    # An interrupted trial is repeated, and counts once.
    known = (t for t in study.get_trials(deepcopy=False) if t.state != TrialState.FAIL)
    others = (t for t in known if t.number != number)
    peers = [t.intermediate_values[step] for t in others if step in t.intermediate_values]
    return below_peers(auc, peers, ended=step % QUARTERS == 0)


def below_peers(auc: float, peers: Sequence[float], ended: bool) -> str | None:
    """The reason to prune a trial that has fallen behind; None to go on.

    Its ``auc`` is below its peers' lower quartile within a fold, or below their median at its end.
    """
    quantile, name = (0.5, "the median") if ended else (0.25, "the lower quartile")
    if len(peers) < PEERS or auc >= (bound := float(np.quantile(peers, quantile))):
        return None
    return f"AUC {auc:.4f}, below {name} {bound:.4f} of {len(peers)} trials at that step"
