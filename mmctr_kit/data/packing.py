"""Histories without padding, each distinct one stored once."""

import numpy as np

from mmctr_kit.data.contract import PAD
from mmctr_kit.data.ragged import Ragged, expand_ranges
from mmctr_kit.errors import DataError
from mmctr_kit.metrics.ranks import Flags, Ints, Ints32, Uints

_HASH_BASE = np.uint64(0x9E3779B97F4A7C15)


def strip_padding(seq: Ragged[np.int64], path: str, n_items: int) -> Ragged[np.int32]:
    """The rows without their left padding; DataError for padding elsewhere or an unknown item."""
    if zero_after_value(seq).any():
        raise DataError(
            f"{path}: item_seq has padding after a real item; expected it on the left only "
            "(run 'mmctr-kit data check')"
        )
    real = seq.values != PAD
    items = seq.values[real]
    wrong = (items < 0) | (items > n_items)
    if wrong.any():
        raise DataError(
            f"{path}: item_seq holds item {items[wrong][0]}, not among 1..{n_items}; "
            "run 'mmctr-kit data check'"
        )
    before = np.concatenate([[0], np.cumsum(real)])
    return Ragged(items.astype(np.int32), before[seq.offsets])


def zero_after_value(array: Ragged[np.int64]) -> Flags:
    """(rows,) bool: True if a 0 follows a value that is not 0."""
    nonzero = np.flatnonzero(array.values)
    bounds = np.searchsorted(nonzero, array.offsets)
    counts = np.diff(bounds)
    wrong = np.zeros(len(array), np.bool_)
    filled = counts > 0
    first = nonzero[bounds[:-1][filled]]
    wrong[filled] = array.offsets[1:][filled] - first != counts[filled]
    return wrong


def deduplicate(histories: Ragged[np.int32]) -> tuple[Ragged[np.int32], Ints32]:
    """Each distinct history once, and (rows,) int32: the index of each row's history.

    Histories are numbered by first appearance: those of neighbouring rows lie near each other.
    """
    _, first, index = np.unique(history_hashes(histories), return_index=True, return_inverse=True)
    rank = np.empty(len(first), np.int64)
    rank[np.argsort(first)] = np.arange(len(first))
    first, index = np.sort(first), rank[index]
    if not _all_equal(histories, first[index]):
        # Two histories share a hash: storing every row's history is right too, only larger.
        first, index = np.arange(len(histories)), np.arange(len(histories))
    return histories.take(first), index.astype(np.int32)


def history_hashes(histories: Ragged[np.int32]) -> Uints:
    """(rows,) uint64: a polynomial hash of each row's items and length."""
    offsets = histories.offsets
    hashes = np.empty(len(histories), np.uint64)
    for rows in histories.chunks():
        begin, end = offsets[rows.start], offsets[rows.stop]
        within = offsets[rows.start : rows.stop + 1] - begin
        hashes[rows] = _hashes(histories.values[begin:end], within)
    return hashes


def _hashes(items: Ints32, offsets: Ints) -> Uints:
    with np.errstate(over="ignore"):
        position = np.arange(len(items)) - np.repeat(offsets[:-1], np.diff(offsets))
        powers = np.cumprod(np.full(int(position.max(initial=0)) + 2, _HASH_BASE))
        mixed = (items.astype(np.uint64) * powers[1]) ^ (items.astype(np.uint64) << np.uint64(31))
        total = np.concatenate([np.zeros(1, np.uint64), np.cumsum(mixed * powers[position])])
        spread = (total[offsets[1:]] - total[offsets[:-1]]) * _HASH_BASE
        return np.asarray(spread + np.diff(offsets).astype(np.uint64))


def _all_equal(histories: Ragged[np.int32], like: Ints) -> bool:
    """Whether row i equals row like[i] for all i, so that no hash collided."""
    values, offsets, lengths = histories.values, histories.offsets, histories.lengths
    return np.array_equal(lengths, lengths[like]) and all(
        np.array_equal(
            values[offsets[rows.start] : offsets[rows.stop]],
            values[expand_ranges(offsets[like[rows]], lengths[rows])[0]],
        )
        for rows in histories.chunks()
    )
