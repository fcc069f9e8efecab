"""The learner of the boosted model: compute a fold's features, then grow trees in chunks.

An epoch is a chunk of trees. A chunk starts from the summed predictions of the chunks before it and
has its own seed, so a fit resumed after any chunk ends exactly where an uninterrupted one would.
"""

import time
from collections.abc import Iterator, Sequence
from copy import copy
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray

from mmctr_kit.data.contract import Split
from mmctr_kit.data.dataset import ChallengeData, Examples
from mmctr_kit.data.hashing import digest
from mmctr_kit.errors import DataError
from mmctr_kit.items.augment import next_item_examples
from mmctr_kit.items.features import ItemFeatures
from mmctr_kit.metrics.auc import auc
from mmctr_kit.models.gbdt import GBDT, Trees
from mmctr_kit.recipe import Recipe
from mmctr_kit.training.gbdt.crossfit import LabelOptions
from mmctr_kit.training.gbdt.matrix import FeatureInputs, Features
from mmctr_kit.training.learner import Cost, Epoch, State, derive_seed

_GROUP_SEED = 0x6BD7
"""Seed of the users' groups: unrelated to the folds, and the same for every seed of a recipe."""

_TIMED_ROWS = 20_000


@dataclass(frozen=True)
class _Fitted:
    """A fitted model: the logit before the first tree, and the chunks of trees."""

    base: float
    texts: tuple[bytes, ...]


