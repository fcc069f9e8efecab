"""Ragged arrays: rows of any length in one flat array (compressed sparse rows)."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from mmctr_kit.metrics.ranks import Ids, Ints

CHUNK = 1 << 20
"""Values worked on at a time, if each costs tens of bytes: the histories of the challenge's train
hold up to 230 million."""

Value = TypeVar("Value", bound=np.generic)


@dataclass(frozen=True)
class Ragged(Generic[Value]):
    """One array a row: row ``i`` is ``values[offsets[i]:offsets[i + 1]]``.

    ``values`` (total,); ``offsets`` (rows + 1,) int64, starting at 0.
    """

    values: NDArray[Value]
    offsets: Ints

    @classmethod
    def of(cls, values: NDArray[Value], lengths: Ints) -> "Ragged[Value]":
        """Rows of these lengths, one after another."""
        return cls(values, np.concatenate([np.zeros(1, np.int64), np.cumsum(lengths)]))

    @classmethod
    def concatenate(cls, parts: "Sequence[Ragged[Value]]") -> "Ragged[Value]":
        """The rows of all parts, in order."""
        values = np.concatenate([p.values for p in parts])
        return cls.of(values, np.concatenate([p.lengths for p in parts]))

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @property
    def lengths(self) -> Ints:
        return np.diff(self.offsets)

    @property
    def rows(self) -> Ints:
        """(total,) the row of each value."""
        return np.repeat(np.arange(len(self)), self.lengths)

    def take(self, index: Ids) -> "Ragged[Value]":
        """These rows, in this order."""
        starts, out = self.offsets[index], Ragged.of(self.values[:0], self.lengths[index])
        values = np.empty(int(out.offsets[-1]), self.values.dtype)
        for rows in out.chunks():
            begin, end = out.offsets[rows.start], out.offsets[rows.stop]
            positions, _ = expand_ranges(starts[rows], out.lengths[rows])
            values[begin:end] = self.values[positions]
        return Ragged(values, out.offsets)

    def chunks(self) -> Iterator[slice]:
        """Slices of consecutive rows with at most ``CHUNK`` values, but at least one row."""
        rows, start = len(self), 0
        while start < rows:
            fits = int(np.searchsorted(self.offsets, self.offsets[start] + CHUNK, "right")) - 1
            stop = min(max(fits, start + 1), rows, start + CHUNK)
            yield slice(start, stop)
            start = stop

    def padded(self, width: int) -> NDArray[Value]:
        """(rows, width): each row's last values, with 0 on the left of shorter rows."""
        if (self.lengths == width).all():  # in a tenth of the time
            return self.values.reshape(len(self), width).copy()
        position = self.offsets[1:, None] - np.arange(width, 0, -1)
        real = position >= self.offsets[:-1, None]
        out = np.zeros(real.shape, self.values.dtype)
        out[real] = self.values[position[real]]
        return out

    def dense(self) -> NDArray[Value]:
        """(rows, width) if every row has the same length; else raises ValueError."""
        lengths = self.lengths
        width = int(lengths.max(initial=0))
        if (lengths != width).any():
            raise ValueError(f"rows of {lengths.min()} to {width} values")
        return self.values.reshape(len(self), width)


def expand_ranges(begin: Ints, length: Ints) -> tuple[Ints, Ints]:
    """The positions of ranges, one after another, and the number of each position's range.

    (total,) each; range i is ``begin[i]`` .. ``begin[i] + length[i] - 1``.

    >>> positions, ranges = expand_ranges(np.array([5, 0]), np.array([2, 3]))
    >>> positions.tolist(), ranges.tolist()
    ([5, 6, 0, 1, 2], [0, 0, 1, 1, 1])
    """
    owner = np.repeat(np.arange(len(begin)), length)
    return np.arange(len(owner)) + (begin - (np.cumsum(length) - length))[owner], owner
