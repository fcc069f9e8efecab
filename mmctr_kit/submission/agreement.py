"""Do the scores fit what is known of the rows: other runs' ranks, and the rows' items?

All statistics are of ranks, so a monotone change of the scores changes nothing.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mmctr_kit.findings import count
from mmctr_kit.metrics import rank_correlation
from mmctr_kit.ranks import midranks
from mmctr_kit.submission.catalog import Log

LOW_CORRELATION = 0.1
SHUFFLED_BELOW = 3.0
"""Standard errors under which a relation to the items counts as gone."""
MIN_PAIRS = 2_500
"""Pairs of rows with the same item below which the item check could miss a weak relation."""
MIN_ROWS = 1_000


@dataclass(frozen=True)
class TestRows:
    """What is known of the test set, in ID order.

    ``item_id`` (n_rows,) int64 and ``popularity`` (n_rows,) float, how often each row's item was
    seen in training; None where not known. Raises ValueError where lengths differ.
    """

    __test__ = False

    n_rows: int
    item_id: NDArray[np.int64] | None = None
    popularity: NDArray[np.float64] | None = None

    def __post_init__(self) -> None:
        for values in (self.item_id, self.popularity):
            if values is not None and values.shape != (self.n_rows,):
                raise ValueError(f"expected {self.n_rows} values, found shape {values.shape}")


@dataclass(frozen=True)
class Reference:
    """An existing run's test predictions: ``score`` (n_rows,) float64, in ID order."""

    name: str
    score: NDArray[np.float64]


def _unit_ranks(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Ranks with mean 0 and length 1, whose products are rank correlations.

    Each array is ranked once, however many it is compared with. NaN throughout where the values
    are constant or one of them is NaN.
    """
    if np.isnan(values).any():
        return np.full(len(values), np.nan)
    rank = midranks(values)
    rank -= rank.mean()
    length = float(np.sqrt(rank @ rank))
    return rank / length if length > 0 else np.full(len(rank), np.nan)


def item_z(score: NDArray[np.float64], item_id: NDArray[np.int64]) -> float:
    """How much more alike scores of the same item are than chance makes them, in standard errors.

    Kruskal and Wallis (1952): the between-item variance H of the ranks, standardised by its exact
    mean and variance under a random permutation of the scores; no permutations are drawn. NaN
    where chance leaves no variance (every item once, one item, or constant scores).
    """
    rank = _unit_ranks(score)
    _, group, size = np.unique(item_id, return_inverse=True, return_counts=True)
    n, g = float(len(rank)), float(len(size))
    sums = np.bincount(group, weights=rank)
    variance = (
        2 * (g - 1)
        - 2 * (3 * g**2 - 6 * g + n * (2 * g**2 - 6 * g + 1)) / (5 * n * (n + 1))
        - 6 / 5 * float((1 / size).sum())
    )
    if variance <= 1e-9 * n:
        return float("nan")
    h = (n - 1) * float((sums**2 / size).sum())
    return (h - (g - 1)) / float(np.sqrt(variance))


def popularity_z(score: NDArray[np.float64], popularity: NDArray[np.float64]) -> float:
    """Spearman's correlation with popularity in standard errors under a random permutation."""
    return rank_correlation(score, popularity) * float(np.sqrt(len(score) - 1))


def check_references(
    columns: Mapping[str, NDArray[np.float64]], references: Sequence[Reference], log: Log
) -> None:
    """Rank correlation of every column, (n,) in ID order, with every run of the same length."""
    if not references:
        return
    other_ranks = [(r.name, _unit_ranks(np.asarray(r.score, np.float64))) for r in references]
    said = []
    for name, column in columns.items():
        own = _unit_ranks(column)
        found = [(float(own @ r), n) for n, r in other_ranks if r.shape == own.shape]
        found = sorted(pair for pair in found if np.isfinite(pair[0]))
        if not found:
            continue
        said.append(f"{name}: {found[0][0]:.3f} ({found[0][1]}) to {found[-1][0]:.3f}")
        low = sum(rho < LOW_CORRELATION for rho, _ in found)
        if low:
            what = f"{said[-1]} with {count(len(found), 'run')}, {low:,} of them under "
            todo = "unrelated: are the rows in ID order, and is it the run you meant?"
            if found[0][0] <= -LOW_CORRELATION:
                todo = "inverted? write the probability of label 1 (or that run is inverted)"
            log.warn("rank-correlation", what + f"{LOW_CORRELATION}", todo)
    if said:
        log.passed("rank-correlation", "; ".join(said))


def check_alignment(
    columns: Mapping[str, NDArray[np.float64]],
    test: TestRows,
    references: Sequence[Reference],
    log: Log,
) -> None:
    """WARN where a column, (n_rows,) in ID order, has lost its relation to the rows' items.

    Only where the relation could be seen: at least 1,000 rows and, for the item itself, enough
    rows with the same item. Where references are given, only if one of them shows the relation
    (on some data no score depends on the item).
    """
    if test.n_rows < MIN_ROWS or (test.item_id is None and test.popularity is None):
        return
    usable = [
        np.asarray(r.score, np.float64)
        for r in references
        if r.score.shape == (test.n_rows,) and np.isfinite(r.score).all()
    ]
    found = {name: _related(column, test) for name, column in columns.items()}
    gone = [name for name, (related, _) in found.items() if not related]
    if gone and usable and not any(_related(r, test)[0] for r in usable):
        gone = []
    for name, (_, evidence) in found.items():
        if name in gone:
            what = f"{name} looks shuffled: {evidence}"
            todo = "check that row i's score belongs to ID i; ignore for a score that knows no item"
            log.warn("rows-aligned", what, todo)
    if found:
        said = "; ".join(f"{name}: {evidence}" for name, (_, evidence) in found.items())
        log.passed("rows-aligned", said)


def _related(score: NDArray[np.float64], test: TestRows) -> tuple[bool, str]:
    """Whether the score's relation to items shows, or cannot be tested; and the evidence."""
    values: list[float] = []
    said: list[str] = []
    if test.item_id is not None and _same_item_pairs(test.item_id) >= MIN_PAIRS:
        values.append(item_z(score, test.item_id))
        said.append(f"item identity {values[-1]:.1f}")
    if test.popularity is not None:
        values.append(abs(popularity_z(score, test.popularity)))
        said.append(f"item popularity {values[-1]:.1f}")
    known = [v for v in values if not np.isnan(v)]
    if not known:
        return True, "too few rows of the same item to tell"
    return max(known) >= SHUFFLED_BELOW, ", ".join(said) + " standard errors from chance"


def _same_item_pairs(item_id: NDArray[np.int64]) -> int:
    counts = np.unique(item_id, return_counts=True)[1].astype(np.int64)
    return int((counts * (counts - 1) // 2).sum())
