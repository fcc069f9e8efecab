"""The predictions of a run, keyed by row: the input of every stage after training."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmctr_kit.data.dataset import ChallengeData, Rows
from mmctr_kit.data.folds import UNPREDICTED
from mmctr_kit.data.hashing import digest
from mmctr_kit.errors import RunError, plural
from mmctr_kit.metrics.ranks import Flags, Floats, Ids, Ints, Ints16

LARGEST_LOGIT = 1e100
"""Means, squares and sums of larger ones overflow. A logit of a model is below 100."""


@dataclass(frozen=True)
class Keys:
    """The keys of rows, (rows,) each. A test row's ID is its position."""

    user_id: Ints
    item_id: NDArray[np.int32]
    occurrence: NDArray[np.int32]

    @classmethod
    def none(cls) -> "Keys":
        """The keys of no rows."""
        small = np.zeros(0, np.int32)
        return cls(np.zeros(0, np.int64), small, small)

    @classmethod
    def of(cls, table: Mapping[str, NDArray[Any]]) -> "Keys":
        """The keys in a table's columns."""
        return cls(table["user_id"], table["item_id"], table["occurrence"])

    def __len__(self) -> int:
        return len(self.user_id)

    def same(self, other: "Keys") -> bool:
        """Whether both name the same rows in the same order."""
        return all(np.array_equal(column, vars(other)[name]) for name, column in vars(self).items())

    def take(self, index: Ints | Flags) -> "Keys":
        """The keys at these positions."""
        return Keys(*(column[index] for column in vars(self).values()))

    def order(self) -> Ints:
        """Positions that put the keys into canonical order."""
        return np.lexsort((self.occurrence, self.item_id, self.user_id))

    @property
    def ordered(self) -> bool:
        """Whether the keys are in canonical order; to sort 3.6 million takes 60 times as long."""
        tied = np.ones(max(0, len(self) - 1), np.bool_)
        for column in (self.user_id, self.item_id, self.occurrence):
            before, after = column[:-1], column[1:]
            if (tied & (after < before)).any():
                return False
            tied &= after == before
        return True


@dataclass(frozen=True)
class OutOfFold:
    """Fold models' logits of the train rows, each from the one model that was not to see it.

    (rows,) each. Rows that nobody predicts, as most with folds by item, are no OOF rows.
    """

    keys: Keys
    label: NDArray[np.int8]
    fold: Ints16
    logit: Floats

    @property
    def by_user(self) -> bool:
        """Whether all rows of each user are in one fold."""
        return self._in_one_fold(self.keys.user_id)

    @property
    def by_item(self) -> bool:
        """Whether all rows of each item are in one fold, and some item has several rows."""
        item = self.keys.item_id
        return len(np.unique(item)) < len(item) and self._in_one_fold(item)

    def _in_one_fold(self, ids: Ids) -> bool:
        order = np.argsort(ids, kind="stable")
        same = np.diff(ids[order]) == 0
        return not (same & (np.diff(self.fold[order]) != 0)).any()

    def folds_of(self, rows: Rows) -> Ints16:
        """(train rows,) the fold of each, ``UNPREDICTED`` for those that are no OOF rows.

        Raises RunError if an OOF row is not among them.
        """
        train = keys_of(rows)
        if self.keys.same(train):
            return self.fold
        both = Keys(
            *map(np.concatenate, zip(vars(train).values(), vars(self.keys).values(), strict=True))
        )
        order = both.order()  # stable: a train row comes before the OOF row with its key
        place = np.flatnonzero(order >= len(train))
        ours, theirs = order[place], order[place - 1]
        if not both.take(ours).same(both.take(theirs)):
            raise RunError("the run's OOF rows are not the data's; name the data of the run")
        fold = np.full(len(train), UNPREDICTED, np.int16)
        fold[theirs] = self.fold[ours - len(train)]
        return fold


