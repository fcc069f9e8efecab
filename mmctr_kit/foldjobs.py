"""Fold models: which rows each sees, fitting one, and fitting many side by side."""

import multiprocessing
import os
import threading
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, ThreadPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from functools import partial
from multiprocessing.queues import Queue
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmctr_kit.challenge.data import ChallengeData
from mmctr_kit.challenge.load import load
from mmctr_kit.errors import DataError, RunError, warn_in_one_line
from mmctr_kit.folds import held_out, user_folds, user_hash
from mmctr_kit.items.features import feature_fingerprints
from mmctr_kit.learner import LARGE_STATE, Epoch, Learner, make_learner
from mmctr_kit.recipe import Recipe, parse_recipe
from mmctr_kit.runs import RunWriter


@dataclass(frozen=True)
class Progress:
    """An epoch of one fold model, or (``epoch`` None) that the fold model is finished."""

    fold: int
    seed: int
    epoch: int | None
    epochs: int
    train_loss: float
    holdout_auc: float
    seconds: float


Listener = Callable[[Progress], None]


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


Job = tuple[int, int]
"""(fold, seed)."""


@dataclass(frozen=True)
class Work:
    """A run to be fitted: ``recipe`` on ``data``, into the fold folders of ``writer``.

    ``features`` are the fingerprints of what its models see, as the run's manifest has them.
    """

    recipe: Recipe
    data: ChallengeData
    features: tuple[str, ...]
    writer: RunWriter


@dataclass(frozen=True)
class FoldRows:
    """Row numbers of the train split: what a fold model is trained on, what chooses its snapshot,
    and what it predicts."""

    train: NDArray[np.int64]
    holdout: NDArray[np.int64]
    own: NDArray[np.int64]


def fold_rows(recipe: Recipe, data: ChallengeData, fold: int) -> FoldRows:
    """The rows of one fold; all rows of a user are in one of the three."""
    user = data.train.user_id
    own = user_folds(user, recipe.folds.count, recipe.folds.seed) == fold
    # Each fold holds out users of its own: none is kept from every model.
    key = int(user_hash(np.array([fold]), recipe.folds.seed)[0] >> np.uint64(1))
    held = held_out(user, recipe.training.holdout, key)
    return FoldRows(np.flatnonzero(~own & ~held), np.flatnonzero(~own & held), np.flatnonzero(own))


PHASES = ("load", "compile", "train", "evaluate", "write")
"""What a fold model's time goes to: preparing its data and signals, compiling and capturing the
step, training, predicting, and writing to its folder."""


class Clock:
    """Adds up ``seconds`` by phase, beginning with those spent before."""

    def __init__(self, spent: Mapping[str, float]) -> None:
        self.seconds = {phase: float(spent.get(phase, 0.0)) for phase in PHASES}
        self._last = time.perf_counter()

    def lap(self, phase: str) -> None:
        """Count the time since the last lap to the phase."""
        now = time.perf_counter()
        self.seconds[phase] += now - self._last
        self._last = now

    def epoch(self, epoch: Epoch) -> None:
        """Count an epoch that has just ended; what came before it, the learner prepared."""
        self.lap("load")
        compiled, evaluated = epoch.compile_seconds, epoch.evaluate_seconds
        self.seconds["load"] -= epoch.seconds
        self.seconds["compile"] += compiled
        self.seconds["evaluate"] += evaluated
        self.seconds["train"] += epoch.seconds - compiled - evaluated


def fit_fold(learner: Learner, work: Work, job: Job, listen: Listener, loaded: float = 0.0) -> None:
    """Fit one fold model, from where it was left, and keep its weights and logits.

    ``loaded``: seconds that went to the learner's own making.
    """
    fold, seed = job
    folder = work.writer.fold(fold, seed)
    rows = fold_rows(work.recipe, work.data, fold)
    lines, state, spent = folder.left_off()
    clock = Clock(spent)
    clock.seconds["load"] += loaded
    with ThreadPoolExecutor(1) as writer:
        saved: Future[None] | None = None
        for epoch in learner.fit(rows.train, rows.holdout, model_seed(seed, fold), state):
            clock.epoch(epoch)
            lines.append(
                {
                    "epoch": epoch.epoch,
                    "train_loss": epoch.train_loss,
                    "holdout_auc": epoch.holdout_auc,
                    "holdout_logloss": epoch.holdout_logloss,
                    "best": epoch.best,
                }
            )
            if saved is not None:
                saved.result()
            # Written while the next epoch trains: a large model's state takes as long as that does.
            # Told only then: an epoch that the user has seen is never lost.
            now = epoch.state()
            saved = writer.submit(
                _save_and_tell,
                partial(folder.save_epoch, list(lines), now, dict(clock.seconds)),
                partial(listen, _progress(job, epoch)),
            )
            if sum(value.nbytes for value in now.values()) > LARGE_STATE:
                saved.result()
            clock.lap("write")
        if saved is not None:
            saved.result()
    clock.lap("write")
    logits = {
        "oof": learner.predict("train", rows.own),
        "valid": learner.predict("valid"),
        "test": learner.predict("test"),
    }
    clock.lap("evaluate")
    timings = {**clock.seconds, "data_on": learner.data_on}
    folder.finish(learner.weights(), logits, timings)
    best = max(line["holdout_auc"] for line in lines)
    loss, seconds = lines[-1]["train_loss"], sum(clock.seconds.values())
    listen(Progress(fold, seed, None, len(lines), loss, best, seconds))


def _save_and_tell(save: Callable[[], None], tell: Callable[[], None]) -> None:
    save()
    tell()


def _progress(job: Job, epoch: Epoch) -> Progress:
    return Progress(
        *job, epoch.epoch, epoch.epochs, epoch.train_loss, epoch.holdout_auc, epoch.seconds
    )


def model_seed(seed: int, fold: int) -> int:
    """The seed of one fold model: unrelated for different seeds or folds."""
    return int(np.random.SeedSequence([seed, fold]).generate_state(1)[0])


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
    learner = make_learner(work.recipe, work.data, crew.device)
    loaded = time.perf_counter() - began
    for job in jobs:
        fit_fold(learner, work, job, listen, loaded)
        loaded = 0.0


@dataclass(frozen=True)
class _Settings:
    """What a worker process is told. A recipe's model block is a class made at run time, which
    pickle can't name, so the recipe goes as plain values."""

    recipe: Mapping[str, Any]
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
    recipe, data = parse_recipe(told.recipe, "recipe"), load(told.folder)
    features = feature_fingerprints(recipe, data)
    if (data.rows_fingerprint, *features) != told.expected:
        raise DataError("the data changed while the run began; run the same command again")
    _Worker.learner = make_learner(recipe, data, device)
    return Work(recipe, data, features, RunWriter(told.path))


def end_with_parent() -> None:
    """A killed parent must not leave workers behind that write into its run."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


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
    expected = (work.data.rows_fingerprint, *work.features)
    recipe, folder = work.recipe.resolved(), work.data.folder
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
