"""Static shapes that hold for all batches, so that one compiled or captured step serves them all.

They are computed from all rows of the split, with a margin, so that every fold has the same shapes
and runs the same compiled code. A fold that needs more gets more. B is the rows of a batch.
"""

import math
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from mmctr_kit.items import Floats64

_GRID = 256
_STANDARD_ERRORS = 5.0
_ROWS_A_USER = 4
_BUCKETS = 4
"""Padding the challenge's histories takes 13 positions a row in four buckets, 10.4 in eight."""
_STEPS = 64
_LENGTHS = 256

Buckets = tuple[tuple[int, int], ...]
"""Pairs of rows and length; see :class:`mmctr_kit.models.batch.Batch`."""


@dataclass(frozen=True)
class StaticShapes:
    """Batch shapes: ``positions``, which few batches exceed, and ``buckets``, which none does."""

    positions: int
    buckets: Buckets


def static_positions(lengths: Tensor, batch_size: int) -> int:
    """History positions, a multiple of 256, that few batches of rows with these lengths exceed.

    The sampler balances lengths, so a batch deviates from the mean no more than its fold does. The
    margin is five standard errors of the mean, counting four rows as one user's one history.
    """
    mean, deviation = float(lengths.double().mean()), float(lengths.double().std(correction=0))
    se = deviation / math.sqrt(max(len(lengths) / _ROWS_A_USER, 1))
    return on_grid(batch_size * (mean + _STANDARD_ERRORS * se))


def on_grid(positions: float) -> int:
    """The next multiple of 256."""
    return _GRID * math.ceil(positions / _GRID)


def buckets(lengths: Tensor, bounds: Tensor) -> Buckets:
    """At most four buckets to pad histories in, which hold every batch within ``bounds`` (B,).

    They are cut so that the split's histories of these ``lengths`` (rows,) take the fewest padded
    positions, in steps of 1/256 of the longest. Each has room for the rows of a batch that may be
    that long: five standard errors more than the mean, in steps of 1/64 of the batch.
    """
    size = len(bounds)
    values = lengths.cpu().numpy()
    step = max(1, math.ceil(values.max() / _LENGTHS))
    # The share of the rows that have each number of steps; a row takes one at least.
    share = np.bincount(np.maximum(-(-values // step), 1)) / len(values)
    cuts = _cuts(share)
    ends = [
        _longer(float(share[cut + 1 :].sum()), len(values), size, int((bounds > cut * step).sum()))
        for cut in cuts[1:]
    ]
    sizes, begin = list[tuple[int, int]](), 0
    for cut, end in zip(cuts, [*ends, size], strict=True):
        if end > begin:
            sizes.append((end - begin, cut * step))
            begin = end
    return tuple(sizes)


def _longer(part: float, rows: int, size: int, needed: int) -> int:
    """Upper bound on a batch's rows that are longer than the cut.

    It is ``size * part`` plus five standard errors, at least ``needed``, rounded up to 1/64 of the
    batch; ``part`` is the share of the split's ``rows`` that are longer.
    """
    se = math.sqrt(part * (1 - part) * _ROWS_A_USER / rows)
    # Strata differ by one row if the rows do not divide evenly.
    uneven = 1 + 2 * size / rows
    expected = math.ceil(size * (part + _STANDARD_ERRORS * se) * uneven)
    step = max(1, size // _STEPS)
    return min(size, step * math.ceil(max(expected, needed) / step))


def _cuts(share: Floats64) -> list[int]:
    """The at most four lengths, descending, whose padding takes the fewest positions.

    ``share`` (longest + 1,) is the share of rows of each length; it is 0 for length 0. Solved by
    dynamic programming.
    """
    up_to, length = np.cumsum(share), np.arange(len(share))
    # Padded positions of all rows up to each length, in one bucket, then in one more each round;
    # and the length up to which the buckets before take the rows.
    positions, shorter = up_to * length, [np.zeros(len(share), np.int64)]
    for _ in range(_BUCKETS - 1):
        total = positions + (up_to[:, None] - up_to) * length[:, None]  # [longest, taken before]
        total[length > length[:, None]] = np.inf
        shorter.append(total.argmin(1))
        positions = total.min(1)
    cuts = [len(share) - 1]
    for before in reversed(shorter):
        if 0 < before[cuts[-1]] < cuts[-1]:
            cuts.append(int(before[cuts[-1]]))
    return cuts
