"""How users' histories run in their whole sequences: along them or back, and which part they are.

Of a sample of users the sequences of item_seq.parquet are held. Each item of a user's history that
occurs once in both is looked up in the sequence: the places rise where the two run alike, and fall
where one of them is turned round.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mmctr_kit.data.contract import MAX_HISTORY, PAD
from mmctr_kit.data.folds import user_hash
from mmctr_kit.data.hashing import among, pair_keys
from mmctr_kit.data.parquet import Ragged

SAMPLE_USERS = 50_000
"""Users whose sequences are held, about; all where there are no more."""
LONG_USERS = 20_000
"""Further users with sequences that do not fit a history, which tell where histories are cut."""
TAIL = 16
"""A sequence must be longer than the history by so much, its targets among that, to tell."""
LOCATED = 3
"""Items with a place of their own that make a history comparable: two are in order by chance."""


@dataclass(frozen=True)
class Lists:
    """A list of items a row: ``users`` (n,) int64 whose they are, ``items`` of n rows. But for a
    batch as it is read, users are ascending, each once."""

    users: NDArray[np.int64]
    items: Ragged

    def of(self, users: NDArray[np.int64]) -> "Lists":
        """Those of ``users`` (ascending) alone."""
        return self.take(np.flatnonzero(among(self.users, users)))

    def take(self, index: NDArray[np.int64]) -> "Lists":
        """These rows, in this order."""
        lengths = self.items.lengths[index]
        offsets = np.concatenate([[0], np.cumsum(lengths)])
        starts = np.repeat(self.items.offsets[index] - offsets[:-1], lengths)
        values = np.asarray(self.items.values[starts + np.arange(offsets[-1])], np.int64)
        return Lists(self.users[index], Ragged(values, offsets))

    @property
    def owners(self) -> NDArray[np.int64]:
        """(total,) the row that each item is of."""
        return np.repeat(np.arange(len(self.users)), self.items.lengths)

    @property
    def places(self) -> NDArray[np.int64]:
        """(total,) where in its row each item stands, from 0."""
        return np.arange(len(self.items.values)) - self.items.offsets[self.owners]

    @property
    def keys(self) -> NDArray[np.uint64]:
        """(total,) a key of each item and its user."""
        return pair_keys(self.users[self.owners], np.asarray(self.items.values, np.int64))


@dataclass(frozen=True)
class Courses:
    """(n,) each, of the users that are comparable: whether the history runs ``along`` the sequence
    or ``back``, how many ``items`` it has, and of one that does either how many of the sequence's
    lie ``before`` and ``after`` it."""

    along: NDArray[np.bool_]
    back: NDArray[np.bool_]
    items: NDArray[np.int64]
    before: NDArray[np.int64]
    after: NDArray[np.int64]


class Sampler:
    """Holds the sequences of a sample of users, as they are read. A sample is enough, since files
    that are turned round or cut are so throughout."""

    def __init__(self, rows: int) -> None:
        """``rows`` of the file, about as many as its users."""
        self._limit = np.uint64(min(1.0, SAMPLE_USERS / max(rows, 1)) * (2**64 - 2**11))
        self._long = 0
        self._parts: list[Lists] = []

    def add(self, users: NDArray[np.int64], sequences: Ragged) -> None:
        chosen = user_hash(users, 0) <= self._limit
        if self._long < LONG_USERS:
            long = sequences.lengths >= MAX_HISTORY + TAIL
            self._long += int(long.sum())
            chosen |= long
        self._parts.append(Lists(users, sequences).take(np.flatnonzero(chosen)))

    def lists(self) -> Lists:
        return longest(self._parts)


def longest(parts: Sequence[Lists]) -> Lists:
    """Each user's longest list of all, without padding."""
    users = np.concatenate([p.users for p in parts])
    values = np.concatenate([p.items.values for p in parts])
    row = np.repeat(np.arange(len(users)), np.concatenate([p.items.lengths for p in parts]))
    real = values != PAD
    counts = np.bincount(row[real], minlength=len(users))
    held = Lists(users, Ragged(values[real], np.concatenate([[0], np.cumsum(counts)])))
    order = np.lexsort((-counts, users))
    first = np.ones(len(order), np.bool_)
    first[1:] = users[order[1:]] != users[order[:-1]]
    return held.take(order[first])


def courses(histories: Lists, sequences: Lists) -> Courses:
    """How each user's history runs in the user's sequence."""
    histories = histories.of(sequences.users)
    n, lengths = len(histories.users), histories.items.lengths
    at, place = _located(histories, sequences)
    row, index = histories.owners[at], histories.places[at]
    found = np.bincount(row, minlength=n)
    rising = (row[1:] == row[:-1]) & (np.diff(place) > 0)
    rises = np.bincount(row[1:][rising], minlength=n)
    last = np.cumsum(found) - 1
    kept = found >= LOCATED
    found, rises, last, lengths = found[kept], rises[kept], last[kept], lengths[kept]
    first = last - found + 1
    # What stands in the history before the first of its items that were found, and after the last.
    head, tail = index[first], lengths - 1 - index[last]
    back = rises == 0
    low = np.where(back, place[last] - tail, place[first] - head)
    high = np.where(back, place[first] + head, place[last] + tail)
    whole = sequences.items.lengths[np.searchsorted(sequences.users, histories.users[kept])]
    return Courses(
        along=rises == found - 1,
        back=back,
        items=lengths,
        before=np.maximum(low, 0),
        after=np.maximum(whole - 1 - high, 0),
    )


def _located(histories: Lists, sequences: Lists) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Which of the histories' items occur once in the history and once in the sequence, in order,
    and their places in the sequence."""
    wanted, there = histories.keys, sequences.keys
    single = np.flatnonzero(_once(there))
    single = single[np.argsort(there[single])]
    if not len(single):
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    slot = np.minimum(np.searchsorted(there[single], wanted), len(single) - 1)
    at = np.flatnonzero(_once(wanted) & (there[single[slot]] == wanted))
    return at, sequences.places[single[slot[at]]]


def _once(keys: NDArray[np.uint64]) -> NDArray[np.bool_]:
    """(n,) bool: which keys are there once."""
    order = np.argsort(keys)
    twice = np.zeros(len(keys), np.bool_)
    same = keys[order[1:]] == keys[order[:-1]]
    twice[order[1:][same]] = True
    twice[order[:-1][same]] = True
    return ~twice
