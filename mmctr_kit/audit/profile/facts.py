"""What several probes share: the rows as loaded, label means of items, who belongs to whom."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from mmctr_kit.data.contract import Split
from mmctr_kit.data.dataset import ChallengeData, Rows
from mmctr_kit.data.folds import held_out, user_folds
from mmctr_kit.metrics.auc import mean_fold_auc
from mmctr_kit.metrics.estimate import Estimate
from mmctr_kit.metrics.ranks import number_ids

FOLDS = 5
_FOLD_SEED = 0x9806
_PRIOR_ROWS = 4.0
"""Rows of the overall label mean that every item's (or group's) own mean is smoothed with."""

Floats = NDArray[np.float64]
Codes = NDArray[np.intp]


@dataclass(frozen=True)
class Facts:
    """A loaded folder, and what is worked out of it once."""

    data: ChallengeData

    def rows(self, split: Split) -> Rows:
        return self.data.rows[split]

    @cached_property
    def folds(self) -> NDArray[np.int16]:
        """(train rows,) user-grouped folds for all that is cross-fitted."""
        return user_folds(self.data.train.user_id, FOLDS, _FOLD_SEED)

    @cached_property
    def item_rate(self) -> Floats:
        """(train rows,) label mean of the row's item among the other folds' users."""
        train = self.data.train
        return crossfit_rate(train.item_id, train.labels(), self.folds)

    @cached_property
    def item_rows(self) -> NDArray[np.int64]:
        """(n_items + 1,) how many rows of train have the item as target."""
        return np.bincount(self.data.train.item_id, minlength=self.data.n_items + 1)

    @cached_property
    def item_positives(self) -> Floats:
        """(n_items + 1,) how many of them are positive."""
        train = self.data.train
        ones = np.bincount(train.item_id, train.labels(), self.data.n_items + 1)
        return ones.astype(np.float64)

    @cached_property
    def counted(self) -> NDArray[np.bool_]:
        """(train rows,) the half of train's users whose targets make :attr:`popularity`."""
        return held_out(self.data.train.user_id, 0.5, _FOLD_SEED)

    @cached_property
    def popularity(self) -> Floats:
        """(n_items + 1,) log of 1 + how often the item is a target of those users.

        Of half of the users, so that the other half's rows are counted no otherwise than those of
        valid and test: counts that hold a row itself, or leave it out, tell train apart.
        """
        item = self.data.train.item_id[self.counted]
        out: Floats = np.log1p(np.bincount(item, minlength=self.data.n_items + 1))
        return out

    @cached_property
    def unit_vectors(self) -> NDArray[np.float32]:
        """(n_items + 1, d) item_info's embedding, centred and at length 1; zero without one."""
        return unit_vectors(self.data.item_emb)

    @cached_property
    def smoothed_rate(self) -> Floats:
        """(n_items + 1,) label mean of an item in all of train, smoothed."""
        return _smooth(self.item_positives, self.item_rows, float(self.data.train.labels().mean()))


def unit_vectors(table: NDArray[np.float32]) -> NDArray[np.float32]:
    """(items, d) the rows less their mean, at length 1; zero where a row is zero or the mean."""
    there: NDArray[np.bool_] = np.any(table != 0, axis=1)
    x = np.asarray(table, np.float32) - table[there].mean(axis=0) if there.any() else table
    length = np.linalg.norm(x, axis=1, keepdims=True)
    out = np.where(there[:, None] & (length > 0), x / np.maximum(length, 1e-30), 0)
    return out.astype(np.float32)


def crossfit_rate(
    group: NDArray[np.integer], label: NDArray[np.integer], folds: NDArray[np.int16]
) -> Floats:
    """(rows,) smoothed label mean of each row's group, from the rows of the other folds alone."""
    codes = number_ids(group)
    count = int(codes.max(initial=-1)) + 1
    every = int(folds.max(initial=0)) + 1
    cell = codes * every + folds
    rows = np.bincount(cell, minlength=count * every).reshape(count, every)
    ones = np.bincount(cell, label, count * every).reshape(count, every)
    means = _smooth(
        ones.sum(axis=1, keepdims=True) - ones,
        rows.sum(axis=1, keepdims=True) - rows,
        float(np.mean(label)),
    )
    out: Floats = means[codes, folds]
    return out


def crossfit_auc(
    group: NDArray[np.integer],
    label: NDArray[np.integer],
    folds: NDArray[np.int16],
    users: NDArray[np.int64],
) -> Estimate:
    """Mean fold AUC of :func:`crossfit_rate`, the error clustered by user."""
    return mean_fold_auc(label, crossfit_rate(group, label, folds), folds, users)


def both_labels(label: NDArray[np.integer], folds: NDArray[np.int16]) -> bool:
    """Whether every fold has both."""
    return all(0 < label[folds == f].mean() < 1 for f in np.unique(folds))


def within_users(values: NDArray[np.number], codes: Codes) -> Floats:
    """(rows,) each value less the mean of its user's rows; ``codes`` numbers the users."""
    rows = np.bincount(codes)
    mean = np.bincount(codes, values.astype(np.float64)) / rows
    return np.asarray(values, np.float64) - mean[codes]


def _smooth(ones: NDArray[np.number], rows: NDArray[np.number], mean: float) -> Floats:
    return np.asarray((ones + _PRIOR_ROWS * mean) / (rows + _PRIOR_ROWS), np.float64)
