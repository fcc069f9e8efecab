"""Compares users' histories with their whole sequences: direction, and which part they are.

The sequences of item_seq.parquet are kept for a sample of users. Each item that occurs once in a
user's history and once in the sequence is looked up there: its positions rise if the two run the
same way, and fall if one of them is reversed.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mmctr_kit.data.contract import MAX_HISTORY, PAD
from mmctr_kit.data.folds import user_hash
from mmctr_kit.data.hashing import among, pair_keys
from mmctr_kit.data.ragged import Ragged
from mmctr_kit.metrics.ranks import Flags, Ints, Uints, group_starts

SAMPLE_USERS = 50_000
"""About how many users' sequences are kept; all if there are fewer."""
LONG_USERS = 20_000
"""Further users whose sequence is too long for a history: they show where histories are cut."""
TAIL = 16
"""How much longer than the history a sequence must be to count (it may hold the targets)."""
LOCATED = 3
"""Items with a known position that make a history comparable: two are in order by chance."""


@dataclass(frozen=True)
class UserLists:
    """One list of items a user: ``users`` (n,) int64, ``items`` n rows.

    Users ascend, each once, except in a batch as it is read.
    """

    users: Ints
    items: Ragged[np.int64]

    def of(self, users: Ints) -> "UserLists":
        """The lists of ``users`` (ascending) only."""
        return self.take(np.flatnonzero(among(self.users, users)))

    def take(self, index: Ints) -> "UserLists":
        """These rows, in this order."""
        return UserLists(self.users[index], self.items.take(index))

    @property
    def positions(self) -> Ints:
        """(total,) each item's position in its row, from 0."""
        return np.arange(len(self.items.values)) - self.items.offsets[self.items.rows]

    @property
    def keys(self) -> Uints:
        """(total,) a key of each item and its user."""
        return pair_keys(self.users[self.items.rows], self.items.values)


@dataclass(frozen=True)
class Directions:
    """How comparable users' histories run in their sequences, (n,) each.

    ``along``: the history runs as the sequence does; ``reversed``: it runs backwards; ``capped``:
    it is as long as any, so it may have been cut; ``before`` and ``after``: how many items of the
    sequence lie before and after it (only meaningful if it runs along or backwards).
    """

    along: Flags
    reversed: Flags
    capped: Flags
    before: Ints
    after: Ints


class Sampler:
    """Keeps the sequences of some users while a file is read: it is reversed or cut throughout."""

    def __init__(self, rows: int) -> None:
        """``rows``: those of the file, about as many as its users."""
        self._limit = np.uint64(min(1.0, SAMPLE_USERS / max(rows, 1)) * (2**64 - 2**11))
        self._long = 0
        self.parts: list[UserLists] = []

    def add(self, users: Ints, sequences: Ragged[np.int64]) -> None:
        chosen = user_hash(users, 0) <= self._limit
        if self._long < LONG_USERS:
            long = sequences.lengths >= MAX_HISTORY + TAIL
            self._long += int(long.sum())
            chosen |= long
        self.parts.append(UserLists(users, sequences).take(np.flatnonzero(chosen)))


def longest(parts: Sequence[UserLists]) -> UserLists:
    """Each user's longest list in all parts, without padding."""
    users = np.concatenate([p.users for p in parts])
    items = Ragged.concatenate([p.items for p in parts])
    real = items.values != PAD
    counts = np.bincount(items.rows[real], minlength=len(users))
    lists = UserLists(users, Ragged.of(items.values[real], counts))
    order = np.lexsort((-counts, users))
    return lists.take(order[group_starts(users[order])])


def directions(histories: UserLists, sequences: UserLists, most: int) -> Directions:
    """How each user's history runs in the user's sequence; ``most`` items may be a cut history."""
    histories = histories.of(sequences.users)
    n, lengths = len(histories.users), histories.items.lengths
    at, position = _located(histories, sequences)
    row, index = histories.items.rows[at], histories.positions[at]
    located = np.bincount(row, minlength=n)
    rising = (row[1:] == row[:-1]) & (np.diff(position) > 0)
    rises = np.bincount(row[1:][rising], minlength=n)
    last = np.cumsum(located) - 1
    usable = located >= LOCATED
    located, rises, last, lengths = located[usable], rises[usable], last[usable], lengths[usable]
    first = last - located + 1
    # Items of the history before the first one that was located, and after the last one.
    head, tail = index[first], lengths - 1 - index[last]
    back = rises == 0
    low = np.where(back, position[last] - tail, position[first] - head)
    high = np.where(back, position[first] + head, position[last] + tail)
    whole = sequences.items.lengths[np.searchsorted(sequences.users, histories.users[usable])]
    along, before, after = rises == located - 1, np.maximum(low, 0), np.maximum(whole - 1 - high, 0)
    return Directions(along, back, lengths >= most, before, after)


def _located(histories: UserLists, sequences: UserLists) -> tuple[Ints, Ints]:
    """Ascending indices of items that occur once in both, and their positions in the sequence."""
    wanted, present = histories.keys, sequences.keys
    single = np.flatnonzero(_once(present))
    single = single[np.argsort(present[single])]
    if not len(single):
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    slot = np.minimum(np.searchsorted(present[single], wanted), len(single) - 1)
    at = np.flatnonzero(_once(wanted) & (present[single[slot]] == wanted))
    return at, sequences.positions[single[slot[at]]]


def _once(keys: Uints) -> Flags:
    """(n,) bool: which keys occur once."""
    order = np.argsort(keys)
    new = np.append(group_starts(keys[order]), True)
    once = np.empty(len(keys), np.bool_)
    once[order] = new[1:] & new[:-1]
    return once
