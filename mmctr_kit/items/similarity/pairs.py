"""How often, how near and in which order two items stand in the same user's history.

Pairs are counted in chunks of users, so memory is bounded by the distinct pairs and not by the
square of the catalogue.
"""

from dataclasses import dataclass

import numpy as np

from mmctr_kit.data.contexts import Contexts, cut_by_sum, find_sorted
from mmctr_kit.metrics.ranks import Floats32, Ints

TOGETHER, NEAR, UP, DOWN, RECENT = range(5)
"""Columns of :attr:`Pairs.sums`."""
_COLUMNS = 5
_CHUNK_PAIRS = 1 << 22


@dataclass(frozen=True)
class Weights:
    """How much a pair of positions p < q in a sequence of m items counts.

    Together: 1. Near: 1 / (q - p) up to ``window`` positions apart. Up and down: near, by whether
    the smaller or the larger id is older. Recent: 2 ** (-(m - 1 - p) / ``half_life``), so both
    items must be recent.
    """

    window: int
    half_life: float

    def of(self, p: Ints, q: Ints, m: Ints) -> tuple[Floats32, Floats32]:
        """Near and recent weights of positions p < q, each (n,)."""
        gap = q - p
        near = np.where(gap <= self.window, 1.0 / np.maximum(gap, 1), 0.0)
        recent = np.exp2(-(m - 1 - p) / self.half_life)
        return near.astype(np.float32), recent.astype(np.float32)


@dataclass(frozen=True)
class Pairs:
    """Distinct pairs of items i < j that some user has both of.

    ``keys`` (pairs,) int64 ascending, i * (n_items + 1) + j. ``sums`` (pairs, 5) float32 over
    users: together, near, up (the smaller id is older), down, recent. ``count`` (n_items + 1,)
    int64 is how many users have the item, ``users`` how many there are.
    """

    keys: Ints
    sums: Floats32
    count: Ints
    users: int
    weights: Weights

    def find(self, a: Ints, b: Ints) -> Ints:
        """The index of each pair (a, b), in either order, (n,); -1 for a pair that nobody has."""
        wanted = np.minimum(a, b) * len(self.count) + np.maximum(a, b)
        # Each distinct pair once and in order: random searches of a large table miss every cache.
        distinct, back = np.unique(wanted, return_inverse=True)
        return find_sorted(self.keys, distinct)[back]


def count_pairs(contexts: Contexts, weights: Weights, neighbours: int) -> Pairs:
    """Count every pair; keep those among either item's ``neighbours`` strongest by cosine."""
    n = contexts.n_items + 1
    count = np.bincount(contexts.items, minlength=n)
    keys, sums = np.zeros(0, np.int64), np.zeros((0, _COLUMNS), np.float32)
    waiting: list[tuple[Ints, Floats32]] = []
    m = contexts.lengths
    for chunk in cut_by_sum(m * (m - 1) // 2, _CHUNK_PAIRS):
        waiting.append(_add_up(*_pairs_of(contexts, chunk, weights)))
        # Merged when as much waits as was merged before, so each pair is merged log times.
        if sum(len(k) for k, _ in waiting) > len(keys):
            keys, sums = _merge([(keys, sums), *waiting])
            waiting = []
    keys, sums = _merge([(keys, sums), *waiting])
    strongest = _strongest(keys, sums[:, TOGETHER], count, neighbours)
    if strongest is not None:
        keys, sums = keys[strongest], sums[strongest]
    return Pairs(keys, sums, count, len(contexts.users), weights)


def _pairs_of(contexts: Contexts, chunk: slice, weights: Weights) -> tuple[Ints, Floats32]:
    """The keys and the (pairs, 5) weights of every pair of a chunk of users."""
    begin, end = contexts.offsets[chunk.start], contexts.offsets[chunk.stop]
    length = contexts.lengths[chunk]
    m = np.repeat(length, length)
    start = np.repeat(contexts.offsets[chunk], length)
    q = np.arange(begin, end) - start  # each position as the newer one of q pairs
    older = np.repeat(np.arange(end - begin), q)
    ends = np.cumsum(q)
    p = np.arange(ends[-1] if len(ends) else 0) - np.repeat(ends - q, q)
    a, b = contexts.items[start[older] + p], contexts.items[begin + older]
    near, recent = weights.of(p, q[older], m[older])
    columns = np.empty((len(p), _COLUMNS), np.float32)
    columns[:, TOGETHER] = 1
    columns[:, NEAR] = near
    columns[:, UP] = np.where(a < b, near, 0)
    columns[:, DOWN] = np.where(a > b, near, 0)
    columns[:, RECENT] = recent
    return np.minimum(a, b) * (contexts.n_items + 1) + np.maximum(a, b), columns


def _add_up(keys: Ints, values: Floats32) -> tuple[Ints, Floats32]:
    if not len(keys):
        return keys, values
    order = np.argsort(keys, kind="stable")
    keys = keys[order]
    first = np.flatnonzero(np.diff(keys, prepend=keys[0] - 1))
    return keys[first], np.add.reduceat(values[order], first, axis=0)


def _merge(parts: list[tuple[Ints, Floats32]]) -> tuple[Ints, Floats32]:
    return _add_up(np.concatenate([k for k, _ in parts]), np.concatenate([v for _, v in parts]))


def _strongest(keys: Ints, together: Floats32, count: Ints, neighbours: int) -> Ints | None:
    """Indexes of the pairs to keep, ascending, or None for all; of equals the first by key."""
    n = len(count)
    a, b = keys // n, keys % n
    degree = np.bincount(a, minlength=n) + np.bincount(b, minlength=n)
    crowded = degree > neighbours
    if not crowded.any():
        return None
    cosine = together / np.sqrt(count[a] * count[b])
    keep = ~(crowded[a] & crowded[b])
    of_a, of_b = np.flatnonzero(crowded[a]), np.flatnonzero(crowded[b])
    pair = np.concatenate([of_a, of_b])
    pair = pair[np.argsort(np.concatenate([a[of_a], b[of_b]]), kind="stable")]
    begin = 0
    for end in np.cumsum(degree[crowded]).tolist():
        of_item = pair[begin:end]
        keep[of_item[np.argsort(-cosine[of_item], kind="stable")[:neighbours]]] = True
        begin = end
    return np.flatnonzero(keep)
