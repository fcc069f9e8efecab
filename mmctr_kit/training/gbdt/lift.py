"""Lifts: how much more often a target is taken after a certain item, or tag, than usual.

The lift of a pair (target, history item) is the logit of the pair's shrunk label mean less that of
the target: 0 if the history item makes no difference, or if nothing is known of the pair. It is
cross-fitted, see :mod:`mmctr_kit.training.gbdt.crossfit`.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mmctr_kit.data.contexts import find_sorted
from mmctr_kit.data.dataset import ChallengeData, Examples
from mmctr_kit.items import Floats32, Floats64, Ints
from mmctr_kit.training.gbdt.crossfit import Groups, others, shrunk
from mmctr_kit.training.gbdt.history import Tags
from mmctr_kit.training.gbdt.packed import Columns, Packed

MOST_TAGS = 1024
"""Only pairs of the most frequent tags are counted, since tables have their square."""

_CHUNK_POSITIONS = 1 << 17
_LEAST = 2
"""The fewest positions from which a pair is known; most pairs of items occur once."""


@dataclass(frozen=True)
class TagLifts:
    """Lifts of a target's tag by a history item's tag: ``of`` (groups + 1, tags, tags) float32.

    ``number`` (n_tags,) int64 numbers the tags from 1; it is 0 for padding and rarer tags.
    """

    groups: Groups
    tags: Tags
    number: Ints
    of: Floats32

    @classmethod
    def fit(cls, data: ChallengeData, examples: Examples, groups: Groups, tags: Tags) -> "TagLifts":
        """Count the pairs of the ``examples``, which are the rows of the groups."""
        order = np.argsort(-tags.items, kind="stable")
        chosen = order[tags.items[order] > 0][:MOST_TAGS]
        tag_number = np.zeros(len(tags.items), np.int64)
        tag_number[chosen] = np.arange(1, len(chosen) + 1)
        k, count = len(chosen) + 1, groups.options.groups
        seen, hits = np.zeros(count * k * k), np.zeros(count * k * k)
        at = 0
        for chunk in examples.chunks(_CHUNK_POSITIONS):
            packed = Packed.of(data, chunk, 1.0)
            of_row = groups.of_row[at : at + len(chunk)]
            label = groups.label[at : at + len(chunk)]
            mine, theirs = tag_number[tags.of[packed.target]], tag_number[tags.of[packed.item]]
            cell = (of_row[:, None] * k + mine)[packed.row, :, None] * k + theirs[:, None, :]
            real = (mine[packed.row, :, None] > 0) & (theirs[:, None, :] > 0)
            value = np.broadcast_to(label[packed.row, None, None], cell.shape)[real]
            seen += np.bincount(cell[real], minlength=len(seen))
            hits += np.bincount(cell[real], value, minlength=len(hits))
            at += len(chunk)
        lifts = _tag_lifts(seen.reshape(count, k, k), hits.reshape(count, k, k), groups)
        return cls(groups, tags, tag_number, lifts)

    def at_positions(self, packed: Packed) -> Floats32:
        """Mean lift of all pairs of a target's and a history item's tag, (positions,)."""
        _, group = self.groups.locate(packed.examples.user_id)
        mine = self.number[self.tags.of[packed.target]][packed.row]
        theirs = self.number[self.tags.of[packed.item]]
        k = self.of.shape[1]
        flat = self.of.reshape(-1)
        base = (group[packed.row][:, None] * k + mine) * k
        total = np.zeros(len(packed.row), np.float32)
        for column in range(theirs.shape[1]):
            total += flat[base + theirs[:, column : column + 1]].sum(1)
        pairs = (mine > 0).sum(1) * (theirs > 0).sum(1)
        return np.asarray(total / np.maximum(pairs, 1).astype(np.float32))


def _tag_lifts(seen: Floats64, hits: Floats64, groups: Groups) -> Floats32:
    """Turn sums (groups, k, k) into lifts (groups + 1, k, k), 0 in row and column 0."""
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
    """Counts of pairs (target, history item) that stand together at two or more positions.

    An item that a history has twice counts twice. ``keys`` (pairs,) int64 ascending are target *
    (n_items + 1) + item, with ``counts`` (pairs, 2) int32 of positions, and of those in positive
    rows; ``cells`` (cells,) int64 ascending are key * groups + group, with the group's counts.
    ``rate`` (groups + 1, n_items + 1) float32 are the items' label means.
    """

    groups: Groups
    rate: Floats32
    keys: Ints
    counts: NDArray[np.int32]
    cells: Ints
    of_cell: NDArray[np.int32]

    @classmethod
    def fit(
        cls, data: ChallengeData, examples: Examples, groups: Groups, rate: Floats32
    ) -> "ItemLifts":
        """Count the pairs of the ``examples``, which are the rows of the groups."""
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
        of_known = known[np.searchsorted(keys, entries // (2 * count))]
        entries, number = entries[of_known], number[of_known]
        cells, of_cell = _add_up(entries // 2, entries % 2, number)
        return cls(groups, rate, keys[known], counts[known], cells, of_cell)

    def at_positions(self, packed: Packed) -> Floats32:
        """The lift of the target by each item of its history, (positions,)."""
        number, group = self.groups.locate(packed.examples.user_id)
        size, count = self.rate.shape[1], self.groups.options.groups
        key = packed.target[packed.row] * size + packed.item
        # Each distinct key once and in order: random searches of a large table miss every cache.
        distinct, back = np.unique(key, return_inverse=True)
        counts = _find(self.keys, self.counts, distinct)[back]
        trained = np.flatnonzero((number >= 0)[packed.row] & (counts[:, 0] > 0))
        cell = key[trained] * count + group[packed.row[trained]]
        distinct, back = np.unique(cell, return_inverse=True)
        counts[trained] -= _find(self.cells, self.of_cell, distinct)[back]
        known = np.flatnonzero(counts[:, 0] >= _LEAST)
        row = packed.row[known]
        usual = self.rate[group[row], packed.target[row]]
        scaled = counts[known] * self.groups.scale[group[row]][:, None]
        pair = shrunk(scaled[:, 0], scaled[:, 1], usual, self.groups.options.pair_shrinkage)
        lifts = np.zeros(len(key), np.float32)
        lifts[known] = logit(pair) - logit(usual)
        return lifts


def lift_features(packed: Packed, tag: TagLifts, item: ItemLifts) -> Columns:
    of_items = packed.pool("item_lift", item.at_positions(packed), ("max", "mean", "recent"))
    return {
        **packed.pool("tag_lift", tag.at_positions(packed)),
        **of_items,
        "item_lift_sum": of_items["item_lift_mean"] * packed.length.astype(np.float32),
    }


def logit(rate: Floats32) -> Floats32:
    """Natural log odds of rates, which are clipped to 1e-4 and 1 - 1e-4."""
    clipped = np.clip(rate, 1e-4, 1 - 1e-4)
    return np.asarray(np.log(clipped / (1 - clipped)))


def _add_up(key: Ints, label: Ints, number: Ints) -> tuple[Ints, NDArray[np.int32]]:
    """Distinct ascending keys, and the sums of ``number``: all, and with ``label`` 1, (keys, 2)."""
    if not len(key):
        return key, np.zeros((0, 2), np.int32)
    first = np.flatnonzero(np.diff(key, prepend=key[0] - 1))
    sums = np.add.reduceat(np.stack([number, number * label], axis=1), first, axis=0)
    return key[first], sums.astype(np.int32)


def _find(keys: Ints, values: NDArray[np.int32], wanted: Ints) -> NDArray[np.int32]:
    """The ``values`` (keys, 2) of the ``wanted`` (n,) keys, (n, 2), 0 for an unknown key."""
    index = find_sorted(keys, wanted)
    result = np.zeros((len(wanted), 2), np.int32)
    result[index >= 0] = values[index[index >= 0]]
    return result
