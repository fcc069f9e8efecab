"""Ranks and ids as integers: what exact AUC and rank correlation are counted from. Numpy only."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Floats32 = NDArray[np.float32]
Ints = NDArray[np.int64]
Ints32 = NDArray[np.int32]
Ints16 = NDArray[np.int16]
Ints8 = NDArray[np.int8]
Uints = NDArray[np.uint64]
Flags = NDArray[np.bool_]
Ids = NDArray[np.integer[Any]]
"""Integers of any width; :func:`number_ids` numbers them from 0."""
Labels = Ids | Flags
"""0 and 1."""

_SIGNED = np.int64(0x7FFFFFFFFFFFFFFF)


def whole_numbers(values: NDArray[Any]) -> Ints:
    """(n,) int64 of whole numbers of any width; ValueError, which says what is wrong, for others.

    Floats that whole numbers round to (from 2**53 on, float32 from 2**24) are refused: different
    ids would be one.

    >>> whole_numbers(np.array([3.0, -1.0])).tolist()
    [3, -1]
    """
    if values.dtype.kind == "f":
        if not (np.isfinite(values).all() and (values == np.floor(values)).all()):
            raise ValueError("fractions or non-finite values; expected integers")
        large = np.abs(values) >= first_rounded(values.dtype)
        if large.any():
            raise ValueError(
                f"{values[large][0]:.17g} as {values.dtype}, which other whole numbers round to as "
                "well, so that different ids would be one; expected integers: write the column "
                "as int64"
            )
    elif values.dtype.kind == "u" and (values > np.iinfo(np.int64).max).any():
        raise ValueError("values beyond int64; expected integers within it")
    return values.astype(np.int64)


def first_rounded(kind: "np.dtype[Any]") -> float:
    """The first whole number that another one rounds to in floats of this ``kind``."""
    return float(2.0 ** (np.finfo(kind).nmant + 1))


def order_of(values: Floats) -> Ints:
    """(n,) positions of the values (n,) in ascending order, equal ones in their order; no NaN.

    A stable argsort in about half its time: a value's leading bits and its position are sorted as
    one integer; the few values that differ in their last bits alone are sorted after that.
    """
    n = len(values)
    low = max(n - 1, 1).bit_length()
    # + 0.0 turns -0.0 into 0.0; for negative floats a larger bit pattern is a lower value.
    key = (np.asarray(values, np.float64) + 0.0).view(np.int64)
    key ^= (key >> 63) & _SIGNED
    key >>= low
    key <<= low
    key |= np.arange(n)
    key.sort()
    order = (key & ((1 << low) - 1)).astype(np.intp, copy=False)
    key >>= low
    alike = key[1:] == key[:-1]
    if alike.any():
        _settle(order, values, alike)
    return order


def order_within(groups: Ints, values: Floats) -> Ints:
    """(n,) positions in order of group (n,), numbered from 0, and of value within each."""
    order = order_of(values)
    low = max(len(order) - 1, 1).bit_length()
    key = groups[order].astype(np.int64) << low
    key |= np.arange(len(order))
    key.sort()
    key &= (1 << low) - 1
    return np.asarray(order[key])


def _settle(order: Ints, values: Floats, alike: Flags) -> None:
    """Put neighbours whose leading bits are ``alike`` (n - 1,) in order, in place."""
    ordered = values[order]
    descends = np.r_[False, (ordered[1:] < ordered[:-1])]
    if not descends.any():
        return
    group = np.cumsum(~np.r_[False, alike])
    wrong = np.zeros(int(group[-1]) + 1, np.bool_)
    wrong[group[descends]] = True
    unsorted = np.flatnonzero(wrong[group])
    order[unsorted] = order[unsorted[np.lexsort((ordered[unsorted], group[unsorted]))]]


def count_below_x2(ordered: Floats, keys: Floats) -> Ints:
    """(keys,) int64: 2 x the values of sorted ``ordered`` below each key + the values equal to it.

    Integers, so that counting a tie as one half stays exact. Fast if ``keys`` is sorted too.
    """
    under, up_to = _spans(ordered, keys)
    return (under + up_to).astype(np.int64, copy=False)


def count_below_x2_both(low: Floats, high: Floats) -> tuple[Ints, Ints]:
    """`count_below_x2` of (low, high) and of (high, low), both sorted, in one search."""
    under, up_to = _spans(low, high)
    # high[i] is not above low[j] if under[i] <= j, and below it if up_to[i] <= j.
    steps = np.bincount(under, minlength=len(low) + 1)
    steps += np.bincount(up_to, minlength=len(low) + 1)
    return (under + up_to).astype(np.int64, copy=False), np.cumsum(steps[:-1], dtype=np.int64)


def _spans(ordered: Floats, keys: Floats) -> tuple[Ints, Ints]:
    """For each key, how many of sorted ``ordered`` are below it, and how many are not above it."""
    under = np.searchsorted(ordered, keys, "left")
    up_to = under.copy()
    if len(ordered):
        tied = np.flatnonzero(ordered[np.minimum(under, len(ordered) - 1)] == keys)
        up_to[tied] = np.searchsorted(ordered, keys[tied], "right")
    return under, up_to


def midranks(values: Floats) -> Floats:
    """(n,) float64 ranks from 1, equal values sharing the mean of their ranks."""
    order = order_of(values)
    ordered = values[order]
    ranks = np.empty(len(values))
    ranks[order] = midranks_of_sorted(group_starts(ordered))
    return ranks


def midranks_of_sorted(new: Flags) -> Floats:
    """(n,) float64 ranks from 1 of sorted values; ``new`` is True if the value changes."""
    edges = np.append(np.flatnonzero(new), len(new))
    return np.repeat((edges[:-1] + edges[1:] + 1) / 2.0, np.diff(edges))


def number_ids(ids: Ids) -> Ints:
    """(n,) ids renumbered 0, 1, ... in their order; without a sort if they lie close."""
    if len(ids) == 0:
        return np.zeros(0, dtype=np.intp)
    low, high = int(ids.min()), int(ids.max())
    if high - low > 16 * len(ids):
        return np.asarray(np.unique(ids, return_inverse=True)[1])
    offset = ids.astype(np.intp) - low
    seen = np.zeros(high - low + 1, dtype=np.bool_)
    seen[offset] = True
    return np.asarray((np.cumsum(seen) - 1)[offset])


def group_starts(*columns: NDArray[Any]) -> Flags:
    """(n,) True at the first of each run of rows that are equal in all ``columns`` (n,)."""
    first = np.ones(len(columns[0]), np.bool_)
    first[1:] = np.logical_or.reduce([column[1:] != column[:-1] for column in columns])
    return first


def earlier_equals(*columns: NDArray[Any]) -> Ints:
    """(n,) how many earlier rows are equal to each row in all integer ``columns`` (n,)."""
    order = np.lexsort(columns)
    starts = np.flatnonzero(group_starts(*(column[order] for column in columns)))
    out = np.empty(len(order), np.int64)
    out[order] = np.arange(len(order)) - np.repeat(starts, np.diff(np.append(starts, len(order))))
    return out
