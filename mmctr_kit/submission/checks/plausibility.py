"""Checks that the scores fit what is known about the rows: other runs' ranks, the rows' items.

All statistics use ranks, so a monotone change of the scores changes nothing. Columns are passed as
their :func:`~mmctr_kit.submission.checks.local_agreement.unit_ranks`, so each is ranked once.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from mmctr_kit.audit.findings import Log
from mmctr_kit.errors import plural
from mmctr_kit.metrics.ranks import number_ids
from mmctr_kit.submission.checks.local_agreement import (
    Ranks,
    Segment,
    same_but_for,
    unit_ranks,
    weak_segment,
)

LOW_CORRELATION = 0.1
SAME_RUN = 0.95
"""From this rank correlation on, a file counts as made from a run."""
SHUFFLED_BELOW = 3.0
"""Below this many standard errors a relation to the items counts as lost."""
REVERSED_BELOW, REVERSED_Z = -0.05, -5.0
"""A score counts as reversed if its rank correlation with the items' label means, and that in
standard errors, are below these. Of 60 valid runs that see the item, on the demo's data and on
ml-100k, the lowest had 0.2 (40 standard errors); a run of history lengths only had -0.01 (-2.8).
Measured with ``tests/studies/runs_agree.py``."""
LOST = 0.25
"""Below this share of the relation to popularity elsewhere, a segment's counts as lost."""
MIN_PAIRS = 2_500
"""With fewer pairs of rows with the same item, the item check could miss a weak relation."""
MIN_ROWS = 1_000


@dataclass(frozen=True)
class TestRows:
    """The known facts about the test set, in ID order.

    ``item_id`` (n_rows,) int64; ``popularity`` (n_rows,) float, how often each row's item was
    seen in training; ``rate`` (n_rows,) float, the mean label of its item there; None if not
    known. Raises ValueError if lengths differ.
    """

    __test__ = False

    n_rows: int
    item_id: NDArray[np.int64] | None = None
    popularity: NDArray[np.float64] | None = None
    rate: NDArray[np.float64] | None = None

    def __post_init__(self) -> None:
        for values in (self.item_id, self.popularity, self.rate):
            if values is not None and values.shape != (self.n_rows,):
                raise ValueError(f"expected {self.n_rows} values, not shape {values.shape}")

    @cached_property
    def groups(self) -> "ItemGroups | None":
        return None if self.item_id is None else ItemGroups(self.item_id)

    @cached_property
    def popularity_ranks(self) -> Ranks | None:
        return None if self.popularity is None else unit_ranks(self.popularity)

    @cached_property
    def rate_ranks(self) -> Ranks | None:
        return None if self.rate is None else unit_ranks(self.rate)


