"""The models of a run: the rows that each one uses, and how one is fitted.

A cross-validation has fold models; ``fit`` has one model, of the whole train split.
"""

import math
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmctr_kit.activity import EVERY, Activity, doing, heard_by
from mmctr_kit.data.dataset import ChallengeData
from mmctr_kit.data.folds import WHOLE, held_out, trained_on, user_hash
from mmctr_kit.data.hashing import fingerprint
from mmctr_kit.items.features import ItemFeatures
from mmctr_kit.recipe import Recipe
from mmctr_kit.runs.fold_folder import MADE_OF
from mmctr_kit.runs.writer import RunWriter
from mmctr_kit.training.learner import Epoch, Learner


@dataclass(frozen=True)
class Progress:
    """An epoch of one model, or (``epoch`` None) that the model is finished.

    ``fold`` is WHOLE for a model of the whole train split. ``holdout_auc`` is NaN if nobody
    is held out.
    """

    fold: int
    seed: int
    epoch: int | None
    epochs: int
    train_loss: float
    holdout_auc: float
    seconds: float


@dataclass(frozen=True)
class FoldActivity:
    """What is being done for one model; ``fold`` and ``seed`` as in :class:`Progress`."""

    fold: int
    seed: int
    activity: Activity


Listener = Callable[[Progress | FoldActivity], None]

Job = tuple[int, int]
"""The fold and the seed of a model."""


@dataclass(frozen=True)
class FitContext:
    """What the fold models of a run need: the recipe, the data, their item features, the writer."""

    recipe: Recipe
    data: ChallengeData
    items: ItemFeatures
    writer: RunWriter


@dataclass(frozen=True)
class FoldRows:
    """Train-split rows of a fold model: to train on, to choose its snapshot by, and to predict."""

    train: NDArray[np.int64]
    holdout: NDArray[np.int64]
    predicted: NDArray[np.int64]


def fold_rows(recipe: Recipe, data: ChallengeData, fold: int) -> FoldRows:
    """The rows of one fold; a user who is held out has no row to train on.

    But with folds by time, all rows of a user are in one of the three parts, or in none. A model of
    the whole split predicts none of them, and the recipe's folds do not matter to it.
    """
    user, seed = data.train.user_id, 0 if fold == WHOLE else recipe.folds.seed
    if fold == WHOLE:
        predicted, trained = np.zeros(len(user), np.bool_), np.ones(len(user), np.bool_)
    else:
        folds = recipe.folds.assign(data.train)
        predicted, trained = folds == fold, trained_on(data.train, folds, fold)
    # Each fold holds out other users, so every user trains some model.
    key = int(user_hash(np.array([fold]), seed)[0] >> np.uint64(1))
    held = held_out(user, recipe.training.holdout, key)
    parts = (trained & ~held, trained & held, predicted)
    return FoldRows(*(np.flatnonzero(part) for part in parts))


PHASES = ("load", "compile", "train", "evaluate", "write")
"""The phases of a fold model's time: preparing data and signals, compiling and capturing the step,
training, predicting, and writing to its folder."""


def model_identity(recipe: Recipe, data: ChallengeData, items: ItemFeatures, job: Job) -> str:
    """The fingerprint of all that one model is made of, beside the environment.

    The folds do not matter to a model of the whole train split.
    """
    content = recipe.content()
    if job[0] == WHOLE:
        del content["folds"]
    return fingerprint(content, data.rows_fingerprint, *items.fingerprints, job)


class Clock:
    """A stopwatch that adds to the ``seconds`` of each phase, starting from ``spent``."""

    def __init__(self, spent: Mapping[str, float]) -> None:
        self.seconds = {phase: float(spent.get(phase, 0.0)) for phase in PHASES}
        self._last = time.perf_counter()

    def lap(self, phase: str) -> None:
        """Add the time since the last lap to the phase."""
        now = time.perf_counter()
        self.seconds[phase] += now - self._last
        self._last = now

    def epoch(self, epoch: Epoch) -> None:
        """Add an epoch that has just ended, and to ``load`` the time before it."""
        self.lap("load")
        compiled, evaluated = epoch.compile_seconds, epoch.evaluate_seconds
        self.seconds["load"] -= epoch.seconds
        self.seconds["compile"] += compiled
        self.seconds["evaluate"] += evaluated
        self.seconds["train"] += epoch.seconds - compiled - evaluated


