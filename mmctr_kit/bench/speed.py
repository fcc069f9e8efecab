"""The speed of one recipe: training steps on random rows, predictions, requests; the roofline.

A recipe is measured in a process of its own, so that the memory is that recipe's and no other's.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode

from mmctr_kit.activity import doing
from mmctr_kit.bench.result import Prediction, Result, Roofline, Training, Work
from mmctr_kit.cv.fold import FoldRows, fold_rows
from mmctr_kit.cv.model_cost import CANDIDATES, latencies, peak_bytes, requests
from mmctr_kit.data.contract import Split
from mmctr_kit.data.dataset import Rows
from mmctr_kit.data.load import load
from mmctr_kit.items.features import ItemFeatures
from mmctr_kit.metrics.ranks import Ints
from mmctr_kit.processes import measuring_killed, run_isolated
from mmctr_kit.recipe import Recipe
from mmctr_kit.training.build import make_learner
from mmctr_kit.training.data.sampler import RowSampler
from mmctr_kit.training.data.static_shapes import Buckets
from mmctr_kit.training.device import prepare
from mmctr_kit.training.fit import Fit
from mmctr_kit.training.learner import Learner
from mmctr_kit.training.neural import NeuralLearner
from mmctr_kit.training.step import Step, eager

_WARM_UP = 2
_CHUNK = {"cpu": 1, "cuda": 50}
"""Training steps between two readings of the clock."""
_FIRST_ROWS = 8192
_PHASE_STEPS = 5
_ADAM_BYTES = 7 * 4
"""Bytes per parameter: weight, gradient and two moments read, all but the gradient written."""
_PRODUCTS = {"cpu": (1024, 2048), "cuda": (4096, 8192)}
"""Sizes of the square matrix products of the roofline, which are repeated for _LONG_ENOUGH s."""
_COPY_BYTES = {"cpu": 1 << 28, "cuda": 1 << 30}
_LONG_ENOUGH = 1.0
_MIN_RUNS = 3


@dataclass(frozen=True)
class Setting:
    """The data folder, the device ('cpu', 'cuda:0') and the threads of a CPU to measure with.

    It takes ``steps`` training steps or, if that is None, ``seconds``.
    """

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
        """The chunk of median time per row: some are far slower, when memory is first touched."""
        return sorted(chunks, key=lambda c: c.seconds / c.rows)[(len(chunks) - 1) // 2]


def bench_recipe(recipe: Recipe, setting: Setting) -> Result:
    """Measure a recipe in a fresh process. Raises RunError if that process dies."""
    return run_isolated(measure, (recipe, setting), measuring_killed(recipe.name))


def measure(task: tuple[Recipe, Setting]) -> Result:
    """Measure a recipe in this process, whose peak memory is reported."""
    recipe, setting = task
    doing(f"{recipe.name}: loading the data")
    prepare(setting.device, setting.threads)
    data = load(setting.folder)
    fold = fold_rows(recipe, data, 0)
    asked = requests(data, CANDIDATES[-1])
    rows: dict[Split, Rows] = {**data.rows, "valid": asked}  # valid's own rows are not needed
    items = ItemFeatures.derive(recipe, data)
    learner = make_learner(recipe, replace(data, rows=rows), items, setting.device)
    users = len(asked) // CANDIDATES[-1]
    if not isinstance(learner, NeuralLearner):
        return _without_steps(learner, fold, len(data.test), users, recipe.name)
    fit, train = learner.begin(fold.train, 0)
    doing(f"{recipe.name}: measuring training steps")
    stream = stream_of(fit, train)
    training = _train(fit, train, stream, setting)
    doing(f"{recipe.name}: measuring prediction")
    prediction = _predict(fit, setting.seconds)
    doing(f"{recipe.name}: measuring the latency of requests")
    latency = latencies(learner, "valid", users)
    doing(f"{recipe.name}: measuring the roofline")
    memory = peak_bytes(setting.device)  # the roofline below takes memory, too
    batch, buckets = fit.batch(stream.batches(0, 1)[0]), stream.shapes.buckets
    on_cpu = batch.device.type == "cpu"
    return Result(
        recipe=recipe.name,
        parameters=sum(p.numel() for p in fit.model.parameters()),
        training=training,
        prediction=prediction,
        work=_work(fit.step, batch, buckets),
        phases=_phases(fit.step, batch, buckets) if on_cpu else None,
        latency=latency,
        memory_mb=memory / 2**20,
        memory_of="process" if on_cpu else "gpu",
    )


def timed_steps(fit: Fit, stream: RowSampler, setting: Setting) -> Iterator[Chunk]:
    """Train without end, yielding chunks of steps, after compilation and warm-up."""
    device = fit.source.device
    chunk = min(_CHUNK[device.type], setting.steps or _CHUNK[device.type])
    paces = [(fit.options.learning_rate, 1.0)] * chunk
    first = 0
    while True:
        stream.batches(first, chunk)  # drawn before the clock starts, as once per epoch
        began, cpu = time.perf_counter(), time.process_time()
        fit.train_steps(stream, first, paces)  # waits for the loss
        taken, cpu = time.perf_counter() - began, time.process_time() - cpu
        if first >= _WARM_UP * chunk:
            yield Chunk(chunk * stream.batch_size, taken, cpu)
        first += chunk


def _train(fit: Fit, train: Ints, stream: RowSampler, setting: Setting) -> Training:
    fit.known_user[:] = True
    size, chunks = stream.batch_size, list[Chunk]()
    for chunk in timed_steps(fit, stream, setting):
        chunks.append(chunk)
        if setting.steps is None:
            enough = sum(c.seconds for c in chunks) >= setting.seconds
        else:
            enough = sum(c.rows for c in chunks) >= setting.steps * size
        if enough:
            break
    one, rows = Chunk.middle(chunks), sum(c.rows for c in chunks)
    share = None if setting.device != "cpu" else one.cpu / (one.seconds * setting.threads)
    compiling = fit.steps.compile_seconds
    return Training(size, rows, rows * one.seconds / one.rows, share, len(train), compiling)


def stream_of(fit: Fit, train: Ints) -> RowSampler:
    """Random batches of train rows, of the recipe's batch size."""
    whole, rows = fit.source.whole, torch.from_numpy(train)
    size = fit.find_batch_size(train)
    return RowSampler(rows.to(fit.source.device), whole.rows["train"].lengths, size, 0)


