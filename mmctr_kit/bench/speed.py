"""One recipe's speed: steps on random rows, predictions, requests; in a process of its own."""

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.flop_counter import FlopCounterMode

from mmctr_kit.bench.result import Prediction, Result, Training, Work
from mmctr_kit.bench.roofline import measure_ceiling, synchronise
from mmctr_kit.cv.fold import fold_rows
from mmctr_kit.cv.model_cost import CANDIDATES, latencies, peak_bytes, requests
from mmctr_kit.data.contract import Split
from mmctr_kit.data.dataset import Rows
from mmctr_kit.data.load import load
from mmctr_kit.items.features import ItemFeatures
from mmctr_kit.recipe import parse_recipe
from mmctr_kit.training.build import make_learner
from mmctr_kit.training.data.sampler import RowStream
from mmctr_kit.training.data.static_shapes import Buckets
from mmctr_kit.training.device import prepare
from mmctr_kit.training.fit import Fit, batch_size_for
from mmctr_kit.training.gbdt.learner import BoostedLearner
from mmctr_kit.training.neural import NeuralLearner
from mmctr_kit.training.step import Step, eager

_WARM_UP = 2
_CHUNK = {"cpu": 1, "cuda": 50}
"""Steps between two looks at the clock."""
_FIRST_ROWS = 8192
_PHASE_STEPS = 5
_ADAM_BYTES = 7 * 4
"""A parameter: weight, gradient and two moments read, all but the gradient written; float32."""


@dataclass(frozen=True)
class Subject:
    """What a measuring process is told: the recipe as plain values, the data folder, the device,
    its threads, and how many ``steps`` to time (None: for so many ``seconds``)."""

    recipe: Mapping[str, Any]
    folder: Path
    device: str
    threads: int
    seconds: float
    steps: int | None


