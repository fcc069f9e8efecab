"""EASE: the linear item-item model with a closed form (Steck, WWW 2019).

With X (users, items) of zeros and ones and P = (X'X + l2 I)^-1, the weight of history item h for
target t is B[h, t] = -P[h, t] / P[t, t]. A user's own row of X can be taken out exactly by a
rank-one update (Sherman and Morrison 1950): no user is scored by a matrix that has seen them.
"""

from dataclasses import dataclass

import numpy as np

from mmctr_kit.data.contexts import Contexts, cut_by_sum
from mmctr_kit.data.ragged import expand_ranges
from mmctr_kit.metrics.ranks import Floats, Floats32, Ints

_EXPAND = 1 << 23
_ROUNDING = 1e-10
"""Smaller weights are set to 0. They are what rounding leaves of a target that only the user has,
and a tree would recognise the user's own target by them."""


@dataclass(frozen=True)
class Ease:
    """P over the most frequent items; all other items have weight 0.

    ``inverse`` (k + 1, k + 1) float64 is P with a last row and column of zeros; ``column``
    (n_items + 1,) int64 is an item's column in it, k for an item that is not covered.
    ``leverage`` (users,) float64 is x'Px of each user's row x.
    """

    contexts: Contexts
    inverse: Floats
    column: Ints
    leverage: Floats

    def weights(self, number: Ints, target: Ints, item: Ints) -> Floats32:
        """B[item, target], (n,), with the user's row taken out if ``number`` (n,) is not -1."""
        t, h = self.column[target], self.column[item]
        both, diagonal = self.inverse[h, t], self.inverse[t, t]
        known = np.flatnonzero(number >= 0)
        if len(known):
            u = number[known]
            at_target, at_item = self._along(u, t[known]), self._along(u, h[known])
            # 1 - x'Px is positive: P is positive definite with x'Px <= 1 - l2 * |Px|^2 < 1.
            scale = 1 / (1 - self.leverage[u])
            both[known] += at_item * at_target * scale
            diagonal[known] += at_target * at_target * scale
        absent = (t == len(self.inverse) - 1) | (h == len(self.inverse) - 1) | (target == item)
        weight = np.divide(-both, diagonal, out=np.zeros(len(both)), where=~absent)
        weight[np.abs(weight) < _ROUNDING] = 0
        return weight.astype(np.float32)

    def _along(self, number: Ints, column: Ints) -> Floats:
        """P[column] . x for each user's row x, (n,)."""
        size = len(self.inverse)
        pairs, back = np.unique(number * size + column, return_inverse=True)
        number, row = pairs // size, pairs % size
        return _products(self.contexts, self.inverse, self.column, number, row)[back]


def fit_ease(contexts: Contexts, count: Ints, items: int, l2: float) -> Ease:
    """Fit EASE on the ``items`` most frequent items; ``count`` (n_items + 1,) are their users."""
    seen = np.flatnonzero(count)
    chosen = np.sort(seen[np.argsort(-count[seen], kind="stable")][:items])
    k = len(chosen)
    column = np.full(len(count), k)
    column[chosen] = np.arange(k)
    columns = column[contexts.items]
    inverse = _inverse(columns, contexts.offsets, k, l2)
    number = np.repeat(np.arange(len(contexts.users)), contexts.lengths)
    along = _products(contexts, inverse, column, number, columns)
    leverage = np.bincount(number, along, minlength=len(contexts.users)).astype(np.float64)
    return Ease(contexts, inverse, column, leverage)


def _inverse(column: Ints, offsets: Ints, k: int, l2: float) -> Floats:
    """P with a last row and column of zeros, (k + 1, k + 1), of the rows x in CSR form."""
    from scipy.linalg import cho_factor
    from scipy.linalg.lapack import dpotri
    from scipy.sparse import csr_array

    x = csr_array((np.ones(len(column)), column, offsets), shape=(len(offsets) - 1, k + 1))
    gram = np.asarray((x.T @ x).toarray(order="F"), np.float64)
    gram[k], gram[:, k] = 0, 0
    gram[np.diag_indices(k + 1)] += l2
    factor, lower = cho_factor(gram, overwrite_a=True)
    # From the factor's triangle, in place: a third of the time that solving for the inverse takes.
    upper, failed = dpotri(factor, lower=lower, overwrite_c=True)
    assert not failed
    np.copyto(upper, upper.T, where=np.tri(k + 1, k=-1, dtype=np.bool_))
    upper[k, k] = 0
    return np.ascontiguousarray(upper.T)


def _products(contexts: Contexts, inverse: Floats, column: Ints, number: Ints, row: Ints) -> Floats:
    """Sum of inverse[row, s] over the items s of user ``number``, (n,), in chunks."""
    length = contexts.lengths[number]
    result = np.zeros(len(number))
    for chunk in cut_by_sum(length, _EXPAND):
        position, owner = expand_ranges(contexts.offsets[number[chunk]], length[chunk])
        values = inverse[row[chunk][owner], column[contexts.items[position]]]
        result[chunk] = np.bincount(owner, values, minlength=len(result[chunk]))
    return result
