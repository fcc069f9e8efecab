"""Pairs of items that the same user took, drawn at random, and how well vectors find them again."""

from dataclasses import dataclass

import numpy as np

from mmctr_kit.data.contexts import Contexts
from mmctr_kit.data.hashing import splitmix64
from mmctr_kit.metrics.ranks import Flags, Floats32, Ints, Uints

_HELD_ITEMS, _HELD_PAIRS = 10, 20
"""One in this many items, and one in this many pairs of other items, is held out."""
_ROUNDS = 20
"""How often pairs are drawn once more if short sequences give too few."""
NEIGHBOURS = 50
"""Recall is the share of the held-out pairs whose target is among this many nearest items."""
_SCORES = 1 << 22
"""The most scores that are computed at once."""


@dataclass(frozen=True)
class Pairs:
    """Pairs (n,) of items: a user, who took ``older`` and later ``newer``."""

    user: Ints
    older: Ints
    newer: Ints

    def __len__(self) -> int:
        return len(self.user)

    def take(self, index: Ints | Flags) -> "Pairs":
        """The pairs at these positions."""
        return Pairs(self.user[index], self.older[index], self.newer[index])

    def join(self, other: "Pairs") -> "Pairs":
        """These pairs, then the other's."""
        columns = zip(vars(self).values(), vars(other).values(), strict=True)
        return Pairs(*(np.concatenate(both) for both in columns))


class PairSampler:
    """Draws pairs of items at most ``window`` positions apart in a user's sequence.

    Every tenth item is *cold*: held out, with all of its pairs. Of the pairs of other items every
    twentieth is held out, for all users. Both are chosen by a hash of the ids, and held-out pairs
    are divided by it: one half is to ``choose`` by, the other half to report.
    """

    def __init__(self, sequences: Contexts, window: int) -> None:
        self._owner = np.repeat(np.arange(len(sequences.users)), sequences.lengths)
        self._items = sequences.items
        self._window = window
        self._n = sequences.n_items
        hashes = splitmix64(np.arange(self._n + 1, dtype=np.uint64))
        self.cold: Flags = hashes % np.uint64(_HELD_ITEMS) == 0

    def draw(self, count: int, rng: np.random.Generator) -> Pairs:
        """About ``count`` pairs, held out or not, each as likely as any other."""
        last = len(self._items)
        at = rng.integers(0, max(last, 1), count if last else 0)
        after = at + rng.integers(1, self._window + 1, len(at))
        whole = np.flatnonzero(after < last)
        at, after = at[whole], after[whole]
        same = self._owner[at] == self._owner[after]
        at, after = at[same], after[same]
        return Pairs(self._owner[at], self._items[at], self._items[after])

    def training(self, count: int, rng: np.random.Generator) -> Pairs:
        """``count`` pairs that are not held out; fewer if few positions have another in reach."""
        drawn = self._kept(3 * count, rng)
        for _ in range(_ROUNDS):
            if len(drawn) >= count:
                break
            drawn = drawn.join(self._kept(3 * count, rng))
        return drawn.take(np.arange(min(count, len(drawn))))

    def _kept(self, count: int, rng: np.random.Generator) -> Pairs:
        drawn = self.draw(count, rng)
        held = self.cold[drawn.older] | self.cold[drawn.newer] | self._held(drawn)
        return drawn.take(~held)

    def held_out(self, count: int, cold: bool, choose: bool) -> tuple[Ints, Ints]:
        """Distinct held-out pairs as a query (n,) and a target (n,), at most ``count``.

        With ``cold`` the target is a cold item and the query is not. ``choose`` says which half.
        """
        drawn = self.draw(64 * count, np.random.default_rng(0))
        older, newer = self.cold[drawn.older], self.cold[drawn.newer]
        held = older ^ newer if cold else ~older & ~newer & self._held(drawn)
        keys, first = np.unique(self._keys(drawn), return_index=True)
        half = splitmix64(keys) & np.uint64(1) == np.uint64(choose)
        pairs = drawn.take(np.sort(first[half & held[first]]))
        pairs = pairs.take(np.random.default_rng(1).permutation(len(pairs))[:count])
        # Of a cold pair the query is the item that is not cold; of others, either in turn.
        swap = self.cold[pairs.older] if cold else np.arange(len(pairs)) % 2 == 0
        ends = pairs.older, pairs.newer
        return np.where(swap, *ends[::-1]), np.where(swap, *ends)

    def _keys(self, pairs: Pairs) -> Uints:
        low, high = np.minimum(pairs.older, pairs.newer), np.maximum(pairs.older, pairs.newer)
        keys: Uints = (low * (self._n + 1) + high).astype(np.uint64)
        return keys

    def _held(self, pairs: Pairs) -> Flags:
        held: Flags = splitmix64(self._keys(pairs)) // np.uint64(2) % np.uint64(_HELD_PAIRS) == 0
        return held


def ranks(vectors: Floats32, query: Ints, target: Ints) -> Ints:
    """How many other items are nearer to the query than the target is, by cosine, (n,).

    ``vectors`` (n_items + 1, d). A tie counts as nearer. Items with a zero vector are nobody's
    neighbours; if query or target is one, the rank is the number of items.
    """
    length = np.linalg.norm(vectors, axis=1)
    known = length > 0
    unit = vectors / np.where(known, length, 1)[:, None]
    known[0] = False
    result = np.full(len(query), len(vectors) - 1)
    some = np.flatnonzero(known[query] & known[target])
    step = max(1, _SCORES // len(vectors))
    for begin in range(0, len(some), step):
        rows = some[begin : begin + step]
        scores = unit[query[rows]] @ unit.T
        scores[:, ~known] = -np.inf
        each = np.arange(len(rows))
        scores[each, query[rows]] = -np.inf
        # The target itself is among those that are at least as near.
        result[rows] = (scores >= scores[each, target[rows]][:, None]).sum(axis=1) - 1
    return result
