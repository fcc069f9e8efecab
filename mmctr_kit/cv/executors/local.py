"""This machine: fold models one after another in this process, or in parallel in others."""

import os
import time
import warnings
from collections import deque
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

from mmctr_kit.activity import EVERY, Activity, heard_by
from mmctr_kit.cv.executors.base import Resources, WorkerConfig
from mmctr_kit.cv.fold import FitContext, FoldActivity, Job, Listener, Progress, fit_fold
from mmctr_kit.data.dataset import ChallengeData
from mmctr_kit.errors import GpuFailureError, MemoryShortageError, RunError
from mmctr_kit.files import remove_leftovers
from mmctr_kit.items.features import ItemFeatures
from mmctr_kit.processes import KILLED, WorkerExit, WorkerPool, peak_process_bytes
from mmctr_kit.recipe import Recipe
from mmctr_kit.runs.writer import RunWriter
from mmctr_kit.training.build import make_learner


@dataclass(frozen=True)
class LocalExecutor:
    """Processes of this machine.

    ``device`` is a resolved one ('cpu', 'cuda:0', 'cuda:0,cuda:1'); a model that does not use a GPU
    gets the CPU. By default there is one job at a time per GPU, or per core of a CPU as far as
    memory goes, and the jobs share the cores as ``threads``. More ``jobs`` than GPUs share them.
    """

    device: str = "cpu"
    jobs: int | None = None
    threads: int | None = None
    name = "local"

    def require(self) -> None:
        """Nothing: the device is resolved already."""

    def resources(self, models: int | None, uses_gpu: bool) -> Resources:
        from mmctr_kit.training.device import describe_device

        devices = tuple(self.device.split(",")) if uses_gpu else ("cpu",)
        cores = available_cores()
        wanted = self.jobs or (cores if devices == ("cpu",) else len(devices))
        wanted = wanted if models is None else min(wanted, models)
        # Not of the memory: threads are part of a run, which may go on when there is less of it.
        threads = self.threads or capped(max(1, cores // wanted))
        workers = wanted if self.jobs or devices != ("cpu",) else with_room(wanted)
        return Resources(devices[:workers], workers, threads, describe_device(devices[0]))

    def config(
        self, resources: Resources, number: int, recipe: Recipe, data: ChallengeData
    ) -> WorkerConfig:
        return resources.worker(number, recipe, data)

    def pool(
        self, resources: Resources, recipe: Recipe, data: ChallengeData, folder: Path
    ) -> WorkerPool:
        del resources, recipe, data, folder
        return WorkerPool()

    def preview(self, resources: Resources, recipe: Recipe, jobs: int, folder: Path) -> str:
        del resources, recipe, jobs, folder
        return ""

    def fit_folds(
        self, context: FitContext, resources: Resources, jobs: Sequence[Job], listen: Listener
    ) -> None:
        """Fit the jobs' fold models, in this process or in parallel.

        If a worker process is killed, the others go on without it; RunError if it was the last.
        """
        began = time.perf_counter()
        count = min(resources.workers, len(jobs))
        if count > 1:
            try:
                _fit_in_processes(context, resources, jobs, listen, count)
            finally:  # a worker that was ended, as by Ctrl-C, may have been writing
                for job in jobs:
                    remove_leftovers(context.writer.fold(*job).path)
            return
        from mmctr_kit.training.device import prepare

        prepare(resources.device, resources.threads)
        fit_jobs(context, resources.device, jobs, listen, began)


def available_cores() -> int:
    """The cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def with_room(workers: int) -> int:
    """So many workers, or as many as the free memory has room for, at least one.

    A worker loads and prepares what this process has, so it is taken to need as much as this one
    has ever used.
    """
    free = free_memory()
    return workers if free is None else max(1, min(workers, free // peak_process_bytes()))


def free_memory() -> int | None:
    """The bytes that new processes can have, by Linux and by a container's limit; else None."""
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
    except OSError:
        return None
    fields = dict(line.split(":", 1) for line in lines)
    free = 1024 * int(fields["MemAvailable"].split()[0])
    with suppress(OSError, ValueError):  # no container, or one without a limit
        group = Path("/sys/fs/cgroup")
        used, cached = int((group / "memory.current").read_text()), 0
        for line in (group / "memory.stat").read_text().splitlines():
            name, value = line.split()
            cached += int(value) if name in ("inactive_file", "active_file") else 0
        free = min(free, int((group / "memory.max").read_text()) - used + cached)
    return max(free, 0)


def capped(cores: int) -> int:
    """The threads of a worker with so many cores: no more than OMP_NUM_THREADS, if it is set."""
    wanted = os.environ.get("OMP_NUM_THREADS", "")
    return min(cores, int(wanted)) if wanted.isdigit() and int(wanted) else cores


@dataclass(frozen=True)
class Short:
    """A worker had too little memory for its job, or its GPU failed, and it ends."""

    error: MemoryShortageError | GpuFailureError


def _fit_in_processes(
    context: FitContext, resources: Resources, jobs: Sequence[Job], listen: Listener, count: int
) -> None:
    waiting, at_work = deque(jobs), dict[int, Job | None]()
    with WorkerPool() as pool:

        def next_job(number: int) -> None:
            at_work[number] = waiting.popleft() if waiting else None
            pool.send(number, at_work[number])

        for number in range(count):
            config = resources.worker(number, context.recipe, context.data)
            pool.start(number, _work, config, context.items.fingerprints, context.writer.path)
            next_job(number)
        for number, event in pool.events():
            if isinstance(event, Activity):
                if (begun := at_work.get(number)) is not None:
                    listen(FoldActivity(*begun, event))
                continue
            if isinstance(event, Progress | FoldActivity):
                listen(event)
                if isinstance(event, Progress) and event.epoch is None:
                    next_job(number)
                continue
            if isinstance(event, WorkerExit) and not event.cause:
                continue  # a worker that had nothing more to do
            # Not replaced: the others have that much more memory.
            job, short = at_work.pop(number, None), isinstance(event, Short)
            left = sum(other is not None for other in at_work.values())
            if not left:
                why = f"{KILLED}; the same command goes on where it stopped"
                raise event.error if short else RunError(why)
            warnings.warn(f"{event.error if short else KILLED}; going on with {left}", stacklevel=2)
            if job is not None:
                waiting.append(job)


def _work(config: WorkerConfig, expected: tuple[str, ...], path: Path, pipe: Connection) -> None:
    """Fit the jobs that come through the pipe, until None comes, and send their progress."""
    began = time.perf_counter()
    with heard_by(pipe.send):
        recipe, data = config.load()
        items = ItemFeatures.derive(recipe, data)
    config.require(items.fingerprints == expected)
    context = FitContext(recipe, data, items, RunWriter(path))
    try:
        fit_jobs(context, config.device, iter(pipe.recv, None), pipe.send, began)
    except (MemoryShortageError, GpuFailureError) as e:
        pipe.send(Short(e))


def fit_jobs(
    context: FitContext,
    device: str,
    jobs: Iterable[Job],
    listen: Listener,
    began: float,
    every: float = EVERY,
) -> None:
    """Fit one job after another in this process.

    ``began``: when the preparations began, whose time counts to the first fold model. ``every`` as
    in :func:`~mmctr_kit.cv.fold.fit_fold`.
    """
    learner = make_learner(context.recipe, context.data, context.items, device)
    loaded = time.perf_counter() - began
    for job in jobs:
        fit_fold(learner, context, job, listen, loaded, every)
        loaded = 0.0