class BoostedLearner:
    """A recipe's trees, on the CPU; see :class:`mmctr_kit.training.learner.Learner`."""

    def __init__(
        self,
        recipe: Recipe,
        data: ChallengeData,
        items: ItemFeatures,
        device: str = "cpu",
        cache: object = None,
    ) -> None:
        del device, cache  # trees grow on the CPU, and the last fold's features stay in the learner
        self.recipe = recipe
        self.data = data
        self.model = GBDT(**recipe.model_arguments)
        self.inputs = FeatureInputs(recipe, data, items)
        self._rows: NDArray[np.int64] = np.zeros(0, np.int64)
        self._key = ""
        self._features: Features | None = None
        self._fitted: _Fitted | None = None
        self._trees: list[Trees] = []

    @staticmethod
    def check(recipe: Recipe, data: ChallengeData, items: ItemFeatures) -> None:
        """Do nothing, since no options of a boosted model clash."""

    def fit(
        self,
        train: NDArray[np.int64],
        holdout: NDArray[np.int64],
        seed: int,
        resume: State | None = None,
    ) -> Iterator[Epoch]:
        options = self.recipe.training
        features = self._prepare_fold(train)
        examples = self._training_examples(train, seed)
        assert examples.label is not None
        matrix = features.matrix(examples)
        holdout_matrix = features.matrix(self._examples("train", holdout))
        label, holdout_label = examples.label, self.data.train.labels()[holdout]
        rate = float(label.mean())
        if rate in (0, 1):
            raise DataError(
                f"all {len(label):,} training rows have label {rate:.0f}; expected 0 and 1 (see "
                "'mmctr-kit data check')"
            )
        base = float(np.log(rate / (1 - rate)))
        texts: list[bytes] = [] if resume is None else _texts(resume)
        best_auc, best = -1.0, 0
        if resume is not None:
            best_auc, best = float(resume["best_auc"]), int(resume["best"])
        scores = self._total(base, texts, matrix)
        holdout_scores = self._total(base, texts, holdout_matrix)
        dataset = self.model.dataset(matrix, label)
        threads = torch.get_num_threads()
        for epoch in range(len(texts), options.epochs):
            began = time.perf_counter()
            text = self.model.chunk(
                dataset, scores, options.learning_rate, derive_seed(seed, 4, epoch), threads
            )
            texts.append(text)
            trees = Trees(text)
            scores += trees.predict(matrix, threads)
            grown = time.perf_counter()
            holdout_scores += trees.predict(holdout_matrix, threads)
            score = auc(holdout_label, holdout_scores)
            ended = time.perf_counter()
            better = score > best_auc or options.snapshot == "last"
            best_auc, best = (score, epoch + 1) if better else (best_auc, best)
            state = {
                **_chunks(texts),
                "epochs_done": np.array(epoch + 1),
                "best_auc": np.array(best_auc),
                "best": np.array(best),
            }
            yield Epoch(
                epoch=epoch + 1,
                epochs=options.epochs,
                steps=self.model.rounds,
                train_loss=_logloss(label, scores),
                holdout_auc=score,
                holdout_logloss=_logloss(holdout_label, holdout_scores),
                best=better,
                seconds=ended - began,
                compile_seconds=0.0,
                evaluate_seconds=ended - grown,
                state=lambda state=state: state,  # type: ignore[misc]
            )
        self._become(_Fitted(base, tuple(texts[:best])))

    def predict(self, split: Split, index: NDArray[np.int64] | None = None) -> NDArray[np.float64]:
        if self._fitted is None or self._features is None:
            raise ValueError("no model was fitted or loaded yet")
        matrix = self._features.matrix(self._examples(split, index))
        total = np.full(len(matrix), self._fitted.base)
        for trees in self._trees:
            total += trees.predict(matrix, torch.get_num_threads())
        return total

    @property
    def data_on(self) -> Literal["device"]:
        return "device"  # the CPU is the device

    def weights(self) -> State:
        if self._fitted is None:
            raise ValueError("no model was fitted or loaded yet")
        trained = np.zeros(len(self.data.train), np.bool_)
        trained[self._rows] = True
        return {
            **_chunks(self._fitted.texts),
            "base": np.array(self._fitted.base),
            "trained_rows": np.packbits(trained),
        }

    def load(self, weights: State) -> None:
        trained = np.unpackbits(weights["trained_rows"], count=len(self.data.train))
        self._prepare_fold(np.flatnonzero(trained))
        self._become(_Fitted(float(weights["base"]), tuple(_texts(weights))))

    def cost(self, train_rows: int) -> Cost:
        """Measure a fit, with a chunk as the step and all rows as the batch.

        Trees and features are timed on part of the rows and scaled; features count evenly in all
        chunks.
        """
        data, options = self.data, self.recipe.training
        timed = copy(self)  # so that the fitted model stays
        rows = np.arange(min(_TIMED_ROWS, len(data.train)))
        examples = self._examples("train", rows)
        assert examples.label is not None
        began = time.perf_counter()
        features = timed._prepare_fold(np.arange(len(data.train)))
        fitted = time.perf_counter()
        matrix = features.matrix(examples)
        made = time.perf_counter()
        scores = np.zeros(len(rows))
        dataset = self.model.dataset(matrix, examples.label)
        threads = torch.get_num_threads()
        text = self.model.chunk(dataset, scores, options.learning_rate, 0, threads)
        boosted = time.perf_counter()
        timed._become(_Fitted(0.0, (text,) * options.epochs))
        timed.predict("train", rows)
        predicted = time.perf_counter()
        per_row = ((made - fitted) / options.epochs + (boosted - made)) / len(rows)
        return Cost(
            parameters=options.epochs * self.model.rounds * (2 * self.model.leaves - 1),
            batch_size=train_rows,
            epochs=options.epochs,
            steps=options.epochs,
            seconds_per_step=per_row * train_rows + (fitted - began) / options.epochs,
            seconds_per_row=(predicted - boosted) / len(rows),
            data_on="device",
        )

    def _prepare_fold(self, train: NDArray[np.int64]) -> Features:
        """The features fitted on these train rows, cached for the next seed of the fold."""
        key = digest(train=train)
        if key != self._key or self._features is None:
            model = self.model
            labels = LabelOptions(
                model.groups, model.rate_shrinkage, model.pair_shrinkage, _GROUP_SEED
            )
            self._features = Features.fit(self.inputs, train, model.half_life, labels)
            self._key, self._rows = key, train
        return self._features

    def _training_examples(self, train: NDArray[np.int64], seed: int) -> Examples:
        examples = self._examples("train", train)
        augmentation = self.recipe.augmentation
        if not augmentation.per_user:
            return examples
        most = self.recipe.training.max_history
        levels = self.inputs.levels
        extra = next_item_examples(
            self.data, train, augmentation, most, levels, derive_seed(seed, 3)
        )
        return examples.join(extra)

    def _examples(self, split: Split, index: NDArray[np.int64] | None) -> Examples:
        examples = self.inputs.examples(split)
        return examples if index is None else examples.take(index)

    def _total(
        self, base: float, texts: Sequence[bytes], matrix: NDArray[np.float32]
    ) -> NDArray[np.float64]:
        """The logits (rows,) after these chunks, added up in their order."""
        total = np.full(len(matrix), base)
        for text in texts:
            total += Trees(text).predict(matrix, torch.get_num_threads())
        return total

    def _become(self, fitted: _Fitted) -> None:
        self._fitted = fitted
        self._trees = [Trees(text) for text in fitted.texts]


def _chunks(texts: Sequence[bytes]) -> dict[str, NDArray[Any]]:
    return {f"trees.{i:04d}": np.frombuffer(t, np.uint8) for i, t in enumerate(texts)}


def _texts(state: State) -> list[bytes]:
    names = sorted(name for name in state if name.startswith("trees."))
    return [np.asarray(state[name], np.uint8).tobytes() for name in names]


def _logloss(label: NDArray[np.int8], logit: NDArray[np.float64]) -> float:
    return float(np.mean(np.logaddexp(0.0, logit) - label * logit))
