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
from mmctr_kit.learner import Learner, make_learner
from mmctr_kit.recipe import Recipe, parse_recipe
from mmctr_kit.runs import FoldFolder, RunWriter


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


def fit_fold(
    learner: Learner,
    data: ChallengeData,
    recipe: Recipe,
    job: Job,
    folder: FoldFolder,
    listen: Listener,
) -> None:
    """Fit one fold model, from where it was left, and keep its weights and logits."""
    began = time.perf_counter()
    fold, seed = job
    rows = fold_rows(recipe, data, fold)
    state = folder.state()
    lines: list[dict[str, Any]] = []
    if state is not None:
        lines = folder.epochs()[: int(state["epochs_done"])]
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
        folder.save_epoch(lines, epoch.state())
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


def fit_folds(
    crew: Crew,
    recipe: Recipe,
    data: ChallengeData,
    writer: RunWriter,
    jobs: Sequence[Job],
    listen: Listener,
) -> None:
    """Fit the jobs' fold models into the run's fold folders, in this process or side by side."""
    if crew.workers == 1 or len(jobs) < 2:
        _here(crew, recipe, data, writer, jobs, listen)
    else:
        _side_by_side(crew, recipe, data, writer, jobs, listen)


def _here(
    crew: Crew,
    recipe: Recipe,
    data: ChallengeData,
    writer: RunWriter,
    jobs: Sequence[Job],
    listen: Listener,
) -> None:
    from mmctr_kit.training.device import prepare

    if not jobs:
        return
    prepare(crew.device, crew.threads)
    learner = make_learner(recipe, data, crew.device)
    for job in jobs:
        fit_fold(learner, data, recipe, job, writer.fold(*job), listen)


class _Worker:
    """What a worker process holds between its jobs."""

    learner: Learner
    data: ChallengeData
    recipe: Recipe
    events: "Queue[Progress | None]"
    changed: bool


def _begin_worker(
    recipe: Mapping[str, Any],
    folder: Path,
    expected: tuple[str, str],
    crew: Crew,
    events: "Queue[Progress | None]",
) -> None:
    threading.Thread(target=_end_with_parent, daemon=True).start()
    from mmctr_kit.training.device import prepare

    prepare(crew.device, crew.threads)
    _Worker.recipe = parse_recipe(recipe, "recipe")
    _Worker.data = load(folder)
    _Worker.learner = make_learner(_Worker.recipe, _Worker.data, crew.device)
    _Worker.events = events
    _Worker.changed = _fingerprints(_Worker.data) != expected


def _fingerprints(data: ChallengeData) -> tuple[str, str]:
    return data.rows_fingerprint, data.context_fingerprint


def _end_with_parent() -> None:
    """A killed parent must not leave workers behind that write into its run."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _work(path: Path, job: Job) -> None:
    if _Worker.changed:
        raise DataError("the data folder changed while the run began; run the same command again")
    writer = RunWriter(path)
    fit_fold(
        _Worker.learner, _Worker.data, _Worker.recipe, job, writer.fold(*job), _Worker.events.put
    )


def _side_by_side(
    crew: Crew,
    recipe: Recipe,
    data: ChallengeData,
    writer: RunWriter,
    jobs: Sequence[Job],
    listen: Listener,
) -> None:
    context = multiprocessing.get_context("spawn")
    events: Queue[Progress | None] = context.Queue()
    teller = threading.Thread(target=_tell, args=(events, listen), daemon=True)
    teller.start()
    # A recipe's model block is a class made at run time, which pickle can't name.
    settings = (recipe.resolved(), data.folder, _fingerprints(data), crew, events)
    with ProcessPoolExecutor(
        min(crew.workers, len(jobs)), context, initializer=_begin_worker, initargs=settings
    ) as pool:
        futures: list[Future[None]] = [pool.submit(_work, writer.path, job) for job in jobs]
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
