"""Does a relation between two scores hold along the whole file, or in a part of it only?

A file whose rows were moved, lost or shuffled in one part still agrees with a good run as a whole:
half of it shuffled leaves a rank correlation of 0.5, which two honest models may well have. Seen
part by part it can't be mistaken: of 2,400 pairs of honest runs on the demo's data and on ml-100k,
which agree by -0.15 to 1, no part fell under the others by more than 3.4 standard errors. Measured
with ``tests/studies/runs_agree.py``.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mmctr_kit.metrics.ranks import midranks

PARTS = 50
PART_ROWS = 200
"""Fewer parts where they would have fewer rows than this."""
LEAST_PARTS = 5
ERRORS = 5.0
"""By so many standard errors a part must agree less than the upper quarter of the parts."""
ALIKE = 0.0005
"""Ranks that differ by less than this share of the rows count as the same one."""
SHARE_ALIKE = 0.05
"""Of rows at the same rank, above what chance gives; and of rows that are not."""


@dataclass(frozen=True)
class Stretch:
    """``elsewhere`` and ``here``: a rank correlation outside and inside the stretch that begins
    with row ``first`` and ends with row ``last``; ``share`` of the file's rows lie outside."""

    elsewhere: float
    here: float
    first: int
    last: int
    share: float


def unit_ranks(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Ranks with mean 0 and length 1, whose products are rank correlations.

    NaN throughout where the values are constant or one of them is NaN.
    """
    if np.isnan(values).any():
        return np.full(len(values), np.nan)
    rank = midranks(values)
    rank -= rank.mean()
    length = float(np.sqrt(rank @ rank))
    return rank / length if length > 0 else np.full(len(rank), np.nan)


def weak_stretch(
    a: NDArray[np.float64], b: NDArray[np.float64], left: float = 0.5
) -> Stretch | None:
    """Where unit ranks a and b, (n,) in ID order, agree by less than ``left`` of what they do
    elsewhere, beyond chance; None where they agree evenly or the rows are too few to tell."""
    edges = edges_of(len(a))
    if edges is None:
        return None
    found = by_part(a, b, edges)
    usual = float(np.quantile(found, 0.75))
    error = 1 / np.sqrt(np.diff(edges))
    weak = (found < left * usual) & (usual - found > ERRORS * error)
    if not weak.any():
        return None
    where = np.flatnonzero(weak)
    first, last = int(edges[where[0]]), int(edges[where[-1] + 1]) - 1
    share = float(np.mean(~weak))
    return Stretch(float(found[~weak].mean()), float(found[weak].mean()), first, last, share)


def same_but_for(a: NDArray[np.float64], b: NDArray[np.float64]) -> Stretch | None:
    """Where unit ranks a and b, (n,), are the same in some rows and unrelated in the others: a
    file made from a run, and scrambled in part. Those others need not lie side by side."""
    n = len(a)
    unit = float(np.sqrt(12 / (n * (float(n) ** 2 - 1))))  # between neighbours without ties
    other = np.abs(a - b) > max(1.0, ALIKE * n) * unit
    rest = float(other.mean())
    if n < LEAST_PARTS * PART_ROWS or not SHARE_ALIKE <= rest <= 1 - SHARE_ALIKE:
        return None
    x, y = unit_ranks(a[other]), unit_ranks(b[other])
    here = float(np.nan_to_num(x @ y))
    if here >= 0.5:
        return None
    where = np.flatnonzero(other)
    return Stretch(1.0, here, int(where[0]), int(where[-1]), 1 - rest)


def edges_of(n: int) -> NDArray[np.intp] | None:
    """(parts + 1,) where the parts of ``n`` rows begin and end; None where these are too few."""
    parts = min(PARTS, n // PART_ROWS)
    return np.linspace(0, n, parts + 1).astype(np.intp) if parts >= LEAST_PARTS else None


def by_part(
    a: NDArray[np.float64], b: NDArray[np.float64], edges: NDArray[np.intp]
) -> NDArray[np.float64]:
    """(parts,) correlation of a and b within each part; 0 where one of them is constant there."""
    rows = np.diff(edges)

    def mean(values: NDArray[np.float64]) -> NDArray[np.float64]:
        sums: NDArray[np.float64] = np.add.reduceat(values, edges[:-1])
        return sums / rows

    of_a, of_b = mean(a), mean(b)
    spread = (mean(a * a) - of_a**2) * (mean(b * b) - of_b**2)
    tiny = 1e-12 / len(a) ** 2
    common = mean(a * b) - of_a * of_b
    result: NDArray[np.float64] = common / np.sqrt(np.maximum(spread, tiny))
    return np.where(spread > tiny, result, 0.0)