@dataclass(frozen=True)
class Chunk:
    """Some training steps: their rows, their seconds, and the CPU seconds of all threads."""

    rows: int
    seconds: float
    cpu: float

    @classmethod
    def middle(cls, chunks: Sequence["Chunk"]) -> "Chunk":
        """The median chunk by time a row: memory that is touched first, or taken back meanwhile,
        can make some of them several times as slow."""
        return sorted(chunks, key=lambda c: c.seconds / c.rows)[(len(chunks) - 1) // 2]


def measure(told: Subject) -> Result:
    """Everything of one recipe. To be called in a fresh process, whose memory is then its own."""
    recipe = parse_recipe(told.recipe, "recipe")
    prepare(told.device, told.threads)
    data = load(told.folder)
    train = fold_rows(recipe, data, 0).train
    asked = requests(data, CANDIDATES[-1])
    rows: dict[Split, Rows] = {**data.rows, "valid": asked}  # valid's own rows are of no use here
    items = ItemFeatures.derive(recipe, data)
    learner = make_learner(recipe, replace(data, rows=rows), items, told.device)
    users = len(asked) // CANDIDATES[-1]
    if not isinstance(learner, NeuralLearner):
        assert isinstance(learner, BoostedLearner)
        return _boosted(learner, len(train), len(data.test), users, recipe.name)
    fit, train = learner.begin(train, 0)
    training = _train(fit, train, told)
    prediction = _predict(fit, told.seconds)
    latency = latencies(learner, "valid", users)
    memory = peak_bytes(told.device)  # what follows is not the model's
    stream = stream_of(fit, train)
    batch, buckets = fit.batch(stream.batches(0, 1)[0]), stream.sizes.buckets
    parameters = sum(p.numel() for p in fit.model.parameters())
    return Result(
        recipe=recipe.name,
        parameters=parameters,
        training=training,
        prediction=prediction,
        work=_work(fit.step, batch, buckets),
        phases=_phases(fit.step, batch, buckets) if batch.device.type == "cpu" else None,
        latency=latency,
        memory_mb=memory / 2**20,
        memory_of="process" if batch.device.type == "cpu" else "gpu",
    )


def timed_steps(fit: Fit, stream: RowStream, told: Subject) -> Iterator[Chunk]:
    """Train without end. What is compiled and captured for the first steps is done before the
    first chunk that is yielded."""
    device = fit.source.device
    chunk = min(_CHUNK[device.type], told.steps or _CHUNK[device.type])
    rates = [fit.options.learning_rate] * chunk
    first = 0
    while True:
        stream.batches(first, chunk)  # drawn beforehand, as an epoch's are once
        began, cpu = time.perf_counter(), time.process_time()
        fit.train_steps(stream, first, rates)  # it ends with the loss on the host
        taken, cpu = time.perf_counter() - began, time.process_time() - cpu
        if first >= _WARM_UP * chunk:
            yield Chunk(chunk * stream.batch_size, taken, cpu)
        first += chunk


def _train(fit: Fit, train: NDArray[np.int64], told: Subject) -> Training:
    fit.known_user[:] = True
    stream = stream_of(fit, train)
    size, chunks = stream.batch_size, list[Chunk]()
    for chunk in timed_steps(fit, stream, told):
        chunks.append(chunk)
        if told.steps is None:
            enough = sum(c.seconds for c in chunks) >= told.seconds
        else:
            enough = sum(c.rows for c in chunks) >= told.steps * size
        if enough:
            break
    one, rows = Chunk.middle(chunks), sum(c.rows for c in chunks)
    granted = None if told.device != "cpu" else one.cpu / (one.seconds * told.threads)
    compiling = fit.steps.compile_seconds
    return Training(size, rows, rows * one.seconds / one.rows, granted, len(train), compiling)


def stream_of(fit: Fit, train: NDArray[np.int64]) -> RowStream:
    """Random batches of the recipe's size."""
    whole, rows = fit.source.whole, torch.from_numpy(train)
    size = batch_size_for(len(train), fit.options)
    return RowStream(rows.to(fit.source.device), whole.rows["train"].lengths, size, 0)


def _predict(fit: Fit, seconds: float) -> Prediction:
    """All of test, or as much of it as the time is enough for."""
    total = len(fit.source.whole.rows["test"])
    some = np.arange(min(_FIRST_ROWS, total))
    fit.predict("test", some)
    began = time.perf_counter()
    fit.predict("test", some)
    first = time.perf_counter() - began
    enough = np.arange(min(total, max(len(some), int(len(some) * seconds / first))))
    began = time.perf_counter()
    fit.predict("test", enough)
    return Prediction(len(enough), time.perf_counter() - began, total)


def _work(step: Step, index: torch.Tensor, buckets: Buckets) -> Work:
    """Counted in a plain step: a compiled one hides its products."""
    step.model.train()
    forward, step.forward = step.forward, eager
    try:
        with FlopCounterMode(display=False) as counter:
            step(index, buckets=buckets)
    finally:
        step.forward = forward
    rows = len(index)
    return Work(
        flops=counter.get_total_flops() / rows,
        bytes=_ADAM_BYTES * sum(p.numel() for p in step.trained()) / rows,
        ceiling=measure_ceiling(index.device, step.precision),
    )


def _phases(step: Step, index: torch.Tensor, buckets: Buckets) -> dict[str, float]:
    """Share of the time of some steps that went to each of their phases."""
    step.model.train()
    spent = dict.fromkeys(("data", "forward", "backward", "optimizer"), 0.0)
    for _ in range(_PHASE_STEPS):
        times = [time.perf_counter()]
        batch = step.batch(index, buckets=buckets)
        times.append(time.perf_counter())
        loss = step.loss(batch, index)
        times.append(time.perf_counter())
        loss.backward()  # type: ignore[no-untyped-call]
        times.append(time.perf_counter())
        step.update()
        synchronise(index.device)
        times.append(time.perf_counter())
        for name, taken in zip(spent, np.diff(times), strict=True):
            spent[name] += float(taken)
    total = sum(spent.values())
    return {name: taken / total for name, taken in spent.items()}


def _boosted(learner: BoostedLearner, rows: int, test: int, users: int, name: str) -> Result:
    """An epoch's chunk of trees and their predictions, as ``cv --dry-run`` measures them."""
    cost = learner.cost(rows)
    return Result(
        recipe=name,
        parameters=cost.parameters,
        training=Training(rows, rows, cost.seconds_per_step, None, rows, 0.0),
        prediction=Prediction(test, cost.seconds_per_row * test, test),
        work=None,
        phases=None,
        latency=latencies(learner, "valid", users),
        memory_mb=peak_bytes("cpu") / 2**20,
        memory_of="process",
    )
