"""The learner of the boosted model: compute a fold's features, then grow trees in chunks.

An epoch is a chunk of trees. A chunk starts from the summed predictions of the chunks before it and
has its own seed, so a fit resumed after any chunk ends exactly where an uninterrupted one would.
"""

import math
import time
from collections.abc import Iterator, Sequence
from copy import copy
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray

from mmctr_kit.activity import Counter, doing
from mmctr_kit.data.contract import Split
from mmctr_kit.data.dataset import ChallengeData, Examples
from mmctr_kit.errors import DataError
from mmctr_kit.items import Floats32, Floats64, Ints
from mmctr_kit.items.augment import next_item_examples
from mmctr_kit.items.features import ItemFeatures
from mmctr_kit.metrics.auc import auc
from mmctr_kit.models.gbdt import GBDT, SplitTrees, Trees
from mmctr_kit.recipe import Recipe
from mmctr_kit.runs.importance import pack_importance
from mmctr_kit.training.gbdt.crossfit import FoldFeatures
from mmctr_kit.training.gbdt.importance import measured_rows, permuted_logits
from mmctr_kit.training.gbdt.matrix import FeatureInputs, Shrinkage
from mmctr_kit.training.learner import Cost, Epoch, State, derive_seed

_GROUP_SEED = 0x6BD7
"""Seed of the users' groups: unrelated to the folds, and the same for every seed of a recipe."""

