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
_LENGTHS = 256

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

    A batch has rows of all lengths (:class:`mmctr_kit.training.data.sampler.RowStream`), so it
    strays no further than the fold does: five standard errors, of as many histories as
    four rows a user leave.
    """
    mean, deviation = float(lengths.double().mean()), float(lengths.double().std(correction=0))
    error = deviation / math.sqrt(max(len(lengths) / _ROWS_A_USER, 1))
    return on_grid(batch_size * (mean + _ERRORS * error))


def on_grid(positions: float) -> int:
    """The next multiple of 256."""
    return _GRID * math.ceil(positions / _GRID)


def buckets(lengths: Tensor, bounds: Tensor) -> Buckets:
    """At most four buckets, in which batches within ``bounds`` (B,) take few places when padded; a
    row takes one at least.

    Where they are cut is best for ``lengths`` (rows,), the split's, counted in steps of a 256th of
    the longest. Each has the rows of a batch that may be so long, five standard errors more, in
    steps of a 64th of the batch.
    """
    size = len(bounds)
    values = lengths.cpu().numpy()
    step = max(1, math.ceil(values.max() / _LENGTHS))
    # Of each number of steps, the share of the rows.
    share = np.bincount(np.maximum(-(-values // step), 1)) / len(values)
    cuts = _cuts(share)
    ends = [
        _longer(float(share[cut + 1 :].sum()), len(values), size, int((bounds > cut * step).sum()))
        for cut in cuts[1:]
    ]
    found, begin = list[tuple[int, int]](), 0
    for cut, end in zip(cuts, [*ends, size], strict=True):
        if end > begin:
            found.append((end - begin, cut * step))
            begin = end
    return tuple(found)


def _longer(part: float, rows: int, size: int, needed: int) -> int:
    """How many of a batch's ``size`` rows may be longer, rounded up, where that ``part`` of the
    split's ``rows`` is: or those that the fold ``needed``, where they are more."""
    error = math.sqrt(part * (1 - part) * _ROWS_A_USER / rows)
    # A stratum has a row more or less than another, if not all rows can be shared out evenly.
    uneven = 1 + 2 * size / rows
    expected = math.ceil(size * (part + _ERRORS * error) * uneven)
    step = max(1, size // _STEPS)
    return min(size, step * math.ceil(max(expected, needed) / step))


def _cuts(share: NDArray[np.float64]) -> list[int]:
    """Lengths to pad to, descending from the longest, that take the fewest places: four or fewer,
    by dynamic programming. ``share`` (longest + 1,) is that of the rows of each length, none of
    them 0."""
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
