"""Do the scores fit what is known of the rows: other runs' ranks, and the rows' items?

All statistics are of ranks, so a monotone change of the scores changes nothing; a column is given
as its :func:`~mmctr_kit.submission.checks.local_agreement.unit_ranks`, and so ranked once.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from mmctr_kit.errors import plural
from mmctr_kit.metrics.ranks import number_ids
from mmctr_kit.submission.checks.catalog import Log
from mmctr_kit.submission.checks.local_agreement import (
    Stretch,
    same_but_for,
    unit_ranks,
    weak_stretch,
)

LOW_CORRELATION = 0.1
SAME_RUN = 0.95
"""From this rank correlation on a file counts as made of a run."""
SHUFFLED_BELOW = 3.0
"""Standard errors under which a relation to the items counts as gone."""
REVERSED_BELOW, REVERSED_ERRORS = -0.05, -5.0
"""Rank correlation with the items' label rates, and its standard errors, under both of which a
score counts as turned round. Of 60 honest runs that see the item, on the demo's data and on
ml-100k, the least had 0.2 (40 errors); one of history lengths alone -0.01 (-2.8 errors). Measured
with ``tests/studies/runs_agree.py``."""
GONE = 0.25
"""Under this share of the relation elsewhere to popularity, a part's counts as gone."""
MIN_PAIRS = 2_500
"""Pairs of rows with the same item below which the item check could miss a weak relation."""
MIN_ROWS = 1_000

Ranks = NDArray[np.float64]


@dataclass(frozen=True)
class TestRows:
    """What is known of the test set, in ID order.

    ``item_id`` (n_rows,) int64; ``popularity`` (n_rows,) float, how often each row's item was
    seen in training; ``rate`` (n_rows,) float, the mean label of its item there; None where not
    known. Raises ValueError where lengths differ.
    """

    __test__ = False

    n_rows: int
    item_id: NDArray[np.int64] | None = None
    popularity: NDArray[np.float64] | None = None
    rate: NDArray[np.float64] | None = None

    def __post_init__(self) -> None:
        for values in (self.item_id, self.popularity, self.rate):
            if values is not None and values.shape != (self.n_rows,):
                raise ValueError(f"expected {self.n_rows} values, found shape {values.shape}")

    @cached_property
    def groups(self) -> "Groups | None":
        return None if self.item_id is None else Groups.of(self.item_id)

    @cached_property
    def popularity_ranks(self) -> Ranks | None:
        return None if self.popularity is None else unit_ranks(self.popularity)

    @cached_property
    def rate_ranks(self) -> Ranks | None:
        return None if self.rate is None else unit_ranks(self.rate)


