"""Whose histories similarities are counted from: one sequence of distinct items a user."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mmctr_kit.data.dataset import ChallengeData
from mmctr_kit.data.ragged import expand_ranges


@dataclass(frozen=True)
class Contexts:
    """CSR: user ``users[u]``'s items are ``items[offsets[u]:offsets[u + 1]]``, oldest first, each
    once (where it came last).

    ``users`` (U,) int64 ascending, ``items`` (total,) int64, ``offsets`` (U + 1,) int64. ``keys``
    (total,) int64 ascending and ``places`` (total,) int64 find an item in a user's sequence.
    """

    users: NDArray[np.int64]
    items: NDArray[np.int64]
    offsets: NDArray[np.int64]
    n_items: int
    keys: NDArray[np.int64]
    places: NDArray[np.int64]

    @property
    def lengths(self) -> NDArray[np.int64]:
        return np.diff(self.offsets)

    def number(self, user_id: NDArray[np.int64]) -> NDArray[np.int64]:
        """(n,) the users' positions in ``users``, -1 for a user who is not among them."""
        if not len(self.users):
            return np.full(len(user_id), -1)
        place = np.minimum(np.searchsorted(self.users, user_id), len(self.users) - 1)
        return np.where(self.users[place] == user_id, place, -1)

    def position(self, number: NDArray[np.int64], item: NDArray[np.int64]) -> NDArray[np.int64]:
        """(n,) where each item stands in its user's sequence, 0 = oldest; -1 where it does not.

        ``number`` is :meth:`number`'s.
        """
        if not len(self.keys):
            return np.full(len(number), -1)
        wanted = number * (self.n_items + 1) + item
        place = np.minimum(np.searchsorted(self.keys, wanted), len(self.keys) - 1)
        found = (number >= 0) & (self.keys[place] == wanted)
        return np.where(found, self.places[place], -1)


def contexts(data: ChallengeData, rows: NDArray[np.int64], max_history: int) -> Contexts:
    """The sequences of the users of these train rows: of a user's histories the longest, the most
    recent ``max_history`` items of it.

    Where a user's rows show prefixes of one sequence, that is the whole of it.
    """
    users, begin, end = longest_histories(data, rows)
    length = np.minimum(end - begin, max_history)
    place, owner = expand_ranges(end - length, length)
    items = data.histories.values[place].astype(np.int64)
    return _distinct(users, owner, items, data.n_items)


def longest_histories(
    data: ChallengeData, rows: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """(U,) the users of these train rows, ascending, and where the longest of each one's histories
    begins and ends in ``Histories.items``."""
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
    kept = np.sort(at)
    owner, items = owner[kept], items[kept]
    offsets = np.concatenate([[0], np.cumsum(np.bincount(owner, minlength=len(users)))])
    places = np.searchsorted(kept, at)
    return Contexts(users, items, offsets, n_items, unique, places - offsets[owner[places]])
