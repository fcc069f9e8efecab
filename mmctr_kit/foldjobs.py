"""Fold models: which rows each sees, fitting one, and fitting many side by side."""

import multiprocessing
import os
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from multiprocessing.queues import Queue
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmctr_kit.challenge.data import ChallengeData
from mmctr_kit.challenge.load import load
from mmctr_kit.errors import DataError, RunError
from mmctr_kit.folds import held_out, user_folds, user_hash
from mmctr_kit.items.features import feature_fingerprints
from mmctr_kit.learner import Learner, make_learner
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
    """Where fold models are fitted: ``workers`` processes of ``threads`` threads on ``device``."""

    device: str
    workers: int
    threads: int


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


def fit_fold(learner: Learner, work: Work, job: Job, listen: Listener) -> None:
    """Fit one fold model, from where it was left, and keep its weights and logits."""
    fold, seed = job
    folder = work.writer.fold(fold, seed)
    rows = fold_rows(work.recipe, work.data, fold)
    lines, state, spent = folder.left_off()
    began = time.perf_counter() - spent
    for epoch in learner.fit(rows.train, rows.holdout, model_seed(seed, fold), state):
        lines.append(
            {
                "epoch": epoch.epoch,
                "train_loss": epoch.train_loss,
                "holdout_auc": epoch.holdout_auc,
                "holdout_logloss": epoch.holdout_logloss,
                "best": epoch.best,
            }
        )
        folder.save_epoch(lines, epoch.state(), time.perf_counter() - began)
        listen(
            Progress(
                fold,
                seed,
                epoch.epoch,
                epoch.epochs,
                epoch.train_loss,
                epoch.holdout_auc,
                epoch.seconds,
            )
        )
    logits = {
        "oof": learner.predict("train", rows.own),
        "valid": learner.predict("valid"),
        "test": learner.predict("test"),
    }
    seconds = time.perf_counter() - began
    folder.finish(learner.weights(), logits, seconds)
    best = max(line["holdout_auc"] for line in lines)
    listen(Progress(fold, seed, None, len(lines), lines[-1]["train_loss"], best, seconds))


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
    prepare(crew.device, crew.threads)
    learner = make_learner(work.recipe, work.data, crew.device)
    for job in jobs:
        fit_fold(learner, work, job, listen)


@dataclass(frozen=True)
class _Settings:
    """What a worker process is told. A recipe's model block is a class made at run time, which
    pickle can't name, so the recipe goes as plain values."""

    recipe: Mapping[str, Any]
    folder: Path
    expected: tuple[str, ...]
    path: Path
    crew: Crew
    events: "Queue[Progress | None]"


class _Worker:
    """What a worker process holds between its jobs."""

    settings: _Settings
    work: Work | None = None
    learner: Learner


def _begin_worker(settings: _Settings) -> None:
    threading.Thread(target=_end_with_parent, daemon=True).start()
    _Worker.settings = settings


def _fit_in_worker(job: Job) -> None:
    told = _Worker.settings
    # Not in _begin_worker: only a job's errors reach the user, one there just breaks the pool.
    if _Worker.work is None:
        _Worker.work = _prepare_worker(told)
    fit_fold(_Worker.learner, _Worker.work, job, told.events.put)


def _prepare_worker(told: _Settings) -> Work:
    from mmctr_kit.training.device import prepare

    prepare(told.crew.device, told.crew.threads)
    recipe, data = parse_recipe(told.recipe, "recipe"), load(told.folder)
    features = feature_fingerprints(recipe, data)
    if (data.rows_fingerprint, *features) != told.expected:
        raise DataError("the data changed while the run began; run the same command again")
    _Worker.learner = make_learner(recipe, data, told.crew.device)
    return Work(recipe, data, features, RunWriter(told.path))


def _end_with_parent() -> None:
    """A killed parent must not leave workers behind that write into its run."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _side_by_side(work: Work, crew: Crew, jobs: Sequence[Job], listen: Listener) -> None:
    context = multiprocessing.get_context("spawn")
    events: Queue[Progress | None] = context.Queue()
    teller = threading.Thread(target=_tell, args=(events, listen), daemon=True)
    teller.start()
    expected = (work.data.rows_fingerprint, *work.features)
    recipe, folder = work.recipe.resolved(), work.data.folder
    settings = _Settings(recipe, folder, expected, work.writer.path, crew, events)
    with ProcessPoolExecutor(
        min(crew.workers, len(jobs)), context, initializer=_begin_worker, initargs=(settings,)
    ) as pool:
        futures: list[Future[None]] = [pool.submit(_fit_in_worker, job) for job in jobs]
        try:
            for future in as_completed(futures):
                future.result()
        except BrokenProcessPool as e:
            raise RunError(
                "a worker process was killed, perhaps for want of memory; the same command goes "
                "on where it stopped, with --workers 1 in less memory"
            ) from e
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