def _predict(fit: Fit, seconds: float) -> Prediction:
    """Predict the test split, or as much of it as ``seconds`` allow."""
    total = len(fit.source.whole.rows["test"])
    some = np.arange(min(_FIRST_ROWS, total))
    fit.predict("test", some)
    began = time.perf_counter()
    fit.predict("test", some)
    first = time.perf_counter() - began
    rows = np.arange(min(total, max(len(some), int(len(some) * seconds / first))))
    began = time.perf_counter()
    fit.predict("test", rows)
    return Prediction(len(rows), time.perf_counter() - began, total)


def _work(step: Step, index: torch.Tensor, buckets: Buckets) -> Work:
    """Count the work of an eager step; a compiled step hides its matrix products."""
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
        roofline=measure_roofline(index.device, step.precision),
    )


def _phases(step: Step, index: torch.Tensor, buckets: Buckets) -> dict[str, float]:
    """The share of each phase in the time of some eager steps."""
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


def _without_steps(learner: Learner, fold: FoldRows, test: int, users: int, name: str) -> Result:
    """An epoch of trees with its share of their features, and their predictions.

    Requests go to a model fitted on some of the rows, which has as many trees.
    """
    rows = len(fold.train)
    cost = learner.cost(rows)
    epoch = cost.seconds_per_step + cost.seconds_to_prepare / cost.steps
    for _ in learner.fit(fold.train[:_FIRST_ROWS], fold.holdout[:_FIRST_ROWS], 0):
        pass
    return Result(
        recipe=name,
        parameters=cost.parameters,
        training=Training(rows, rows, epoch, None, rows, 0.0),
        prediction=Prediction(test, cost.seconds_per_row * test, test),
        work=None,
        phases=None,
        latency=latencies(learner, "valid", users),
        memory_mb=peak_bytes("cpu") / 2**20,
        memory_of="process",
    )


def measure_roofline(device: torch.device, precision: str) -> Roofline:
    """The roofline for networks of ``precision`` ('float32', 'bf16'), on this process's threads."""
    dtype = torch.bfloat16 if precision == "bf16" else torch.float32
    flops = 0.0
    for size in _PRODUCTS[device.type]:
        a = torch.randn(size, size, device=device).to(dtype)
        out = torch.empty_like(a)
        flops = max(flops, 2 * size**3 / _best(lambda a=a, out=out: torch.mm(a, a, out=out)))  # type: ignore[misc]
    source = torch.ones(_COPY_BYTES[device.type] // 4, device=device)
    target = torch.empty_like(source)
    moved = 2 * source.nbytes / _best(lambda: target.copy_(source))
    return Roofline(precision, flops, moved)


def synchronise(device: torch.device) -> None:
    """Wait for all kernels launched on a GPU; on a CPU nothing is to be waited for."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def _best(work: Callable[[], torch.Tensor]) -> float:
    """The shortest time of ``work`` in seconds; it returns a tensor on the device it runs on."""
    device = work().device
    synchronise(device)
    best, spent, runs = float("inf"), 0.0, 0
    while runs < _MIN_RUNS or spent < _LONG_ENOUGH:
        began = time.perf_counter()
        work()
        synchronise(device)
        taken = time.perf_counter() - began
        best, spent, runs = min(best, taken), spent + taken, runs + 1
    return best
