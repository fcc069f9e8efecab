"""What a run's model costs: parameters, training speed, the latency of a request, memory.

Measured in a process of its own, so that the memory is that model's and no other's.
"""

import time
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import TypeAdapter

from mmctr_kit.activity import doing
from mmctr_kit.cv.executors.base import WorkerConfig
from mmctr_kit.cv.executors.local import LocalExecutor
from mmctr_kit.cv.fold import fold_rows
from mmctr_kit.cv.plan import Plan, manifest_of
from mmctr_kit.data.contract import Split
from mmctr_kit.data.dataset import ChallengeData, Rows
from mmctr_kit.files import read_json, write_json
from mmctr_kit.items.features import ItemFeatures
from mmctr_kit.processes import measuring_killed, peak_process_bytes, run_isolated
from mmctr_kit.runs.writer import RunWriter
from mmctr_kit.training.build import make_learner
from mmctr_kit.training.learner import Learner

CANDIDATES = (1, 64, 1024)
"""The sizes of the requests that are timed."""

_REQUESTS, _LEAST, _SECONDS, _LONGEST = 200, 100, 3.0, 20.0
"""How many requests of a size are timed: fewer, but at least ``_LEAST``, if they take over
``_SECONDS``; fewer still if even these would take over ``_LONGEST``."""

LATENCY_SECONDS = len(CANDIDATES) * _SECONDS
"""How long the requests of a model take, unless they are very slow."""

_USERS, _WARM, _TRIALS = 32, 5, 3


@dataclass(frozen=True)
class Latency:
    """The median and the 99th percentile of the milliseconds that ``requests`` requests took.

    A request is one user's history with ``candidates`` target items, a row each, from row numbers
    to logits in memory, without what a learner computes for all rows beforehand, such as signals.
    """

    candidates: int
    p50_ms: float
    p99_ms: float
    requests: int


@dataclass(frozen=True)
class Measured:
    """The cost of a run's first fold model on one device.

    ``parameters`` counts the trained ones; ``train_rows_per_second`` is the speed of training steps
    with the rows in memory. ``memory_mb`` (2^20 bytes) is the peak of training steps and requests:
    of tensors on the GPU, or on a CPU of the whole process with its data.
    """

    parameters: int
    train_rows_per_second: float
    latency: tuple[Latency, ...]
    memory_mb: float
    memory_of: Literal["process", "gpu"]


def cached_cost(plan: Plan, cache: Path) -> Measured | None:
    """The cost that :func:`measure_cost` wrote to the file ``cache``, or None.

    It is None too if the file is of another recipe, data or environment.
    """
    if not cache.is_file() or (content := read_json(cache))["of"] != _measured_of(plan):
        return None
    return TypeAdapter(Measured).validate_python(content["cost"])


def measure_cost(plan: Plan, path: Path, cache: Path) -> Measured:
    """Measure the finished run at ``path`` on the plan's device and threads; write it to ``cache``.

    Measures in a fresh process. Raises RunError if that is killed.
    """
    plan = on_this_machine(plan)
    config = plan.resources.worker(0, plan.recipe, plan.data)
    measured = run_isolated(partial(_measure, config), path, measuring_killed(path.name))
    cache.parent.mkdir(parents=True, exist_ok=True)
    write_json(cache, {"of": _measured_of(plan), "cost": asdict(measured)})
    return measured


def on_this_machine(plan: Plan) -> Plan:
    """The plan as this machine would run it: where other machines train, its CPU measures."""
    if plan.executor.name == "local":
        return plan
    here = LocalExecutor("cpu", jobs=1)
    return replace(plan, executor=here, resources=here.resources(1, uses_gpu=False))


def _measured_of(plan: Plan) -> dict[str, Any]:
    manifest = manifest_of(on_this_machine(plan))
    return {"recipe": manifest.recipe, "environment": dict(manifest.environment)}


def _measure(config: WorkerConfig, path: Path) -> Measured:
    recipe, data = config.load()
    items = ItemFeatures.derive(recipe, data)
    asked = requests(data, CANDIDATES[-1])
    rows: dict[Split, Rows] = {**data.rows, "test": asked}
    data = replace(data, rows=rows)
    learner = make_learner(recipe, data, items, config.device)
    learner.load(RunWriter(path).fold(0, recipe.seeds[0]).weights())
    doing(f"{path.name}: measuring the latency of requests")
    latency = latencies(learner, "test", len(asked) // CANDIDATES[-1])
    doing(f"{path.name}: measuring training steps")
    trained = len(fold_rows(recipe, data, 0).train)
    costs = [learner.cost(trained) for _ in range(_TRIALS)]
    return Measured(
        parameters=costs[0].parameters,
        train_rows_per_second=costs[0].batch_size / median(c.seconds_per_step for c in costs),
        latency=latency,
        memory_mb=peak_bytes(config.device) / 2**20,
        memory_of="gpu" if config.device.startswith("cuda") else "process",
    )


def requests(data: ChallengeData, candidates: int) -> Rows:
    """The rows of some test users' requests, one after another.

    A request has ``candidates`` rows: the user's history with distinct target items of the test
    split, repeated if it has too few.
    """
    random, test = np.random.default_rng(0), data.test
    users = random.permutation(np.unique(test.user_id, return_index=True)[1])[:_USERS]
    items = random.permutation(np.unique(test.item_id, return_index=True)[1])
    row = np.repeat(users, candidates)
    target = np.tile(np.resize(items, candidates), len(users))
    return Rows(
        user_id=test.user_id[row],
        item_id=test.item_id[target],
        occurrence=np.zeros(len(row), np.int32),
        likes_level=test.likes_level[target],
        views_level=test.views_level[target],
        history=test.history[row],
        label=None,
    )


def latencies(learner: Learner, split: Split, users: int) -> tuple[Latency, ...]:
    """The latency for each size in :data:`CANDIDATES`, over the users in turn.

    The split's rows must come from :func:`requests` for the largest size.
    """
    return tuple(_latency(learner, split, n, users) for n in CANDIDATES)


def _latency(learner: Learner, split: Split, candidates: int, users: int) -> Latency:
    def seconds(number: int) -> float:
        index: NDArray[np.int64] = number % users * CANDIDATES[-1] + np.arange(candidates)
        began = time.perf_counter()
        learner.predict(split, index)
        return time.perf_counter() - began

    warm = 0.0
    for number in range(_WARM):
        if warm < _SECONDS:
            warm += seconds(number)
    taken: list[float] = []
    while len(taken) < _REQUESTS and sum(taken) < (_LONGEST if len(taken) < _LEAST else _SECONDS):
        taken.append(seconds(len(taken)))
    half, most = 1e3 * np.percentile(taken, [50, 99])
    return Latency(candidates, float(half), float(most), len(taken))


def peak_bytes(device: str) -> int:
    """The peak memory of this process: of its tensors on the GPU, or on a CPU all of it."""
    if device.startswith("cuda"):
        from mmctr_kit.training.device import peak_gpu_bytes

        return peak_gpu_bytes()
    return peak_process_bytes()
