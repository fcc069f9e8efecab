"""The runs to be blended, as arrays that share rows, labels and folds."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmctr_kit.data.dataset import ChallengeData, Rows
from mmctr_kit.errors import RunError, plural

FEATURES = ("likes_level", "views_level", "log history length", "log item popularity")


@dataclass(frozen=True, eq=False)
class Context:
    """c features of the rows: ``oof`` (c, n), ``valid`` (k, c, n_valid), ``test`` (k, c, n_test),
    float32, a row of valid or test once for each fold."""

    oof: NDArray[np.float32]
    valid: NDArray[np.float32]
    test: NDArray[np.float32]


def context_of(data: ChallengeData, fold: NDArray[np.int16]) -> Context:
    """`FEATURES` of the data's rows in canonical order; ``fold`` (n,) is that of its train rows.

    An item's popularity is that among the targets of the *other* folds' train rows, whatever their
    labels: a row of OOF does not count itself, and valid and test see in each fold's model what
    that fold's OOF rows saw.
    """
    folds = int(fold.max()) + 1
    item = data.train.item_id
    counts = np.stack(
        [np.bincount(item[fold != f], minlength=data.n_items + 1) for f in range(folds)]
    )
    popularity = np.log1p(counts * (folds / max(folds - 1, 1))).astype(np.float32)
    train = np.vstack([_plain(data, data.train), popularity[fold, item]])
    return Context(
        train, _all_folds(data, data.valid, popularity), _all_folds(data, data.test, popularity)
    )


def _plain(data: ChallengeData, rows: Rows) -> NDArray[np.float32]:
    length = np.log1p(data.histories.lengths[rows.history])
    return np.stack([rows.likes_level, rows.views_level, length]).astype(np.float32)


def _all_folds(
    data: ChallengeData, rows: Rows, popularity: NDArray[np.float32]
) -> NDArray[np.float32]:
    plain = _plain(data, rows)
    return np.stack([np.vstack([plain, counted[rows.item_id]]) for counted in popularity])


@dataclass(frozen=True, eq=False)
class Stack:
    """m runs over n train rows and k folds. All logits are float64 and finite.

    names (m,); oof (m, n), row r from the fold model that did not see it, or None where a run
    has no OOF (imported predictions); label (n,) 0/1; user and item (n,) integer ids; fold (n,) in
    [0, k);
    valid (m, k, n_valid) and test (m, k, n_test), one row of logits for each fold model;
    n_valid is 0 where a run has no valid rows.
    context: what is known of the rows besides, or None.
    Without ``oof``, label, user, item and fold are not looked at and may be empty.
    Raises RunError where shapes do not match or a logit is missing.
    """

    names: tuple[str, ...]
    oof: NDArray[np.float64] | None
    label: NDArray[np.integer[Any]] | NDArray[np.bool_]
    user: NDArray[np.integer[Any]]
    item: NDArray[np.integer[Any]]
    fold: NDArray[np.integer[Any]]
    valid: NDArray[np.float64]
    test: NDArray[np.float64]
    context: Context | None = None

    def __post_init__(self) -> None:
        if len(self.names) == 0:
            raise RunError("a blend needs at least one run, found none: name the runs to blend")
        if len(set(self.names)) != len(self.names):
            raise RunError(f"each run may be blended once, found {', '.join(self.names)}")
        for what, logits in (("valid", self.valid), ("test", self.test)):
            if logits.ndim != 3 or logits.shape[:2] != (self.runs, self.folds):
                raise RunError(
                    f"{what} logits must have shape ({self.runs} runs, {self.folds} folds, rows), "
                    f"found {logits.shape}: blend runs of the same folds"
                )
            self._no_gap(what, logits)
        if self.oof is not None:
            self._check_oof(self.oof)

    @property
    def runs(self) -> int:
        return len(self.names)

    @property
    def folds(self) -> int:
        return self.valid.shape[1] if self.valid.ndim == 3 else 0

    def _check_oof(self, oof: NDArray[np.float64]) -> None:
        rows = len(self.label)
        if oof.shape != (self.runs, rows) or any(
            len(ids) != rows for ids in (self.user, self.item, self.fold)
        ):
            raise RunError(
                f"OOF logits must have shape ({self.runs} runs, {rows} rows) with a user, an "
                f"item and a fold a row, found {oof.shape}: blend runs of the same rows"
            )
        self._no_gap("OOF", oof)
        if not np.isin(self.label, (0, 1)).all():
            raise RunError("labels must be 0 or 1, found other values: check the data folder")
        if rows == 0 or self.fold.min() < 0 or self.fold.max() >= self.folds:
            raise RunError(f"each row's fold must lie in 0..{self.folds - 1}: train the runs again")
        for f in range(self.folds):
            if len(np.unique(self.label[self.fold == f])) < 2:
                raise RunError(
                    f"a blend needs positives and negatives in every fold, fold {f} lacks one: "
                    "train with fewer folds or more rows"
                )

    def _no_gap(self, what: str, logits: NDArray[np.float64]) -> None:
        for name, of_run in zip(self.names, logits, strict=True):
            gaps = of_run.size - int(np.count_nonzero(np.isfinite(of_run)))
            if gaps:
                raise RunError(
                    f"{what} logits must be finite, found {plural(gaps, 'gap')} or infinities in "
                    f"run '{name}': train or import it again"
                )