class ItemGroups:
    """Rows by item: ``number`` (n,) from 0, ``size`` (items,), ``pairs`` of rows of one item."""

    def __init__(self, item_id: NDArray[np.int64]) -> None:
        self.number = number_ids(item_id)
        self.size = np.bincount(self.number)
        self.pairs = int((self.size * (self.size - 1) // 2).sum())


@dataclass(frozen=True)
class Reference:
    """An existing run's test predictions: ``score`` (n_rows,) float64, in ID order."""

    name: str
    score: NDArray[np.float64]

    @cached_property
    def ranks(self) -> Ranks:
        return unit_ranks(np.asarray(self.score, np.float64))


def item_z(ranks: Ranks, groups: ItemGroups) -> float:
    """How much more alike scores of the same item are than chance makes them, in standard errors.

    Kruskal and Wallis (1952): the between-item variance H of the ranks, standardised by its exact
    mean and variance under a random permutation of the scores; no permutations are drawn. NaN if
    chance leaves no variance (every item once, one item, or constant scores).
    """
    size = groups.size
    n, g = float(len(ranks)), float(len(size))
    sums = np.bincount(groups.number, weights=ranks)
    variance = (
        2 * (g - 1)
        - 2 * (3 * g**2 - 6 * g + n * (2 * g**2 - 6 * g + 1)) / (5 * n * (n + 1))
        - 6 / 5 * float((1 / size).sum())
    )
    if variance <= 1e-9 * n:
        return float("nan")
    h = (n - 1) * float((sums**2 / size).sum())
    return (h - (g - 1)) / float(np.sqrt(variance))


def rank_z(ranks: Ranks, other: Ranks) -> float:
    """Spearman's correlation of two unit ranks, in standard errors under a random permutation."""
    return float(ranks @ other) * float(np.sqrt(len(ranks) - 1))


def check_references(
    columns: Mapping[str, Ranks],
    references: Sequence[Reference],
    log: Log,
    test: TestRows,
) -> None:
    """Rank correlation of every column, (n,) in ID order, with every run of the same length.

    WARN if a run is unrelated or inverted, unless one of the two depends on the rows' items and the
    other is, or is made from, a run that does not. WARN also if a run agrees with one part of the
    file only. No more than that, since two valid runs can agree by -0.15 to 1.
    """
    summary = []
    for name, column in columns.items():
        pairs = [(float(column @ r.ranks), r) for r in references if r.ranks.shape == column.shape]
        pairs = sorted((p for p in pairs if np.isfinite(p[0])), key=lambda p: p[0])
        if not pairs:
            continue
        runs, (least, lowest) = [r for _, r in pairs], pairs[0]
        summary.append(f"{name}: {least:.3f} ({lowest.name}) to {pairs[-1][0]:.3f}")
        low = [
            rho
            for rho, r in pairs
            if rho < LOW_CORRELATION
            and (_knows_items(r.ranks, test) or not _knows_items(column, test))
        ]
        if low and any(rho >= SAME_RUN and not _knows_items(r.ranks, test) for rho, r in pairs):
            low = []  # made from a run that knows no items
        if low:
            what = f"{summary[-1]} with {plural(len(pairs), 'run')}, {len(low):,} of them under "
            todo = "unrelated: are the rows in ID order, and is it the right run?"
            if least <= -LOW_CORRELATION:
                todo = "inverted? write the probability of label 1 (or that run is inverted)"
            log.warn("rank-correlation", what + f"{LOW_CORRELATION}", todo)
        elif segment := _uneven(column, runs):
            log.warn(
                "rank-correlation",
                f"{name}: {segment}",
                "rows shuffled, lost or moved there? write every score next to its ID",
            )
    if summary:
        log.passed("rank-correlation", "; ".join(summary))


def _knows_items(ranks: Ranks, test: TestRows) -> bool:
    """False for a run that uses, say, history lengths only: all others are unrelated to it."""
    if test.groups is None or len(ranks) != test.n_rows:
        return True
    z = item_z(ranks, test.groups)
    return test.groups.pairs < MIN_PAIRS or np.isnan(z) or z >= SHUFFLED_BELOW


def _uneven(column: Ranks, runs: Sequence[Reference]) -> str | None:
    """In words, the run that agrees with the rest of the file most, and where it does not."""
    scrambled = [(s, r) for r in runs if (s := same_but_for(column, r.ranks))]
    if scrambled:
        segment, run = max(scrambled, key=lambda f: f[0].share)
        return (
            f"{segment.share:.0%} of the rows rank exactly as in {run.name}, the others are "
            f"unrelated to it (rank correlation {segment.here:.2f}), {_where(segment)}"
        )
    weak = [(s, r) for r in runs if (s := weak_segment(column, r.ranks))]
    if not weak:
        return None
    segment, run = max(weak, key=lambda f: f[0].elsewhere)
    return (
        f"rank correlation with {run.name} is {segment.here:.2f} in {_where(segment)}, and "
        f"{segment.elsewhere:.2f} elsewhere"
    )


def _where(segment: Segment) -> str:
    return f"IDs {segment.first:,} to {segment.last:,}"


def check_alignment(
    columns: Mapping[str, Ranks],
    test: TestRows,
    references: Sequence[Reference],
    log: Log,
) -> None:
    """WARN if a column, (n_rows,) in ID order, has lost its relation to the rows' items.

    That is as a whole, or in a part of the file, or if items with more labels of 1 score lower.
    Only if the relation could be seen: at least 1,000 rows and, for the item itself, enough rows
    with the same item. If references are given, only if one of them shows the relation (on some
    data no score depends on the item).
    """
    if test.n_rows < MIN_ROWS or (test.item_id is None and test.popularity is None):
        return
    usable = [
        r.ranks
        for r in references
        if r.score.shape == (test.n_rows,) and np.isfinite(r.score).all()
    ]
    relations = {name: _relation(column, test) for name, column in columns.items()}
    lost = [name for name, (related, _) in relations.items() if not related]
    if lost and usable and not any(_relation(r, test)[0] for r in usable):
        lost = []
    for name, (_, evidence) in relations.items():
        column = columns[name]
        if name in lost:
            what = f"{name} looks shuffled: scores do not follow the row's item ({evidence})"
            todo = "check that row i's score belongs to ID i; ignore it if scores use no item"
            log.warn("rows-aligned", what, todo)
        elif fault := _reversed(column, test, usable) or _broken(column, test, usable):
            log.warn("rows-aligned", f"{name} {fault[0]}", fault[1])
        else:
            follows = f"scores follow the row's item ({evidence}): rows are not shuffled"
            what = follows if evidence else "too few rows with the same item to check"
            log.passed("rows-aligned", f"{name}: {what}")


def _relation(ranks: Ranks, test: TestRows) -> tuple[bool, str]:
    """Whether the score's relation to items shows, or cannot be tested; and the evidence.

    The evidence are the z-scores of the row's item and its popularity, "" if there are none.
    """
    z: dict[str, float] = {}
    if test.groups is not None and test.groups.pairs >= MIN_PAIRS:
        z["item"] = item_z(ranks, test.groups)
    if test.popularity_ranks is not None:
        z["popularity"] = abs(rank_z(ranks, test.popularity_ranks))
    known = [v for v in z.values() if not np.isnan(v)]
    if not known:
        return True, ""
    evidence = ", ".join(f"{name} z={value:.1f}" for name, value in z.items())
    return max(known) >= SHUFFLED_BELOW, evidence


def _reversed(ranks: Ranks, test: TestRows, usable: Sequence[Ranks]) -> tuple[str, str] | None:
    """Fault and remedy if items liked more score lower, unless existing runs do so too."""
    rate = test.rate_ranks
    if rate is None or not rank_z(ranks, rate) < REVERSED_Z or ranks @ rate > REVERSED_BELOW:
        return None
    if usable and not any(rank_z(r, rate) > 0 for r in usable):
        return None
    what = f"looks reversed: {-rank_z(ranks, rate):.1f} standard errors against the mean label "
    return what + "of the rows' items in train", "write the probability of label 1, not of 0"


def _broken(ranks: Ranks, test: TestRows, usable: Sequence[Ranks]) -> tuple[str, str] | None:
    """Fault and remedy if a part of the rows has lost its relation to popularity."""
    popularity = test.popularity_ranks
    if popularity is None or float(ranks @ popularity) <= 0:
        return None
    segment = weak_segment(ranks, popularity, LOST)
    if segment is None or any(weak_segment(r, popularity, LOST) for r in usable):
        return None
    what = (
        f"looks shuffled in {_where(segment)}: rank correlation with item popularity "
        f"{segment.here:.2f} there, {segment.elsewhere:.2f} elsewhere"
    )
    return what, "rows shuffled, lost or moved there? write every score next to its ID"
