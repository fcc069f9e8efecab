"""The official way and ours, in turn, in one process: the machine's speed drifts for both alike."""

import time
from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray

from mmctr_kit.bench.loader import OfficialBatch, official_loader
from mmctr_kit.bench.official import OfficialDIN, OfficialTraining
from mmctr_kit.bench.result import Round, Side, Speeds
from mmctr_kit.bench.speed import Chunk, Subject, stream_of, timed_steps
from mmctr_kit.cv.fold import fold_rows
from mmctr_kit.data.dataset import ChallengeData
from mmctr_kit.data.load import load
from mmctr_kit.items.features import ItemFeatures
from mmctr_kit.recipe import Recipe, parse_recipe
from mmctr_kit.training.device import prepare
from mmctr_kit.training.neural import NeuralLearner

ROUNDS = 3
_BATCHES = 8
"""Whole batches of rows that the official loader is given; it goes through them again."""
_OURS_SECONDS = 2.0
_WARM_UP = 2


def side_by_side(told: Subject) -> Side:
    """:data:`ROUNDS` rounds of one official step and, for as long as it took (but no longer than
    the subject's seconds), ours. To be called in a fresh process."""
    recipe = parse_recipe(told.recipe, "recipe")
    prepare(told.device, told.threads)
    data = load(told.folder)
    items = ItemFeatures.derive(recipe, data)
    learner = NeuralLearner(recipe, data, items, told.device)
    fit, train = learner.begin(fold_rows(recipe, data, 0).train, 0)
    fit.known_user[:] = True
    stream = stream_of(fit, train)
    size, ours = stream.batch_size, timed_steps(fit, stream, told)
    next(ours)
    official = _Official(recipe, data, train, size, fit.source.device)
    for _ in range(_WARM_UP):  # nor are its first steps counted
        official.step()
    rounds = tuple(_round(official, ours, size, told.seconds) for _ in range(ROUNDS))
    return Side(recipe.name, size, fit.step.precision, rounds)


def _round(official: "_Official", ours: Iterator[Chunk], size: int, most: float) -> Round:
    began, cpu = time.perf_counter(), time.process_time()
    loading = official.step()
    taken, cpu_taken = time.perf_counter() - began, time.process_time() - cpu
    theirs = Speeds(size / taken, size / cpu_taken)
    chunks = [next(ours)]
    while sum(c.seconds for c in chunks) < min(max(taken, _OURS_SECONDS), most):
        chunks.append(next(ours))
    one = Chunk.middle(chunks)
    found = Speeds(one.rows / one.seconds, one.rows / one.cpu)
    return Round(theirs, found, loading / taken)


class _Official:
    """Steps of the official way, its loader included."""

    def __init__(
        self,
        recipe: Recipe,
        data: ChallengeData,
        train: NDArray[np.int64],
        size: int,
        device: torch.device,
    ) -> None:
        table = ItemFeatures.derive(recipe, data).table
        rows = np.random.default_rng(0).permutation(train)[: _BATCHES * size]
        most = recipe.training.max_history
        self.loader = official_loader(data, table, rows, most, size)
        model = OfficialDIN(recipe, len(data.item_tags), data.n_tags, table.shape[1])
        self.training = OfficialTraining(model, recipe, device)
        self.batches = self._batches()

    def _batches(self) -> Iterator[OfficialBatch]:
        while True:
            yield from self.loader

    def step(self) -> float:
        """Load a batch and train on it; the seconds that loading took."""
        began = time.perf_counter()
        batch = next(self.batches)
        loading = time.perf_counter() - began
        self.training.step(batch)  # it ends with the loss on the host
        return loading
