"""How much more often than usual a target is taken by those who have some item, or tag, before it.

The lift of a pair (target's, history's) is logit of the shrunk label mean of the pair less logit of
the target's own: 0 where the history's item makes no difference, or nothing is known of the pair.
Cross-fitted, see :mod:`mmctr_kit.training.gbdt.crossfit`.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mmctr_kit.data.dataset import ChallengeData, Examples
from mmctr_kit.training.gbdt.crossfit import Groups, Rates, others, shrunk
from mmctr_kit.training.gbdt.packed import MAX, MEAN, RECENT, TOP3, Columns, Packed
from mmctr_kit.training.gbdt.target import Tags

MOST_TAGS = 1024
"""Pairs are counted of the most frequent tags: the tables have their square."""

_CHUNK_POSITIONS = 1 << 17
_LEAST = 2
"""A pair is known from so many rows on; most pairs of items are seen once and tell nothing."""


@dataclass(frozen=True)
class TagLifts:
    """``of`` (groups + 1, tags, tags) float32: the lift of target's tag and history's tag, of the
    tags ``place`` (n_tags,) int64 numbers from 1; 0 for padding and rarer tags."""

    groups: Groups
    tags: Tags
    place: NDArray[np.int64]
    of: NDArray[np.float32]

    @classmethod
    def fit(cls, data: ChallengeData, examples: Examples, groups: Groups, tags: Tags) -> "TagLifts":
        """From the groups' rows, which the ``examples`` are."""
        order = np.argsort(-tags.items, kind="stable")
        chosen = order[tags.items[order] > 0][:MOST_TAGS]
        place = np.zeros(len(tags.items), np.int64)
        place[chosen] = np.arange(1, len(chosen) + 1)
        k, count = len(chosen) + 1, groups.options.groups
        seen, hits = np.zeros(count * k * k), np.zeros(count * k * k)
        at = 0
        for chunk in examples.chunks(_CHUNK_POSITIONS):
            packed = Packed.of(data, chunk, 1.0)
            of_row = groups.of_row[at : at + len(chunk)]
            label = groups.label[at : at + len(chunk)]
            mine, theirs = place[tags.of[packed.target]], place[tags.of[packed.item]]
            cell = (of_row[:, None] * k + mine)[packed.row, :, None] * k + theirs[:, None, :]
            real = (mine[packed.row, :, None] > 0) & (theirs[:, None, :] > 0)
            value = np.broadcast_to(label[packed.row, None, None], cell.shape)[real]
            seen += np.bincount(cell[real], minlength=len(seen))
            hits += np.bincount(cell[real], value, minlength=len(hits))
            at += len(chunk)
        lifts = _tag_lifts(seen.reshape(count, k, k), hits.reshape(count, k, k), groups)
        return cls(groups, tags, place, lifts)

    def at_positions(self, packed: Packed) -> NDArray[np.float32]:
        """(positions,) the mean lift of all pairs of target's and history item's tags."""
        _, sees = self.groups.of(packed.examples.user_id)
        mine = self.place[self.tags.of[packed.target]][packed.row]
        theirs = self.place[self.tags.of[packed.item]]
        k = self.of.shape[1]
        flat = self.of.reshape(-1)
        base = (sees[packed.row][:, None] * k + mine) * k
        total = np.zeros(len(packed.row), np.float32)
        for column in range(theirs.shape[1]):
            total += flat[base + theirs[:, column : column + 1]].sum(1)
        pairs = (mine > 0).sum(1) * (theirs > 0).sum(1)
        return np.asarray(total / np.maximum(pairs, 1).astype(np.float32))


def _tag_lifts(
    seen: NDArray[np.float64], hits: NDArray[np.float64], groups: Groups
) -> NDArray[np.float32]:
    """(groups, k, k) sums -> (groups + 1, k, k) lifts, 0 in row and column 0."""
    scale = groups.scale[:, None, None]
    seen, hits = others(seen) * scale, others(hits) * scale
    shrinkage = groups.options.pair_shrinkage
    prior = hits.sum((1, 2), keepdims=True) / np.maximum(seen.sum((1, 2), keepdims=True), 1)
    usual = shrunk(seen.sum(2, keepdims=True), hits.sum(2, keepdims=True), prior, shrinkage)
    lifts = logit(shrunk(seen, hits, usual, shrinkage)) - logit(usual)
    lifts[:, 0, :] = 0
    lifts[:, :, 0] = 0
    return lifts


