"""Lifts: how much more often a target is taken after a certain item, or tag, than usual.

The lift of a pair (target, history item) is the logit of the pair's shrunk label mean less that of
the target: 0 if the history item makes no difference, or if nothing is known of the pair.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mmctr_kit.data.contexts import find_sorted
from mmctr_kit.data.dataset import ChallengeData, Examples
from mmctr_kit.items import Floats32, Floats64, Ints
from mmctr_kit.training.gbdt.history import Tags
from mmctr_kit.training.gbdt.packed import Columns, Packed
from mmctr_kit.training.gbdt.statistics import shrunk

MOST_TAGS = 1024
"""Only pairs of the most frequent tags are counted, since tables have their square."""

_CHUNK_POSITIONS = 1 << 17
_LEAST = 2
"""The fewest positions from which a pair is known; most pairs of items occur once."""


@dataclass(frozen=True)
class TagLifts:
    """Lifts of a target's tag by a history item's tag: ``of`` (tags, tags) float32.

    ``number`` (n_tags,) int64 numbers the tags from 1; it is 0 for padding and rarer tags.
    """

    tags: Tags
    number: Ints
    of: Floats32

    @classmethod
    def fit(
        cls, data: ChallengeData, examples: Examples, tags: Tags, shrinkage: float
    ) -> "TagLifts":
        """Count the pairs of the labelled ``examples``."""
        order = np.argsort(-tags.items, kind="stable")
        chosen = order[tags.items[order] > 0][:MOST_TAGS]
        tag_number = np.zeros(len(tags.items), np.int64)
        tag_number[chosen] = np.arange(1, len(chosen) + 1)
        k = len(chosen) + 1
        seen, hits = np.zeros(k * k), np.zeros(k * k)
        for chunk in examples.chunks(_CHUNK_POSITIONS):
            packed = Packed.of(data, chunk, 1.0)
            mine, theirs = tag_number[tags.of[packed.target]], tag_number[tags.of[packed.item]]
            cell = mine[packed.row, :, None] * k + theirs[:, None, :]
            real = (mine[packed.row, :, None] > 0) & (theirs[:, None, :] > 0)
            label = _labels(chunk)[packed.row, None, None]
            seen += np.bincount(cell[real], minlength=len(seen))
            hits += np.bincount(cell[real], np.broadcast_to(label, cell.shape)[real], len(hits))
        lifts = _tag_lifts(seen.reshape(k, k), hits.reshape(k, k), shrinkage)
        return cls(tags, tag_number, lifts)

    def at_positions(self, packed: Packed) -> Floats32:
        """Mean lift of all pairs of a target's and a history item's tag, (positions,)."""
        mine = self.number[self.tags.of[packed.target]][packed.row]
        theirs = self.number[self.tags.of[packed.item]]
        flat, base = self.of.reshape(-1), mine * len(self.of)
        total = np.zeros(len(packed.row), np.float32)
        for column in range(theirs.shape[1]):
            total += flat[base + theirs[:, column : column + 1]].sum(1)
        pairs = (mine > 0).sum(1) * (theirs > 0).sum(1)
        return np.asarray(total / np.maximum(pairs, 1).astype(np.float32))


def _tag_lifts(seen: Floats64, hits: Floats64, shrinkage: float) -> Floats32:
    """Turn sums (k, k) into lifts (k, k), 0 in row and column 0."""
    prior = hits.sum(keepdims=True) / max(seen.sum(), 1)
    usual = shrunk(seen.sum(1, keepdims=True), hits.sum(1, keepdims=True), prior, shrinkage)
    lifts = logit(shrunk(seen, hits, usual, shrinkage)) - logit(usual)
    lifts[0, :] = 0
    lifts[:, 0] = 0
    return lifts


@dataclass(frozen=True)
class ItemLifts:
    """Counts of pairs (target, history item) that stand together at two or more positions.

    An item that a history has twice counts twice. ``keys`` (pairs,) int64 ascending are target *
    (n_items + 1) + item, with ``counts`` (pairs, 2) int32 of positions, and of those in positive
    rows. ``rate`` (n_items + 1,) float32 are the items' label means.
    """

    rate: Floats32
    keys: Ints
    counts: NDArray[np.int32]
    shrinkage: float

    @classmethod
    def fit(
        cls,
        data: ChallengeData,
        examples: Examples,
        rate: Floats32,
        shrinkage: float,
    ) -> "ItemLifts":
        """Count the pairs of the labelled ``examples``."""
        size = data.n_items + 1
        entries = np.empty(int(examples.lengths.sum()), np.int64)
        position = 0
        for chunk in examples.chunks(_CHUNK_POSITIONS):
            packed = Packed.of(data, chunk, 1.0)
            end = position + len(packed.row)
            pair = packed.target[packed.row] * size + packed.item
            entries[position:end] = 2 * pair + _labels(chunk)[packed.row]
            position = end
        entries, number = np.unique(entries, return_counts=True)
        keys, counts = _add_up(entries // 2, entries % 2, number)
        known = counts[:, 0] >= _LEAST
        return cls(rate, keys[known], counts[known], shrinkage)

    def at_positions(self, packed: Packed) -> Floats32:
        """The lift of the target by each item of its history, (positions,)."""
        key = packed.target[packed.row] * len(self.rate) + packed.item
        # Each distinct key once and in order: random searches of a large table miss every cache.
        distinct, back = np.unique(key, return_inverse=True)
        index = find_sorted(self.keys, distinct)[back]
        known = np.flatnonzero(index >= 0)
        usual = self.rate[packed.target[packed.row[known]]]
        seen, hits = self.counts[index[known]].astype(np.float64).T
        pair = shrunk(seen, hits, usual, self.shrinkage)
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


def _labels(examples: Examples) -> NDArray[np.int8]:
    assert examples.label is not None
    return examples.label
