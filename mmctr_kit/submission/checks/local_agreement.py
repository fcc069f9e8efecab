"""Finds segments of a file in which a relation between two scores is lost.

A file whose rows were moved, lost or shuffled in one part still agrees with a good run as a whole:
half of it shuffled leaves a rank correlation of 0.5, which two valid models may well have. Part by
part it shows clearly: of 2,400 pairs of valid runs on the demo's data and on ml-100k, which agree
by -0.15 to 1, no part was below the others by more than 3.4 standard errors. Measured with
``tests/studies/runs_agree.py``.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mmctr_kit.metrics.ranks import midranks

PARTS = 50
PART_ROWS = 200
"""There are fewer parts if they would have fewer rows than this."""
LEAST_PARTS = 5
WEAK_Z = 5.0
"""A weak part agrees less than the upper quarter of the parts, by this many standard errors."""
ALIKE = 0.0005
"""Ranks that differ by less than this share of the rows count as equal."""
SHARE_ALIKE = 0.05
"""At least this share of the rows must have equal ranks, and at least this share must not."""


Ranks = NDArray[np.float64]
"""Unit ranks, (n,) in ID order."""


@dataclass(frozen=True)
class Segment:
    """Rows ``first`` to ``last`` of a file, which agree less with a run than the other rows.

    The rank correlation is ``here`` inside, ``elsewhere`` outside; ``share`` of the rows are
    outside.
    """

    elsewhere: float
    here: float
    first: int
    last: int
    share: float


def unit_ranks(values: NDArray[np.float64]) -> Ranks:
    """Ranks with mean 0 and length 1, whose products are rank correlations.

    All NaN if the values are constant or one of them is NaN.
    """
    if np.isnan(values).any():
        return np.full(len(values), np.nan)
    rank = midranks(values)
    rank -= rank.mean()
    length = float(np.sqrt(rank @ rank))
    return rank / length if length > 0 else np.full(len(rank), np.nan)


def weak_segment(a: Ranks, b: Ranks, left: float = 0.5) -> Segment | None:
    """The segment where a and b agree by less than ``left`` of their agreement elsewhere.

    None if no more than chance explains it, or if there are too few rows.
    """
    edges = edges_of(len(a))
    if edges is None:
        return None
    correlation = by_part(a, b, edges)
    usual = float(np.quantile(correlation, 0.75))
    se = 1 / np.sqrt(np.diff(edges))
    weak = (correlation < left * usual) & (usual - correlation > WEAK_Z * se)
    if not weak.any():
        return None
    parts = np.flatnonzero(weak)
    first, last = int(edges[parts[0]]), int(edges[parts[-1] + 1]) - 1
    share = float(np.mean(~weak))
    here, elsewhere = float(correlation[weak].mean()), float(correlation[~weak].mean())
    return Segment(elsewhere, here, first, last, share)


def same_but_for(a: Ranks, b: Ranks) -> Segment | None:
    """The rows where a and b are unrelated, if they are equal in all others.

    Then a file was made from a run and scrambled in part. The rows need not be consecutive.
    """
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
    rows = np.flatnonzero(other)
    return Segment(1.0, here, int(rows[0]), int(rows[-1]), 1 - rest)


def edges_of(n: int) -> NDArray[np.intp] | None:
    """(parts + 1,) positions where the parts of ``n`` rows begin and end; None if too few."""
    parts = min(PARTS, n // PART_ROWS)
    return np.linspace(0, n, parts + 1).astype(np.intp) if parts >= LEAST_PARTS else None


def by_part(a: Ranks, b: Ranks, edges: NDArray[np.intp]) -> NDArray[np.float64]:
    """(parts,) correlation of a and b within each part; 0 if one of them is constant there."""
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
