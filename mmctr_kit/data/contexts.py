"""The users that similarities are counted from, each with one sequence of distinct items."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from mmctr_kit.data.dataset import ChallengeData
from mmctr_kit.data.ragged import expand_ranges
from mmctr_kit.metrics.ranks import Ints


@dataclass(frozen=True)
class Contexts:
    """Users and their sequences of items, oldest first, each item once, at its last occurrence.

    In CSR form, the items of user ``users[u]`` are ``items[offsets[u]:offsets[u + 1]]``: ``users``
    (U,) int64 ascending, ``items`` (total,) int64, ``offsets`` (U + 1,) int64. ``keys`` (total,)
    int64 ascending and ``positions`` (total,) int64 find an item in a user's sequence.
    """

    users: Ints
    items: Ints
    offsets: Ints
    n_items: int
    keys: Ints
    positions: Ints

    @property
    def lengths(self) -> Ints:
        return np.diff(self.offsets)

    def number(self, user_id: Ints) -> Ints:
        """The index of each user in ``users``, (n,), -1 for a user who is not among them."""
        return find_sorted(self.users, user_id)

    def position(self, number: Ints, item: Ints) -> Ints:
        """Each item's position in user ``number``'s sequence, (n,), 0 = oldest, -1 if absent."""
        key = find_sorted(self.keys, number * (self.n_items + 1) + item)
        known = np.flatnonzero((number >= 0) & (key >= 0))
        position = np.full(len(number), -1)
        position[known] = self.positions[key[known]]
        return position


def find_sorted(keys: Ints, wanted: Ints) -> Ints:
    """The index of each ``wanted`` (n,) value in the ascending ``keys``, (n,), -1 if absent."""
    if not len(keys):
        return np.full(len(wanted), -1)
    index = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
    return np.where(keys[index] == wanted, index, -1)


def cut_by_sum(sizes: Ints, most: int) -> Iterator[slice]:
    """Slices of consecutive ``sizes`` whose sum is about ``most``."""
    cuts = np.flatnonzero(np.diff(np.cumsum(sizes) // most)) + 1
    for begin, end in pairwise([0, *cuts.tolist(), len(sizes)]):
        if end > begin:
            yield slice(begin, end)


def contexts(data: ChallengeData, rows: Ints, max_history: int, positives: bool = True) -> Contexts:
    """The sequences of the users of these train rows: each user's longest history, then positives.

    Only the most recent ``max_history`` items of the history are taken. If a user's rows show
    prefixes of one sequence, the longest history is the whole sequence. The targets of the user's
    rows with label 1 that are not in it follow: what the user took next is the freshest evidence.
    Without ``positives`` no target of the user's rows is in the sequence, whatever its label, not
    even if the history shows it: then the sequences know no label.
    """
    users, begin, end = longest_histories(data, rows)
    length = np.minimum(end - begin, max_history)
    position, owner = expand_ranges(end - length, length)
    items, size = data.histories.values[position].astype(np.int64), data.n_items + 1
    if positives:
        after, positive = new_positives(data, rows, (users, begin, end))
        order = np.argsort(np.concatenate([owner, after]), kind="stable")
        owner = np.concatenate([owner, after])[order]
        items = np.concatenate([items, positive])[order]
    else:
        asked = np.searchsorted(users, data.train.user_id[rows]) * size + data.train.item_id[rows]
        other = find_sorted(np.unique(asked), owner * size + items) < 0
        owner, items = owner[other], items[other]
    keys = owner * size + items
    # The last occurrence of each key: the first one seen from the end.
    unique, from_end = np.unique(keys[::-1], return_index=True)
    at = len(keys) - 1 - from_end
    last = np.sort(at)
    owner, items = owner[last], items[last]
    offsets = np.concatenate([[0], np.cumsum(np.bincount(owner, minlength=len(users)))])
    index = np.searchsorted(last, at)
    positions = index - offsets[owner[index]]
    return Contexts(users, items, offsets, data.n_items, unique, positions)


def longest_histories(data: ChallengeData, rows: Ints) -> tuple[Ints, Ints, Ints]:
    """The users (U,) of these rows, ascending, and the begin and end of their longest histories."""
    offsets, lengths = data.histories.offsets, data.histories.lengths
    user, history = data.train.user_id[rows], data.train.history[rows].astype(np.int64)
    order = np.lexsort((history, lengths[history], user))
    last = order[np.flatnonzero(np.diff(user[order], append=user[order][-1:] + 1) != 0)]
    return user[last], offsets[history[last]], offsets[history[last] + 1]


def new_positives(
    data: ChallengeData, rows: Ints, longest: tuple[Ints, Ints, Ints]
) -> tuple[Ints, Ints]:
    """Targets with label 1 that are not in their user's longest history, oldest first.

    The index of the user, (n,), and the item, (n,). A row with a longer history is newer.
    """
    users, begin, end = longest
    size = data.n_items + 1
    position, owner = expand_ranges(begin, end - begin)
    held = np.unique(owner * size + data.histories.values[position])
    rows = np.sort(rows[data.train.labels()[rows] == 1])
    user = np.searchsorted(users, data.train.user_id[rows])
    item = data.train.item_id[rows].astype(np.int64)
    new = np.flatnonzero(find_sorted(held, user * size + item) < 0)
    new = new[np.argsort(data.histories.lengths[data.train.history[rows[new]]], kind="stable")]
    return user[new], item[new]
