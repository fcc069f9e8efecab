"""Sizes that hold for all batches of a stream, so that a step of fixed size can be repeated.

They are taken over all rows of the split, with a margin, and so are the same for each fold: each
runs the same compiled code. A fold that needs more gets more.

Shapes: B rows of a batch.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

_GRID = 256
_ERRORS = 5.0
_ROWS_A_USER = 4
_BUCKETS = 4
"""Of the challenge's histories, padded to 64, four buckets leave 13 places a row; eight, 10.4."""
_STEPS = 64

Buckets = tuple[tuple[int, int], ...]
"""As in :class:`mmctr_kit.models.batch.Batch`."""


@dataclass(frozen=True)
class Sizes:
    """``positions``, the history positions that hardly any batch exceeds, and ``buckets``, within
    which every batch is."""

    positions: int
    buckets: Buckets

    @classmethod
    def of(cls, lengths: Tensor, bounds: Tensor) -> "Sizes":
        """Of the split's histories, (rows,), and batches with histories of at most ``bounds`` (B,),
        descending, at their places."""
        return cls(static_total(lengths, len(bounds)), buckets(lengths, bounds))


def static_total(lengths: Tensor, batch_size: int) -> int:
    """History positions that hardly any batch of rows with these ``lengths`` (rows,) exceeds, in
    steps of 256: the mean, and what the mean of a fold's rows may be above it.

    A batch has rows of all lengths (:class:`mmctr_kit.training.stream.RowStream`), so it strays no
    further than the fold does: five standard errors, of as many histories as four rows a user
    leave.
    """
    mean, deviation = float(lengths.double().mean()), float(lengths.double().std(correction=0))
    error = deviation / math.sqrt(max(len(lengths) / _ROWS_A_USER, 1))
    return on_grid(batch_size * (mean + _ERRORS * error))


def on_grid(positions: float) -> int:
    """The next multiple of 256."""
    return _GRID * math.ceil(positions / _GRID)


def buckets(lengths: Tensor, bounds: Tensor) -> Buckets:
    """At most four buckets, in which batches within ``bounds`` (B,) take few places when padded.

    Where they are cut is best for ``lengths`` (rows,), the split's: each has the rows of a batch
    that may be so long, five standard errors more, in steps of a 64th of the batch.
    """
    size = len(bounds)
    share = np.bincount(lengths.cpu().numpy()) / len(lengths)
    cuts = _cuts(share)
    ends = [_longer(share, shorter, len(lengths), bounds) for shorter in cuts[1:]]
    found, begin = list[tuple[int, int]](), 0
    for length, end in zip(cuts, [*ends, size], strict=True):
        if end > begin:
            found.append((end - begin, length))
            begin = end
    return tuple(found)


def _longer(share: NDArray[np.float64], length: int, rows: int, bounds: Tensor) -> int:
    """How many rows of a batch may be longer, rounded up."""
    size = len(bounds)
    part = float(share[length + 1 :].sum())
    error = math.sqrt(part * (1 - part) * _ROWS_A_USER / rows)
    # A stratum has a row more or less than another, if not all rows can be shared out evenly.
    uneven = 1 + 2 * size / rows
    expected = math.ceil(size * (part + _ERRORS * error) * uneven)
    needed, step = max(expected, int((bounds > length).sum())), max(1, size // _STEPS)
    return min(size, step * math.ceil(needed / step))


def _cuts(share: NDArray[np.float64]) -> list[int]:
    """Lengths to pad to, descending from the longest, that take the fewest places: four or fewer,
    by dynamic programming. ``share`` (longest + 1,) is that of the rows of each length."""
    up_to, length = np.cumsum(share), np.arange(len(share))
    # Places of all rows up to each length, in one bucket, then in one more each round; and the
    # length up to which that leaves rows to the buckets before.
    places, shorter = up_to * length, [np.zeros(len(share), np.int64)]
    for _ in range(_BUCKETS - 1):
        total = places + (up_to[:, None] - up_to) * length[:, None]  # [longest in it, left]
        total[length > length[:, None]] = np.inf
        shorter.append(total.argmin(1))
        places = total.min(1)
    found = [len(share) - 1]
    for before in reversed(shorter):
        if 0 < before[found[-1]] < found[-1]:
            found.append(int(before[found[-1]]))
    return found