def mean_logits(each: Floats | Sequence[Floats]) -> Floats:
    """The plain mean over the first axis: the blend of a recipe's seeds and of a run's fold models.

    They are on one scale already, so their logits need no calibration, unlike the runs of different
    recipes that ``blend`` combines.
    """
    return np.asarray(np.mean(each, axis=0))


@dataclass(frozen=True)
class Predictions:
    """A run's logits of the OOF, valid and test rows.

    ``valid`` and ``test`` (folds, rows) float64 are of each fold model, averaged over seeds.
    Imported predictions may lack ``oof``: they count as one fold. They may lack valid too: its
    arrays then have no rows, (folds, 0). Raises RunError if a logit is not finite.
    """

    oof: OutOfFold | None
    valid_keys: Keys
    valid_label: NDArray[np.int8]
    valid: Floats
    test_keys: Keys
    test: Floats

    def __post_init__(self) -> None:
        parts = {"valid": self.valid, "test": self.test}
        if self.oof is not None:
            parts["OOF"] = self.oof.logit
        for name, logits in parts.items():
            gaps = int((~np.isfinite(logits)).sum())
            if gaps:
                many = plural(gaps, f"{name} prediction is", f"{name} predictions are")
                raise RunError(f"{many} missing or not finite")
            if np.size(logits) and (most := float(np.abs(logits).max())) > LARGEST_LOGIT:
                raise RunError(
                    f"{name} predictions reach {most:g}, whose squares are no numbers; expected "
                    f"logits of at most {LARGEST_LOGIT:g}: divide them all by one number"
                )

    @property
    def has_valid(self) -> bool:
        """Whether there are valid rows; imported predictions may have none."""
        return len(self.valid_keys) > 0

    def digest(self) -> str:
        """sha256 of every logit and of the OOF's folds, rows in their present order."""
        parts = {"valid": self.valid, "test": self.test}
        if self.oof is not None:
            parts |= {"oof": self.oof.logit, "fold": self.oof.fold.astype(np.float64)}
        return digest("{name} {shape}", **parts)

    def valid_mean(self) -> Floats:
        """(rows,) the fold mean's logits."""
        return mean_logits(self.valid)

    def test_mean(self) -> Floats:
        """(rows,) the fold mean's logits, in ID order."""
        return mean_logits(self.test)


def keys_of(rows: Rows) -> Keys:
    """The keys of a split."""
    return Keys(rows.user_id, rows.item_id, rows.occurrence)


def predictions_for(
    data: ChallengeData,
    oof: Floats | None,
    fold: Ints16 | None,
    valid: Floats | None,
    test: Floats,
) -> Predictions:
    """Predictions of the loaded data's rows, in canonical order.

    ``oof`` and ``fold`` are of all train rows; those that are ``UNPREDICTED`` are left out. Without
    ``valid``, none of its valid rows.
    """
    train, out_of_fold = data.train, None
    if oof is not None:
        assert fold is not None
        label, some = np.asarray(train.labels()), fold != UNPREDICTED
        out_of_fold = OutOfFold(keys_of(train).take(some), label[some], fold[some], oof[some])
    keys, label = Keys.none(), np.zeros(0, np.int8)
    if valid is None:
        valid = np.zeros((len(test), 0))
    else:
        keys, label = keys_of(data.valid), np.asarray(data.valid.labels())
    return Predictions(out_of_fold, keys, label, valid, keys_of(data.test), test)


def logit_columns(logits: Floats) -> dict[str, NDArray[Any]]:
    """Logits (folds, rows) as columns, after their mean; :func:`fold_logits` reads them back."""
    folds = {f"logit_{i}": row for i, row in enumerate(logits)}
    return {"logit": logits.mean(axis=0), **folds}


def fold_logits(columns: Mapping[str, NDArray[Any]]) -> Floats:
    """Logits (folds, rows) that :func:`logit_columns` wrote."""
    folds = sum(name.startswith("logit_") for name in columns)
    return np.stack([columns[f"logit_{i}"] for i in range(folds)])
