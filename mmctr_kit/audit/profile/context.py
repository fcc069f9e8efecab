"""What several probes share: the loaded data, folds, label means and popularity of items."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from mmctr_kit.data.dataset import ChallengeData
from mmctr_kit.data.folds import held_out, user_folds
from mmctr_kit.metrics.auc import mean_fold_auc
from mmctr_kit.metrics.estimate import Estimate
from mmctr_kit.metrics.ranks import Flags, Floats, Floats32, Ids, Ints, Ints16, number_ids

FOLDS = 5
_FOLD_SEED = 0x9806
_PRIOR_ROWS = 4.0
"""A group's label mean is smoothed with this many rows of the overall mean."""


@dataclass(frozen=True)
class ProfileContext:
    """A loaded folder, and statistics of it that are computed once."""

    data: ChallengeData

    @cached_property
    def folds(self) -> Ints16:
        """(train rows,) user-grouped folds for everything that is cross-fitted."""
        return user_folds(self.data.train.user_id, FOLDS, _FOLD_SEED)

    @cached_property
    def item_rate(self) -> Floats:
        """(train rows,) label mean of the row's item among the other folds' users."""
        train = self.data.train
        return crossfit_rate(train.item_id, train.labels(), self.folds)

    @cached_property
    def item_rows(self) -> Ints:
        """(n_items + 1,) how many rows of train have the item as target."""
        return np.bincount(self.data.train.item_id, minlength=self.data.n_items + 1)

    @cached_property
    def item_positives(self) -> Floats:
        """(n_items + 1,) how many positive rows of train have the item as target."""
        train = self.data.train
        ones = np.bincount(train.item_id, train.labels(), self.data.n_items + 1)
        return ones.astype(np.float64)

    @cached_property
    def counted(self) -> Flags:
        """(train rows,) the half of train's users whose targets make :attr:`popularity`."""
        return held_out(self.data.train.user_id, 0.5, _FOLD_SEED)

    @cached_property
    def popularity(self) -> Floats:
        """(n_items + 1,) log of 1 + how often the item is a target of the :attr:`counted` users.

        Half of the users are counted, so that the other half's rows are treated as valid's and
        test's are: counts that include a row itself, or leave it out, would identify train.
        """
        item = self.data.train.item_id[self.counted]
        return np.asarray(np.log1p(np.bincount(item, minlength=self.data.n_items + 1)))

    @cached_property
    def unit_vectors(self) -> Floats32:
        """(n_items + 1, d) item_info's embedding, centred and at length 1; zero without one."""
        return unit_vectors(self.data.item_emb)

    @cached_property
    def smoothed_rate(self) -> Floats:
        """(n_items + 1,) label mean of an item in all of train, smoothed."""
        return _smooth(self.item_positives, self.item_rows, float(self.data.train.labels().mean()))


def unit_vectors(table: Floats32) -> Floats32:
    """(items, d) the rows less their mean, at length 1; zero if a row is zero or the mean."""
    filled: Flags = np.any(table != 0, axis=1)
    x = np.asarray(table, np.float32) - table[filled].mean(axis=0) if filled.any() else table
    length = np.linalg.norm(x, axis=1, keepdims=True)
    out = np.where(filled[:, None] & (length > 0), x / np.maximum(length, 1e-30), 0)
    return out.astype(np.float32)


def crossfit_rate(group: Ids, label: Ids, folds: Ints16) -> Floats:
    """(rows,) smoothed label mean of each row's group, from the rows of the other folds only."""
    codes = number_ids(group)
    shape = (int(codes.max(initial=-1)) + 1, int(folds.max(initial=0)) + 1)
    cell = codes * shape[1] + folds
    rows = np.bincount(cell, minlength=shape[0] * shape[1]).reshape(shape)
    ones = np.bincount(cell, label, shape[0] * shape[1]).reshape(shape)
    ones, rows = (x.sum(axis=1, keepdims=True) - x for x in (ones, rows))  # of the other folds
    means = _smooth(ones, rows, float(np.mean(label)))
    return np.asarray(means[codes, folds])


def crossfit_auc(group: Ids, label: Ids, folds: Ints16, users: Ints) -> Estimate:
    """Mean fold AUC of :func:`crossfit_rate`, its standard error clustered by user."""
    return mean_fold_auc(label, crossfit_rate(group, label, folds), folds, users)


def both_labels(label: Ids, folds: Ints16) -> bool:
    """Whether every fold has rows of both labels."""
    return all(0 < label[folds == f].mean() < 1 for f in np.unique(folds))


def within_users(values: NDArray[np.number], codes: Ints) -> Floats:
    """(rows,) each value less the mean of its user's rows; ``codes`` numbers the users."""
    rows = np.bincount(codes)
    mean = np.bincount(codes, values.astype(np.float64)) / rows
    return np.asarray(values, np.float64) - mean[codes]


def _smooth(ones: NDArray[np.number], rows: NDArray[np.number], mean: float) -> Floats:
    return np.asarray((ones + _PRIOR_ROWS * mean) / (rows + _PRIOR_ROWS), np.float64)
