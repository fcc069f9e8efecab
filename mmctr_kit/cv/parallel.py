"""Fold models fitted one after another in this process, or in parallel in worker processes."""

import time
import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

from mmctr_kit.cv.fold import FitContext, Job, Listener, fit_fold
from mmctr_kit.data.dataset import ChallengeData
from mmctr_kit.data.load import load
from mmctr_kit.errors import DataError, RunError
from mmctr_kit.items.features import ItemFeatures
from mmctr_kit.processes import KILLED, WorkerExit, WorkerPool
from mmctr_kit.recipe import Recipe
from mmctr_kit.runs.writer import RunWriter
from mmctr_kit.training.build import make_learner


@dataclass(frozen=True)
class Resources:
    """The processes that fit models, of ``threads`` threads each, spread over ``devices``."""

    devices: tuple[str, ...]
    workers: int
    threads: int

    @property
    def device(self) -> str:
        """The device of a process that works alone."""
        return self.worker_device(0)

    def worker_device(self, worker: int) -> str:
        """The device of a worker, by its number."""
        return self.devices[worker % len(self.devices)]

    def worker(self, number: int, recipe: Recipe, data: ChallengeData) -> "WorkerConfig":
        """The configuration of a worker, by its number."""
        device = self.worker_device(number)
        return WorkerConfig(recipe, data.folder, data.rows_fingerprint, device, self.threads)


@dataclass(frozen=True)
class WorkerConfig:
    """What a worker process is set up with: it loads the data itself, from ``folder``."""

    recipe: Recipe
    folder: Path
    rows_fingerprint: str
    device: str
    threads: int

    def load(self) -> ChallengeData:
        """Prepare the device and load the data. Raises DataError if the rows have changed."""
        from mmctr_kit.training.device import prepare

        prepare(self.device, self.threads)
        data = load(self.folder)
        self.require(data.rows_fingerprint == self.rows_fingerprint)
        return data

    def require(self, unchanged: bool) -> None:
        """Raise DataError unless the data are as the command's own process loaded them."""
        if not unchanged:
            raise DataError(
                f"the data in {self.folder} changed while the command began; run it again"
            )


def fit_folds(
    context: FitContext, resources: Resources, jobs: Sequence[Job], listen: Listener
) -> None:
    """Fit the jobs' fold models, in this process or in parallel.

    If a worker process is killed, goes on with half as many; RunError if it was the only one.
    """
    began = time.perf_counter()
    count = min(resources.workers, len(jobs))
    if count == 1:
        from mmctr_kit.training.device import prepare

        prepare(resources.device, resources.threads)
        _fit_jobs(context, resources.device, jobs, listen, began)
        return
    while jobs and not _run_pool(context, resources, jobs, listen, count):
        if count == 1:
            raise RunError(f"{KILLED}; the same command goes on where it stopped")
        count //= 2
        warnings.warn(f"{KILLED}; going on with {count}", stacklevel=2)
        jobs = [job for job in jobs if not context.writer.fold(*job).finished]


def _run_pool(
    context: FitContext, resources: Resources, jobs: Sequence[Job], listen: Listener, count: int
) -> bool:
    """Fit the jobs in ``count`` processes; False, with all of them ended, if one was killed."""
    waiting, items = iter(jobs), context.items.fingerprints
    with WorkerPool() as pool:
        for number in range(count):
            config = resources.worker(number, context.recipe, context.data)
            pool.start(number, _work, config, items, context.writer.path)
            pool.send(number, next(waiting, None))
        for number, event in pool.events():
            if isinstance(event, WorkerExit):
                if event.signal:
                    return False
                continue
            listen(event)
            if event.epoch is None:
                pool.send(number, next(waiting, None))
    return True


def _work(config: WorkerConfig, expected: tuple[str, ...], path: Path, pipe: Connection) -> None:
    """Fit the jobs that come through the pipe, until None comes, and send their progress."""
    began = time.perf_counter()
    data = config.load()
    items = ItemFeatures.derive(config.recipe, data)
    config.require(items.fingerprints == expected)
    context = FitContext(config.recipe, data, items, RunWriter(path))
    _fit_jobs(context, config.device, iter(pipe.recv, None), pipe.send, began)


def _fit_jobs(
    context: FitContext, device: str, jobs: Iterable[Job], listen: Listener, began: float
) -> None:
    """``began``: when the preparations began, whose time counts to the first fold model."""
    learner = make_learner(context.recipe, context.data, context.items, device)
    loaded = time.perf_counter() - began
    for job in jobs:
        fit_fold(learner, context, job, listen, loaded)
        loaded = 0.0
