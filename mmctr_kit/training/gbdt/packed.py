"""Rows with their histories packed one after another, and reductions over each row's positions."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mmctr_kit.data.dataset import ChallengeData, Examples
from mmctr_kit.data.ragged import expand_ranges
from mmctr_kit.items import Bools, Floats32, Ints
from mmctr_kit.items.signals import POOLED, pool

Columns = dict[str, Floats32]
"""Features by name, each (rows,) float32, with NaN if there is no value."""


@dataclass(frozen=True)
class Packed:
    """Examples and their history positions, one example's after another, oldest first.

    ``item`` (positions,) int64; ``row`` (positions,) int64 the example of each position; ``age``
    (positions,) int64 the positions after it, 0 for the newest. In a recency-weighted mean, a
    position weighs 2 ** (-age / half_life).
    """

    examples: Examples
    item: Ints
    row: Ints
    age: Ints
    half_life: float

    @classmethod
    def of(cls, data: ChallengeData, examples: Examples, half_life: float) -> "Packed":
        index, row = expand_ranges(examples.begin, examples.lengths)
        item = data.histories.values[index].astype(np.int64)
        return cls(examples, item, row, examples.end[row] - 1 - index, half_life)

    @property
    def target(self) -> Ints:
        """The target items, (rows,)."""
        return self.examples.item_id.astype(np.int64)

    @property
    def length(self) -> Ints:
        """The number of positions of each example, (rows,)."""
        return self.examples.lengths

    @property
    def weight(self) -> Floats32:
        """The recency weights, (positions,)."""
        return np.exp2(-self.age / self.half_life).astype(np.float32)

    def count(self, chosen: Bools) -> Floats32:
        """How many positions are ``chosen`` (positions,), (rows,)."""
        counts = np.bincount(self.row[chosen], minlength=len(self.examples))
        return counts.astype(np.float32)

    def share(self, chosen: Bools) -> Floats32:
        """The share of positions that are ``chosen`` (positions,), (rows,)."""
        return ratio(self.count(chosen), self.length)

    def mean(self, values: Floats32) -> Floats32:
        """The mean of the ``values`` (positions,) that are not NaN, (rows,)."""
        real = ~np.isnan(values)
        row = self.row[real]
        total = np.bincount(row, values[real], minlength=len(self.examples))
        return ratio(total, np.bincount(row, minlength=len(self.examples)))

    def last(self, values: Floats32) -> Floats32:
        """The newest position's value of ``values`` (positions,), (rows,)."""
        result = np.full(len(self.examples), np.nan, np.float32)
        newest = self.age == 0
        result[self.row[newest]] = values[newest]
        return result

    def newest(self, chosen: Bools) -> Floats32:
        """The age of the newest position that is ``chosen`` (positions,), (rows,)."""
        result = np.full(len(self.examples), np.nan, np.float32)
        # Positions go from the oldest to the newest, so the newest is written last.
        result[self.row[chosen]] = self.age[chosen]
        return result

    def any(self, met: Bools) -> Bools:
        """Whether any position has ``met`` (positions, k), (rows, k)."""
        result = np.zeros((len(self.examples), met.shape[1]), np.bool_)
        some = np.flatnonzero(self.length)
        if len(some):
            begin = (np.cumsum(self.length) - self.length)[some]
            result[some] = np.logical_or.reduceat(met, begin, axis=0)
        return result

    def pool(self, name: str, values: Floats32, kinds: Sequence[str] = POOLED) -> Columns:
        """Pool ``values`` (positions,) to the columns ``name``_max, _mean, _recent and _top3."""
        pooled = pool(values[:, None], self.length, self.half_life)
        pooled[self.length == 0] = np.nan
        return {f"{name}_{kind}": pooled[:, POOLED.index(kind)] for kind in kinds}

    def sum(self, table: Floats32, weight: Floats32 | float) -> Floats32:
        """The sum of each row's items in ``table`` (n_items + 1, d), by ``weight``, (rows, d)."""
        from scipy.sparse import csr_array

        offsets = np.concatenate([[0], np.cumsum(self.length)])
        weights = np.broadcast_to(np.asarray(weight, np.float32), self.item.shape)
        shape = (len(self.examples), len(table))
        sums: Floats32 = csr_array((weights, self.item, offsets), shape=shape) @ table
        return sums


def ratio(part: NDArray[np.number], whole: NDArray[np.number]) -> Floats32:
    """The ratio ``part`` / ``whole``, NaN if ``whole`` is 0."""
    result = np.full(len(whole), np.nan)
    np.divide(part, whole, out=result, where=whole != 0)
    return result.astype(np.float32)