_LOGGED = ("epoch", "train_loss", "holdout_auc", "holdout_logloss", "best")
"""What metrics.jsonl says of each epoch."""


def fit_fold(
    learner: Learner,
    context: FitContext,
    job: Job,
    listen: Listener,
    loaded: float = 0.0,
    every: float = EVERY,
) -> None:
    """Fit one model, from its last saved epoch, and write its weights and logits.

    ``listen`` hears how far an epoch is ``every`` so many seconds at most, and one event at a time.
    """
    # An epoch is reported by the thread that has saved it; and a listener may itself do what says
    # what it is doing.
    lock = threading.RLock()

    def say(event: Progress | FoldActivity) -> None:
        with lock:
            listen(event)

    with heard_by(lambda activity: say(FoldActivity(*job, activity)), every):
        _fit_fold(learner, context, job, say, loaded)


def _fit_fold(
    learner: Learner, context: FitContext, job: Job, listen: Listener, loaded: float
) -> None:
    fold, seed = job
    doing("preparing")
    folder = context.writer.fold(fold, seed)
    rows = fold_rows(context.recipe, context.data, fold)
    lines, resume, spent = folder.saved_state()
    clock = Clock(spent)
    clock.seconds["load"] += loaded
    made_of = {MADE_OF: model_identity(context.recipe, context.data, context.items, job)}
    with ThreadPoolExecutor(1) as writer:
        saved: Future[None] | None = None
        for epoch in learner.fit(rows.train, rows.holdout, model_seed(seed, fold), resume):
            clock.epoch(epoch)
            logged = {name: getattr(epoch, name) for name in _LOGGED}
            lines.append({k: None if v != v else v for k, v in logged.items()})  # NaN to null
            if saved is not None:
                saved.result()
            # Written while the next epoch trains, since a large state takes as long as an epoch,
            # and reported only afterwards, so that an epoch the user has seen is never lost.
            state = epoch.state()
            timings = {**clock.seconds, "epochs": epoch.epochs, **made_of}
            save = partial(folder.save_epoch, list(lines), state, timings)
            saved = writer.submit(_save_and_report, save, partial(listen, _progress(job, epoch)))
            if epoch.live:
                saved.result()
            clock.lap("write")
        if saved is not None:
            saved.result()
    clock.lap("write")
    logits = {
        "oof": learner.predict("train", rows.predicted),
        "valid": learner.predict("valid"),
        "test": learner.predict("test"),
    }
    importance = learner.importance()
    clock.lap("evaluate")
    doing("writing")
    if importance is not None:
        folder.save_importance(importance)
    how: dict[str, Any] = {"data_on": learner.data_on, **made_of}
    if (trained := learner.trained()) is not None:
        how["trained"] = asdict(trained)
    folder.finish(learner.weights(), logits, {**clock.seconds, **how})
    best = max((x for line in lines if (x := line["holdout_auc"]) is not None), default=math.nan)
    loss, seconds = lines[-1]["train_loss"], sum(clock.seconds.values())
    listen(Progress(fold, seed, None, len(lines), loss, best, seconds))


def _save_and_report(save: Callable[[], None], report: Callable[[], None]) -> None:
    save()
    report()


def _progress(job: Job, epoch: Epoch) -> Progress:
    return Progress(
        *job, epoch.epoch, epoch.epochs, epoch.train_loss, epoch.holdout_auc, epoch.seconds
    )


def model_seed(seed: int, fold: int) -> int:
    """The seed of one model; different seeds and folds give unrelated ones."""
    return int(np.random.SeedSequence([seed, fold % 2**32]).generate_state(1)[0])
