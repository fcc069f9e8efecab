"""The runs to blend, as arrays that share rows, labels and folds, and the rows' context."""

from dataclasses import dataclass, field

import numpy as np

from mmctr_kit.data.dataset import ChallengeData, Rows
from mmctr_kit.data.folds import UNPREDICTED, trained_on
from mmctr_kit.errors import RunError
from mmctr_kit.metrics.ranks import Flags, Floats, Floats32, Ids, Ints, Ints16, Labels

FEATURES = ("likes_level", "views_level", "log history length", "log item popularity")
"""Row features that the methods with context use beside the logits."""


@dataclass(frozen=True, eq=False)
class Context:
    """The rows' `FEATURES`: ``oof`` (c, n) and, by fold, ``valid`` and ``test`` (k, c, rows)."""

    oof: Floats32
    valid: Floats32
    test: Floats32


def context_of(data: ChallengeData, fold: Ints16) -> Context:
    """`FEATURES` of the data's rows in canonical order; ``fold`` (n,): the folds of its train rows.

    An item's popularity counts the targets of the rows that a fold model is trained on, whatever
    their labels: an OOF row does not count itself, and valid and test rows see what a fold model's
    OOF rows saw. It is scaled up to all train rows.
    """
    folds, some = int(fold.max()) + 1, fold != UNPREDICTED
    item, size = data.train.item_id, data.n_items + 1
    popularity = np.empty((folds, size), np.float32)
    for f in range(folds):
        used = item[trained_on(data.train, fold, f)]
        scale = len(item) / max(len(used), 1)
        popularity[f] = np.log1p(np.bincount(used, minlength=size) * scale)

    def features(rows: Rows, popularity: Floats32) -> Floats32:
        length = np.log1p(data.histories.lengths[rows.history])
        levels = np.stack([rows.likes_level, rows.views_level, length]).astype(np.float32)
        return np.vstack([levels, popularity])

    valid, test = (
        np.stack([features(rows, of_fold[rows.item_id]) for of_fold in popularity])
        for rows in (data.valid, data.test)
    )
    of_train = features(data.train, popularity[fold, item])[:, some]
    return Context(of_train, valid, test)


@dataclass(frozen=True, eq=False)
class BlendInput:
    """Input of a fitted method.

    The runs' logits (m, rows) on one scale, the fold models (rows,) and any context (c, rows).
    """

    logits: Floats
    fold: Ints16
    context: Floats32 | None = None


@dataclass(frozen=True, eq=False)
class OofRows(BlendInput):
    """Input of a fit: the same with labels and users (rows,)."""

    label: Flags = field(kw_only=True)
    user: Ints = field(kw_only=True)

    def take(self, inside: Ints) -> "OofRows":
        """The rows at these positions."""
        context = None if self.context is None else self.context[:, inside]
        label, user = self.label[inside], self.user[inside]
        return OofRows(self.logits[:, inside], self.fold[inside], context, label=label, user=user)


@dataclass(frozen=True, eq=False)
class Stack:
    """m runs over n train rows and k folds. All logits are finite float64.

    names (m,); oof (m, n), row r from the fold model that did not see it, or None if a run has no
    OOF (imported predictions); label (n,) 0/1; user and item (n,) integer ids; fold (n,) in [0, k);
    valid (m, k, n_valid) and test (m, k, n_test), one row of logits for each fold model; n_valid is
    0 if a run has no valid rows. context: features of the rows, or None.
    Without ``oof``, label, user, item and fold are not used and may be empty, and ``without_oof``
    names the runs that have none.
    Raises RunError if shapes do not match.
    """

    names: tuple[str, ...]
    oof: Floats | None
    label: Labels
    user: Ids
    item: Ids
    fold: Ids
    valid: Floats
    test: Floats
    context: Context | None = None
    without_oof: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        fits = self.valid.shape[:2] == self.test.shape[:2] == (self.runs, self.folds)
        fits &= (self.oof is None) == bool(self.without_oof)
        if self.oof is not None:
            n = len(self.label)
            fits &= self.oof.shape == (self.runs, n) and n > 0
            fits &= all(len(ids) == n for ids in (self.user, self.item, self.fold))
            fits = fits and 0 <= self.fold.min() <= self.fold.max() < self.folds
        if not fits:
            raise RunError(
                f"the arrays of runs {', '.join(self.names)} do not fit each other; blend runs of "
                "the same rows and folds"
            )

    @property
    def runs(self) -> int:
        return len(self.names)

    @property
    def folds(self) -> int:
        return int(self.valid.shape[1])