_TIMED_ROWS = 20_000


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
        self.inputs = FeatureInputs(recipe, data, items, self.model.buckets)
        self._features: FoldFeatures | None = None
        self._base: float | None = None  # the logit before the first tree
        self._texts: Sequence[bytes] = ()
        self._trees: list[Trees] = []

    @staticmethod
    def check(recipe: Recipe, data: ChallengeData, items: ItemFeatures) -> None:
        """Do nothing, since no options of a boosted model clash."""

    def fit(
        self, train: Ints, holdout: Ints, seed: int, resume: State | None = None
    ) -> Iterator[Epoch]:
        options = self.recipe.training
        features = self._prepare_fold(train)
        matrix, label = features.of_rows, self.data.train.labels()[train]
        extra = self._extra_examples(train, seed)
        if extra is not None:
            assert extra.label is not None
            matrix = np.concatenate([matrix, features.matrix(extra)])
            label = np.concatenate([label, extra.label])
        holdout_matrix = features.matrix(self._examples("train", holdout))
        holdout_label = self.data.train.labels()[holdout]
        rate = float(label.mean())
        if rate in (0, 1):
            raise DataError(
                f"all {len(label):,} training rows have label {rate:.0f}; expected 0 and 1 (see "
                "'mmctr-kit data check')"
            )
        base = float(np.log(rate / (1 - rate)))
        start = {"best_auc": np.array(-1.0), "best": np.array(0)} if resume is None else resume
        texts, best_auc, best = _texts(start), float(start["best_auc"]), int(start["best"])
        grown = [Trees(text) for text in texts]
        scores = _logits(base, grown, matrix)
        holdout_scores = _logits(base, grown, holdout_matrix)
        dataset = self.model.dataset(matrix, label)
        threads = torch.get_num_threads()
        epochs = max(1, round(options.epochs * options.stop_at))
        for epoch in range(len(texts), epochs):
            began = time.perf_counter()
            text = self._grow(dataset, scores, derive_seed(seed, 4, epoch), epoch, epochs)
            texts.append(text)
            trees = Trees(text)
            scores += trees.predict(matrix, threads)
            trained = time.perf_counter()
            holdout_scores += trees.predict(holdout_matrix, threads)
            score = auc(holdout_label, holdout_scores) if len(holdout) else math.nan
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
                epochs=epochs,
                steps=self.model.rounds,
                train_loss=_logloss(label, scores),
                holdout_auc=score,
                holdout_logloss=_logloss(holdout_label, holdout_scores),
                best=better,
                seconds=ended - began,
                compile_seconds=0.0,
                evaluate_seconds=ended - trained,
                state=lambda state=state: state,  # type: ignore[misc]
            )
        self._become(base, texts[:best])

    def _grow(self, dataset: Any, scores: Floats64, seed: int, epoch: int, epochs: int) -> bytes:
        """The next chunk of trees, counted as they grow."""
        count = Counter("growing trees", self.model.rounds, 0.0, epoch + 1, epochs)
        rate, threads = self.recipe.training.learning_rate, torch.get_num_threads()
        return self.model.chunk(dataset, scores, rate, seed, threads, count.add)

    def predict(self, split: Split, index: Ints | None = None) -> Floats64:
        base, features = self._fitted()
        doing(f"predicting {split} rows")
        return _logits(base, self._trees, features.matrix(self._examples(split, index)))

    def importance(self) -> State:
        base, features = self._fitted()
        rows = measured_rows(self.data.valid.user_id)
        matrix = features.matrix(self._examples("valid", rows))
        parts = [trees.importance() for trees in self._trees]
        gain, splits = (np.sum(part, axis=0) for part in zip(*parts, strict=True))
        grown, threads = SplitTrees(self._texts), torch.get_num_threads()
        permuted = permuted_logits(
            matrix,
            _logits(base, self._trees, matrix),
            splits > 0,
            lambda feature, changed: grown.by(feature).predict(changed, threads),
        )
        return pack_importance(self.inputs.meanings, gain, rows, permuted)

    @property
    def data_on(self) -> Literal["device"]:
        return "device"  # the CPU is the device

    def trained(self) -> None:
        """None, since trees have no steps."""

    def weights(self) -> State:
        base, features = self._fitted()
        trained = np.zeros(len(self.data.train), np.bool_)
        trained[features.rows] = True
        return {
            **_chunks(self._texts),
            "base": np.array(base),
            "trained_rows": np.packbits(trained),
        }

    def load(self, weights: State) -> None:
        trained = np.unpackbits(weights["trained_rows"], count=len(self.data.train))
        self._prepare_fold(np.flatnonzero(trained))
        self._become(float(weights["base"]), _texts(weights))

    def cost(self, train_rows: int) -> Cost:
        """Measure a fit on some of the rows and scale; a chunk is a step, all rows are a batch."""
        data, options = self.data, self.recipe.training
        timed = copy(self)  # so that the fitted model stays
        self._warm_up()
        rows = np.arange(min(_TIMED_ROWS, len(data.train)))
        examples = self._examples("train", rows)
        assert examples.label is not None
        began = time.perf_counter()
        features = timed._prepare_fold(np.arange(len(data.train))).whole
        fitted = time.perf_counter()
        matrix = features.matrix(examples)
        scores = np.zeros(len(rows))
        dataset = self.model.dataset(matrix, examples.label)
        made = time.perf_counter()
        threads = torch.get_num_threads()
        text = self.model.chunk(dataset, scores, options.learning_rate, 0, threads)
        boosted = time.perf_counter()
        # Not by predict(), to which these rows, all trained on, would be rows of every group.
        _logits(0.0, [Trees(text)] * options.epochs, features.matrix(examples))
        predicted = time.perf_counter()
        scale = train_rows / len(rows)
        # One fit of features on all of its users, and one without each group.
        fits = self.model.groups * train_rows / len(data.train)
        return Cost(
            parameters=options.epochs * self.model.rounds * (2 * self.model.leaves - 1),
            batch_size=train_rows,
            epochs=options.epochs,
            steps=options.epochs,
            seconds_per_step=scale * (boosted - made),
            seconds_per_row=(predicted - boosted) / len(rows),
            data_on="device",
            seconds_to_prepare=fits * (fitted - began) + scale * (made - fitted),
            trees=options.epochs * self.model.rounds,
        )

    def _warm_up(self) -> None:
        """Grow a tree on two rows: the first call of LightGBM takes as long as a whole chunk."""
        label = np.array([0, 1], np.int8)
        dataset = self.model.dataset(np.zeros((2, 2), np.float32), label)
        self.model.chunk(dataset, np.zeros(2), 0.1, 0, torch.get_num_threads())

    def _prepare_fold(self, train: Ints) -> FoldFeatures:
        """The features of the fold model trained on these rows, cached for its next seed."""
        if self._features is None or not np.array_equal(self._features.rows, train):
            model, inputs = self.model, self.inputs
            shrinkage = Shrinkage(model.rate_shrinkage, model.pair_shrinkage)
            self._features = FoldFeatures(
                inputs, train, model.groups, _GROUP_SEED, model.half_life, shrinkage
            )
        return self._features

    def _extra_examples(self, train: Ints, seed: int) -> Examples | None:
        augmentation = self.recipe.augmentation
        if not augmentation.per_user:
            return None
        most, levels = self.recipe.training.max_history, self.inputs.levels
        return next_item_examples(
            self.data, train, augmentation, most, levels, derive_seed(seed, 3)
        )

    def _examples(self, split: Split, index: Ints | None) -> Examples:
        examples = self.inputs.examples(split)
        return examples if index is None else examples.take(index)

    def _fitted(self) -> tuple[float, FoldFeatures]:
        if self._base is None or self._features is None:
            raise ValueError("no model was fitted or loaded yet")
        return self._base, self._features

    def _become(self, base: float, texts: Sequence[bytes]) -> None:
        self._base, self._texts = base, texts
        self._trees = [Trees(text) for text in texts]


def _logits(base: float, chunks: Sequence[Trees], matrix: Floats32) -> Floats64:
    """The logits (rows,) after these chunks of trees, added up in their order."""
    logits = np.full(len(matrix), base)
    for trees in chunks:
        logits += trees.predict(matrix, torch.get_num_threads())
    return logits


def _chunks(texts: Sequence[bytes]) -> dict[str, NDArray[Any]]:
    return {f"trees.{i:04d}": np.frombuffer(t, np.uint8) for i, t in enumerate(texts)}


def _texts(state: State) -> list[bytes]:
    names = sorted(name for name in state if name.startswith("trees."))
    return [np.asarray(state[name], np.uint8).tobytes() for name in names]


def _logloss(label: NDArray[np.int8], logit: Floats64) -> float:
    return float(np.mean(np.logaddexp(0.0, logit) - label * logit)) if len(label) else math.nan