@dataclass(frozen=True)
class ItemLifts:
    """Rows of pairs (target, history item) with at least two rows; a pair's key is target *
    (n_items + 1) + item.

    ``keys`` (pairs,) int64 ascending with ``counts`` (pairs, 2) int32 of rows and of positive ones;
    ``cells`` (cells,) int64 ascending, key * groups + group, with those of the group's rows.
    """

    groups: Groups
    rate: Rates
    keys: NDArray[np.int64]
    counts: NDArray[np.int32]
    cells: NDArray[np.int64]
    of_cell: NDArray[np.int32]

    @classmethod
    def fit(
        cls, data: ChallengeData, examples: Examples, groups: Groups, rate: Rates
    ) -> "ItemLifts":
        """From the groups' rows, which the ``examples`` are; ``rate`` is the items'."""
        size, count = data.n_items + 1, groups.options.groups
        entries = np.empty(int(examples.lengths.sum()), np.int64)
        at = position = 0
        for chunk in examples.chunks(_CHUNK_POSITIONS):
            packed = Packed.of(data, chunk, 1.0)
            end = position + len(packed.row)
            of_row = groups.of_row[at : at + len(chunk)] * 2 + groups.label[at : at + len(chunk)]
            entries[position:end] = packed.target[packed.row] * size + packed.item
            entries[position:end] *= 2 * count
            entries[position:end] += of_row[packed.row]
            at, position = at + len(chunk), end
        entries, number = np.unique(entries, return_counts=True)
        keys, counts = _add_up(entries // (2 * count), entries % 2, number)
        known = counts[:, 0] >= _LEAST
        kept = known[np.searchsorted(keys, entries // (2 * count))]
        entries, number = entries[kept], number[kept]
        cells, of_cell = _add_up(entries // 2, entries % 2, number)
        return cls(groups, rate, keys[known], counts[known], cells, of_cell)

    def at_positions(self, packed: Packed) -> NDArray[np.float32]:
        """(positions,) the lift of the target with each item of its history."""
        number, sees = self.groups.of(packed.examples.user_id)
        size, count = self.rate.of.shape[1], self.groups.options.groups
        key = packed.target[packed.row] * size + packed.item
        # Each distinct key once and in order: random searches of a large table miss every cache.
        distinct, back = np.unique(key, return_inverse=True)
        counts = _find(self.keys, self.counts, distinct)[back]
        own = np.flatnonzero((number >= 0)[packed.row] & (counts[:, 0] > 0))
        cell = key[own] * count + sees[packed.row[own]]
        distinct, back = np.unique(cell, return_inverse=True)
        counts[own] -= _find(self.cells, self.of_cell, distinct)[back]
        known = np.flatnonzero(counts[:, 0] >= _LEAST)
        row = packed.row[known]
        usual = self.rate.of[sees[row], packed.target[row]]
        scaled = counts[known] * self.groups.scale[sees[row]][:, None]
        pair = shrunk(scaled[:, 0], scaled[:, 1], usual, self.groups.options.pair_shrinkage)
        lifts = np.zeros(len(key), np.float32)
        lifts[known] = logit(pair) - logit(usual)
        return lifts


def lift_features(packed: Packed, tag: TagLifts, item: ItemLifts) -> Columns:
    """Both lifts, pooled over the history."""
    of_tags = packed.pool(tag.at_positions(packed))
    of_items = packed.pool(item.at_positions(packed))
    return {
        "tag_lift_max": of_tags[:, MAX],
        "tag_lift_mean": of_tags[:, MEAN],
        "tag_lift_recent": of_tags[:, RECENT],
        "tag_lift_top3": of_tags[:, TOP3],
        "item_lift_max": of_items[:, MAX],
        "item_lift_mean": of_items[:, MEAN],
        "item_lift_recent": of_items[:, RECENT],
        "item_lift_sum": of_items[:, MEAN] * packed.length.astype(np.float32),
    }


def logit(rate: NDArray[np.float32]) -> NDArray[np.float32]:
    """Natural log odds, of rates within 1e-4 of 0 or 1 those of 1e-4."""
    clipped = np.clip(rate, 1e-4, 1 - 1e-4)
    return np.asarray(np.log(clipped / (1 - clipped)))


def _add_up(
    key: NDArray[np.int64], label: NDArray[np.int64], number: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
    """The distinct keys of an ascending ``key`` (n,), and (keys, 2) the sums of ``number``, and of
    ``number`` where ``label`` is 1."""
    if not len(key):
        return key, np.zeros((0, 2), np.int32)
    first = np.flatnonzero(np.diff(key, prepend=key[0] - 1))
    sums = np.add.reduceat(np.stack([number, number * label], axis=1), first, axis=0)
    return key[first], sums.astype(np.int32)


def _find(
    keys: NDArray[np.int64], values: NDArray[np.int32], wanted: NDArray[np.int64]
) -> NDArray[np.int32]:
    """(n, 2) the values of the wanted keys, 0 where there is none."""
    if not len(keys):
        return np.zeros((len(wanted), 2), np.int32)
    place = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
    return np.where((keys[place] == wanted)[:, None], values[place], 0)
