"""Ranks and ids as integers: what exact AUC and rank correlation are counted from. Numpy only."""

from typing import Any

import numpy as np
from numpy.typing import NDArray


def twice_below(ordered: NDArray[np.float64], keys: NDArray[np.float64]) -> NDArray[np.int64]:
    """(keys,) int64: 2 x values of sorted ``ordered`` under each key + values equal to it.

    Integers, so that counting a tie as one half stays exact. Fast where ``keys`` is sorted too.
    """
    below = np.searchsorted(ordered, keys, "left") + np.searchsorted(ordered, keys, "right")
    return below.astype(np.int64, copy=False)


def midranks(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """(n,) float64 ranks from 1, equal values sharing the mean of their ranks."""
    order = np.argsort(values)
    ordered = values[order]
    ranks = np.empty(len(values))
    ranks[order] = midranks_of_sorted(np.r_[True, ordered[1:] != ordered[:-1]])
    return ranks


def midranks_of_sorted(new: NDArray[np.bool_]) -> NDArray[np.float64]:
    """(n,) float64 ranks from 1 of sorted values; ``new`` is True where the value changes."""
    edges = np.append(np.flatnonzero(new), len(new))
    means: NDArray[np.float64] = (edges[:-1] + edges[1:] + 1) / 2.0
    return np.repeat(means, np.diff(edges))


def number_ids(ids: NDArray[np.integer[Any]]) -> NDArray[np.intp]:
    """(n,) ids renumbered 0, 1, ... in their order; without a sort where they lie close."""
    if len(ids) == 0:
        return np.zeros(0, dtype=np.intp)
    low, high = int(ids.min()), int(ids.max())
    if high - low > 16 * len(ids):
        inverse: NDArray[np.intp] = np.unique(ids, return_inverse=True)[1]
        return inverse
    offset = ids.astype(np.intp) - low
    seen = np.zeros(high - low + 1, dtype=np.bool_)
    seen[offset] = True
    numbers: NDArray[np.intp] = (np.cumsum(seen) - 1)[offset]
    return numbers
