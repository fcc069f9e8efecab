"""The users that similarities are counted from, each with one sequence of distinct items."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mmctr_kit.data.dataset import ChallengeData
from mmctr_kit.data.ragged import expand_ranges


@dataclass(frozen=True)
class Contexts:
    """Users and their sequences of items, oldest first, each item once, at its last occurrence.

    In CSR form, the items of user ``users[u]`` are ``items[offsets[u]:offsets[u + 1]]``: ``users``
    (U,) int64 ascending, ``items`` (total,) int64, ``offsets`` (U + 1,) int64. ``keys`` (total,)
    int64 ascending and ``positions`` (total,) int64 find an item in a user's sequence.
    """

    users: NDArray[np.int64]
    items: NDArray[np.int64]
    offsets: NDArray[np.int64]
    n_items: int
    keys: NDArray[np.int64]
    positions: NDArray[np.int64]

    @property
    def lengths(self) -> NDArray[np.int64]:
        return np.diff(self.offsets)

    def number(self, user_id: NDArray[np.int64]) -> NDArray[np.int64]:
        """The index of each user in ``users``, (n,), -1 for a user who is not among them."""
        return find_sorted(self.users, user_id)

    def position(self, number: NDArray[np.int64], item: NDArray[np.int64]) -> NDArray[np.int64]:
        """The position of each item in its user's sequence, (n,), 0 = oldest, -1 if absent.

        ``number`` (n,) is what :meth:`number` returns.
        """
        key = find_sorted(self.keys, number * (self.n_items + 1) + item)
        known = np.flatnonzero((number >= 0) & (key >= 0))
        position = np.full(len(number), -1)
        position[known] = self.positions[key[known]]
        return position


def find_sorted(keys: NDArray[np.int64], wanted: NDArray[np.int64]) -> NDArray[np.int64]:
    """The index of each ``wanted`` (n,) value in the ascending ``keys``, (n,), -1 if absent."""
    if not len(keys):
        return np.full(len(wanted), -1)
    index = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
    return np.where(keys[index] == wanted, index, -1)


def contexts(data: ChallengeData, rows: NDArray[np.int64], max_history: int) -> Contexts:
    """The sequences of the users of these train rows, one user's longest history each.

    Only its most recent ``max_history`` items are taken. If a user's rows show prefixes of one
    sequence, the longest history is the whole sequence.
    """
    users, begin, end = longest_histories(data, rows)
    length = np.minimum(end - begin, max_history)
    position, owner = expand_ranges(end - length, length)
    items = data.histories.values[position].astype(np.int64)
    return _distinct(users, owner, items, data.n_items)


def longest_histories(
    data: ChallengeData, rows: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """The users of these train rows, ascending, and the span of each one's longest history.

    All are (U,): users, and where the history begins and ends in ``Histories.items``.
    """
    offsets, lengths = data.histories.offsets, data.histories.lengths
    user, history = data.train.user_id[rows], data.train.history[rows].astype(np.int64)
    order = np.lexsort((history, lengths[history], user))
    last = order[np.flatnonzero(np.diff(user[order], append=user[order][-1:] + 1) != 0)]
    return user[last], offsets[history[last]], offsets[history[last] + 1]


def _distinct(
    users: NDArray[np.int64], owner: NDArray[np.int64], items: NDArray[np.int64], n_items: int
) -> Contexts:
    keys = owner * (n_items + 1) + items
    # The last occurrence of each key: the first one seen from the end.
    unique, from_end = np.unique(keys[::-1], return_index=True)
    at = len(keys) - 1 - from_end
    last = np.sort(at)
    owner, items = owner[last], items[last]
    offsets = np.concatenate([[0], np.cumsum(np.bincount(owner, minlength=len(users)))])
    index = np.searchsorted(last, at)
    return Contexts(users, items, offsets, n_items, unique, index - offsets[owner[index]])
