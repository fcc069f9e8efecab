"""Whose histories similarities are counted from: one sequence of distinct items a user."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mmctr_kit.challenge.data import ChallengeData


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
    train, histories = data.train, data.histories
    user, history = train.user_id[rows], train.history[rows].astype(np.int64)
    length = np.minimum(histories.lengths[history], max_history)
    order = np.lexsort((history, length, user))
    last = np.flatnonzero(np.diff(user[order], append=user[order][-1:] + 1) != 0)
    chosen = order[last]
    users, length = user[chosen], length[chosen]
    end = histories.offsets[history[chosen] + 1]
    total = np.concatenate([[0], np.cumsum(length)])
    owner = np.repeat(np.arange(len(users)), length)
    items = histories.items[np.arange(total[-1]) + (end - total[1:])[owner]].astype(np.int64)
    return _distinct(users, owner, items, data.n_items)


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
