"""Fold models fitted one after another in this process, or side by side in worker processes."""

import multiprocessing
import threading
import time
import warnings
from collections.abc import Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from multiprocessing.queues import Queue
from pathlib import Path

from mmctr_kit.cv.fold import Job, Listener, Progress, Work, fit_fold
from mmctr_kit.data.load import load
from mmctr_kit.errors import DataError, RunError, warn_in_one_line
from mmctr_kit.items.features import ItemFeatures
from mmctr_kit.processes import end_with_parent
from mmctr_kit.recipe import Recipe
from mmctr_kit.runs.writer import RunWriter
from mmctr_kit.training.build import make_learner
from mmctr_kit.training.learner import Learner


@dataclass(frozen=True)
class Crew:
    """Where fold models are fitted: ``workers`` processes of ``threads`` threads on ``device``, or
    spread over ``cards``, of which it is the first."""

    device: str
    workers: int
    threads: int
    cards: tuple[str, ...] = ()

    def card(self, worker: int) -> str:
        """The device of a worker, by its number."""
        return self.cards[worker % len(self.cards)] if self.cards else self.device


def fit_folds(work: Work, crew: Crew, jobs: Sequence[Job], listen: Listener) -> None:
    """Fit the jobs' fold models, in this process or side by side."""
    if crew.workers == 1 or len(jobs) < 2:
        _here(work, crew, jobs, listen)
    else:
        _side_by_side(work, crew, jobs, listen)


def _here(work: Work, crew: Crew, jobs: Sequence[Job], listen: Listener) -> None:
    from mmctr_kit.training.device import prepare

    if not jobs:
        return
    began = time.perf_counter()
    prepare(crew.device, crew.threads)
    learner = make_learner(work.recipe, work.data, work.items, crew.device)
    loaded = time.perf_counter() - began
    for job in jobs:
        fit_fold(learner, work, job, listen, loaded)
        loaded = 0.0


@dataclass(frozen=True)
class _Settings:
    """What a worker process is told."""

    recipe: Recipe
    folder: Path
    expected: tuple[str, ...]
    path: Path
    crew: Crew
    numbers: "Queue[int]"
    events: "Queue[Progress | None]"


class _Worker:
    """What a worker process holds between its jobs."""

    settings: _Settings
    work: Work | None = None
    learner: Learner


def _begin_worker(settings: _Settings) -> None:
    warn_in_one_line()
    threading.Thread(target=end_with_parent, daemon=True).start()
    _Worker.settings = settings


def _fit_in_worker(job: Job) -> None:
    told, loaded = _Worker.settings, 0.0
    # Not in _begin_worker: only a job's errors reach the user, one there just breaks the pool.
    if _Worker.work is None:
        began = time.perf_counter()
        _Worker.work = _prepare_worker(told)
        loaded = time.perf_counter() - began
    fit_fold(_Worker.learner, _Worker.work, job, told.events.put, loaded)


def _prepare_worker(told: _Settings) -> Work:
    from mmctr_kit.training.device import prepare

    device = told.crew.card(told.numbers.get())
    prepare(device, told.crew.threads)
    recipe, data = told.recipe, load(told.folder)
    items = ItemFeatures.derive(recipe, data)
    if (data.rows_fingerprint, *items.fingerprints) != told.expected:
        raise DataError("the data changed while the run began; run the same command again")
    _Worker.learner = make_learner(recipe, data, items, device)
    return Work(recipe, data, items, RunWriter(told.path))


def _side_by_side(work: Work, crew: Crew, jobs: Sequence[Job], listen: Listener) -> None:
    """On the crew; where a worker is killed, what is left on half as many."""
    count = min(crew.workers, len(jobs))
    while jobs:
        try:
            _on_workers(work, crew, jobs, listen, count)
        except BrokenProcessPool as e:
            if count == 1:
                raise RunError(
                    "a worker process was killed, perhaps for want of memory; the same command "
                    "goes on where it stopped"
                ) from e
            count //= 2
            warnings.warn(
                f"a worker process was killed, perhaps for want of memory; going on with {count}",
                stacklevel=2,
            )
        jobs = [job for job in jobs if not work.writer.fold(*job).finished]


def _on_workers(work: Work, crew: Crew, jobs: Sequence[Job], listen: Listener, count: int) -> None:
    """The jobs on ``count`` processes; BrokenProcessPool where one of them is killed."""
    context = multiprocessing.get_context("spawn")
    events: Queue[Progress | None] = context.Queue()
    teller = threading.Thread(target=_tell, args=(events, listen), daemon=True)
    teller.start()
    expected = (work.data.rows_fingerprint, *work.items.fingerprints)
    recipe, folder = work.recipe, work.data.folder
    numbers: Queue[int] = context.Queue()
    for number in range(count):
        numbers.put(number)
    settings = _Settings(recipe, folder, expected, work.writer.path, crew, numbers, events)
    with ProcessPoolExecutor(
        count, context, initializer=_begin_worker, initargs=(settings,)
    ) as pool:
        futures: list[Future[None]] = [pool.submit(_fit_in_worker, job) for job in jobs]
        try:
            for future in as_completed(futures):
                future.result()
        except BrokenProcessPool:
            raise
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            for process in multiprocessing.active_children():
                process.terminate()
            raise
    events.put(None)
    teller.join()


def _tell(events: "Queue[Progress | None]", listen: Listener) -> None:
    while (event := events.get()) is not None:
        listen(event)