@dataclass(frozen=True)
class Groups:
    """Rows by item: ``number`` (n,) from 0, ``size`` (items,), ``pairs`` of rows of one item."""

    number: NDArray[np.intp]
    size: NDArray[np.int64]

    @classmethod
    def of(cls, item_id: NDArray[np.int64]) -> "Groups":
        number = number_ids(item_id)
        return cls(number, np.bincount(number))

    @cached_property
    def pairs(self) -> int:
        return int((self.size * (self.size - 1) // 2).sum())


@dataclass(frozen=True)
class Reference:
    """An existing run's test predictions: ``score`` (n_rows,) float64, in ID order."""

    name: str
    score: NDArray[np.float64]

    @cached_property
    def ranks(self) -> Ranks:
        return unit_ranks(np.asarray(self.score, np.float64))


def item_z(ranks: Ranks, groups: Groups) -> float:
    """How much more alike scores of the same item are than chance makes them, in standard errors.

    Kruskal and Wallis (1952): the between-item variance H of the ranks, standardised by its exact
    mean and variance under a random permutation of the scores; no permutations are drawn. NaN
    where chance leaves no variance (every item once, one item, or constant scores).
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
    """Spearman's correlation of two unit ranks in standard errors under a random permutation."""
    return float(ranks @ other) * float(np.sqrt(len(ranks) - 1))


def check_references(
    columns: Mapping[str, Ranks],
    references: Sequence[Reference],
    log: Log,
    test: TestRows | None = None,
) -> None:
    """Rank correlation of every column, (n,) in ID order, with every run of the same length.

    WARN where a run is unrelated or inverted; not where of the two one knows the rows' items and
    the other is, or is made of, a run that does not. And where a run agrees with one part of the
    file only: how much two honest runs agree differs too much (-0.15 to 1) for more.
    """
    said = []
    for name, own in columns.items():
        found = [(float(own @ r.ranks), r) for r in references if r.ranks.shape == own.shape]
        found = sorted((f for f in found if np.isfinite(f[0])), key=lambda f: f[0])
        if not found:
            continue
        runs, (least, lowest) = [r for _, r in found], found[0]
        said.append(f"{name}: {least:.3f} ({lowest.name}) to {found[-1][0]:.3f}")
        low = [
            rho
            for rho, r in found
            if rho < LOW_CORRELATION
            and (_knows_items(r.ranks, test) or not _knows_items(own, test))
        ]
        if low and _like_a_blind_one(found, test):
            low = []
        if low:
            what = f"{said[-1]} with {plural(len(found), 'run')}, {len(low):,} of them under "
            todo = "unrelated: are the rows in ID order, and is it the run you meant?"
            if least <= -LOW_CORRELATION:
                todo = "inverted? write the probability of label 1 (or that run is inverted)"
            log.warn("rank-correlation", what + f"{LOW_CORRELATION}", todo)
        elif stretch := _uneven(own, runs):
            log.warn(
                "rank-correlation",
                f"{name}: {stretch}",
                "rows shuffled, lost or moved there? write every score beside its own ID",
            )
    if said:
        log.passed("rank-correlation", "; ".join(said))


def _knows_items(ranks: Ranks, test: TestRows | None) -> bool:
    """False for a run like one of history lengths alone: all others are unrelated to it."""
    if test is None or test.groups is None or len(ranks) != test.n_rows:
        return True
    z = item_z(ranks, test.groups)
    return test.groups.pairs < MIN_PAIRS or np.isnan(z) or z >= SHUFFLED_BELOW


def _like_a_blind_one(found: Sequence[tuple[float, Reference]], test: TestRows | None) -> bool:
    return any(rho >= SAME_RUN and not _knows_items(r.ranks, test) for rho, r in found)


def _uneven(own: Ranks, runs: Sequence[Reference]) -> str | None:
    """In words, the run that agrees with the rest of the file most, and where it does not."""
    scrambled = [(s, r) for r in runs if (s := same_but_for(own, r.ranks))]
    if scrambled:
        stretch, run = max(scrambled, key=lambda f: f[0].share)
        return (
            f"{stretch.share:.0%} of the rows rank exactly as in {run.name}, the others are "
            f"unrelated to it (rank correlation {stretch.here:.2f}), {_where(stretch)}"
        )
    weak = [(s, r) for r in runs if (s := weak_stretch(own, r.ranks))]
    if not weak:
        return None
    stretch, run = max(weak, key=lambda f: f[0].elsewhere)
    return (
        f"rank correlation with {run.name} is {stretch.here:.2f} in {_where(stretch)}, and "
        f"{stretch.elsewhere:.2f} elsewhere"
    )


def _where(stretch: Stretch) -> str:
    return f"IDs {stretch.first:,} to {stretch.last:,}"


def check_alignment(
    columns: Mapping[str, Ranks],
    test: TestRows,
    references: Sequence[Reference],
    log: Log,
) -> None:
    """WARN where a column, (n_rows,) in ID order, has lost its relation to the rows' items, as a
    whole or in a part of the file, or where items that had more labels of 1 score lower.

    Only where the relation could be seen: at least 1,000 rows and, for the item itself, enough
    rows with the same item. Where references are given, only if one of them shows the relation
    (on some data no score depends on the item).
    """
    if test.n_rows < MIN_ROWS or (test.item_id is None and test.popularity is None):
        return
    usable = [
        r.ranks
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
        elif doubt := _turned(columns[name], test, usable) or _broken(columns[name], test, usable):
            log.warn("rows-aligned", f"{name} {doubt[0]}", doubt[1])
    if found:
        said = "; ".join(f"{name}: {evidence}" for name, (_, evidence) in found.items())
        log.passed("rows-aligned", said)


def _related(ranks: Ranks, test: TestRows) -> tuple[bool, str]:
    """Whether the score's relation to items shows, or cannot be tested; and the evidence."""
    values: list[float] = []
    said: list[str] = []
    if test.groups is not None and test.groups.pairs >= MIN_PAIRS:
        values.append(item_z(ranks, test.groups))
        said.append(f"item identity {values[-1]:.1f}")
    if test.popularity_ranks is not None:
        values.append(abs(rank_z(ranks, test.popularity_ranks)))
        said.append(f"item popularity {values[-1]:.1f}")
    known = [v for v in values if not np.isnan(v)]
    if not known:
        return True, "too few rows of the same item to tell"
    return max(known) >= SHUFFLED_BELOW, ", ".join(said) + " standard errors from chance"


def _turned(ranks: Ranks, test: TestRows, usable: Sequence[Ranks]) -> tuple[str, str] | None:
    """What is found and what to do, where items liked more score lower; unless runs do so too."""
    rate = test.rate_ranks
    if rate is None or not rank_z(ranks, rate) < REVERSED_ERRORS:
        return None
    if float(ranks @ rate) > REVERSED_BELOW:
        return None
    if usable and not any(rank_z(r, rate) > 0 for r in usable):
        return None
    what = f"looks reversed: {-rank_z(ranks, rate):.1f} standard errors against the mean label "
    return what + "of the rows' items in train", "write the probability of label 1, not of 0"


def _broken(ranks: Ranks, test: TestRows, usable: Sequence[Ranks]) -> tuple[str, str] | None:
    """The same where a part of the rows has lost the relation to popularity."""
    popularity = test.popularity_ranks
    if popularity is None or float(ranks @ popularity) <= 0:
        return None
    stretch = weak_stretch(ranks, popularity, GONE)
    if stretch is None or any(weak_stretch(r, popularity, GONE) for r in usable):
        return None
    what = (
        f"looks shuffled in {_where(stretch)}: rank correlation with item popularity "
        f"{stretch.here:.2f} there, {stretch.elsewhere:.2f} elsewhere"
    )
    return what, "rows shuffled, lost or moved there? write every score beside its own ID"
