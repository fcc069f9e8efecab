"""Packing histories: padding taken off, each distinct history stored once."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from mmctr_kit.data.contract import PAD
from mmctr_kit.data.dataset import Histories
from mmctr_kit.data.parquet import Ragged
from mmctr_kit.errors import DataError

_HASH_BASE = np.uint64(0x9E3779B97F4A7C15)

CHUNK = 1 << 20
"""Positions worked on at a time, where each costs tens of bytes: histories near 64 items long
make 230 million of them in the challenge's train."""


def pack(seq: Ragged, path: str, n_items: int) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    """Left padding taken off: the real items (total,) and each row's number of them (rows,)."""
    real = seq.values != PAD
    before = np.concatenate([[0], np.cumsum(real)])
    lengths = before[seq.offsets[1:]] - before[seq.offsets[:-1]]
    row_end = np.zeros(len(real), np.bool_)
    row_end[seq.offsets[1:][seq.lengths > 0] - 1] = True
    if (real[:-1] & ~real[1:] & ~row_end[:-1]).any():
        raise DataError(
            f"{path}: item_seq has padding after a real item; expected it on the left alone "
            "(run 'mmctr-kit data check')"
        )
    items = seq.values[real]
    wrong = (items < 0) | (items > n_items)
    if wrong.any():
        raise DataError(
            f"{path}: item_seq holds item {items[wrong][0]}, not among 1..{n_items}; "
            "run 'mmctr-kit data check'"
        )
    return items.astype(np.int32), lengths


def spans(starts: NDArray[np.int64], lengths: NDArray[np.int64]) -> NDArray[np.int64]:
    """Concatenated ranges starts[i] .. starts[i] + lengths[i] - 1."""
    ends = np.cumsum(lengths)
    shift = np.repeat(starts - (ends - lengths), lengths)
    return np.asarray(np.arange(len(shift)) + shift)


def take(
    items: NDArray[np.int32], starts: NDArray[np.int64], lengths: NDArray[np.int64]
) -> NDArray[np.int32]:
    """``items[spans(starts, lengths)]``, without holding the spans of all rows at once."""
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    out = np.empty(int(offsets[-1]), np.int32)
    for rows in _chunks(offsets):
        begin, end = offsets[rows.start], offsets[rows.stop]
        out[begin:end] = items[spans(starts[rows], lengths[rows])]
    return out


def share(
    items: NDArray[np.int32], lengths: NDArray[np.int64]
) -> tuple[Histories, NDArray[np.int32]]:
    """Each distinct history once, and (rows,) int32: the index of each row's history.

    ``items`` (total,) holds the rows' packed histories one after another, ``lengths`` (rows,)
    their lengths. Histories are numbered by first appearance, so that those of neighbouring rows
    lie together.
    """
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    hashes = history_hashes(items, offsets)
    _, first, index = np.unique(hashes, return_index=True, return_inverse=True)
    rank = np.empty(len(first), np.int64)
    rank[np.argsort(first)] = np.arange(len(first))
    first, index = np.sort(first), rank[index]
    if not _same_histories(items, offsets, first[index]):
        # Two histories share a hash: storing each row's own is right too, only larger.
        first, index = np.arange(len(lengths)), np.arange(len(lengths))
    kept = lengths[first]
    shared = Histories(take(items, offsets[first], kept), np.concatenate([[0], np.cumsum(kept)]))
    return shared, index.astype(np.int32)


def history_hashes(items: NDArray[np.int32], offsets: NDArray[np.int64]) -> NDArray[np.uint64]:
    """(rows,) uint64: a polynomial hash of each row's items and length."""
    hashes = np.empty(len(offsets) - 1, np.uint64)
    for rows in _chunks(offsets):
        begin, end = offsets[rows.start], offsets[rows.stop]
        within = offsets[rows.start : rows.stop + 1] - begin
        hashes[rows] = _hashes(items[begin:end], within)
    return hashes


def _hashes(items: NDArray[np.int32], offsets: NDArray[np.int64]) -> NDArray[np.uint64]:
    with np.errstate(over="ignore"):
        place = np.arange(len(items)) - np.repeat(offsets[:-1], np.diff(offsets))
        powers = np.cumprod(np.full(int(place.max(initial=0)) + 2, _HASH_BASE))
        mixed = (items.astype(np.uint64) * powers[1]) ^ (items.astype(np.uint64) << np.uint64(31))
        total = np.concatenate([np.zeros(1, np.uint64), np.cumsum(mixed * powers[place])])
        spread = (total[offsets[1:]] - total[offsets[:-1]]) * _HASH_BASE
        return np.asarray(spread + np.diff(offsets).astype(np.uint64))


def _same_histories(
    items: NDArray[np.int32], offsets: NDArray[np.int64], like: NDArray[np.int64]
) -> bool:
    """Whether row i's items equal those of row like[i], for all i: no hash collision."""
    lengths = np.diff(offsets)
    if not np.array_equal(lengths, lengths[like]):
        return False
    return all(
        np.array_equal(
            items[offsets[rows.start] : offsets[rows.stop]],
            items[spans(offsets[like[rows]], lengths[rows])],
        )
        for rows in _chunks(offsets)
    )


def _chunks(offsets: NDArray[np.int64]) -> Iterator[slice]:
    """The rows in stretches of at most ``CHUNK`` positions, but at least one row."""
    rows, start = len(offsets) - 1, 0
    while start < rows:
        fits = int(np.searchsorted(offsets, offsets[start] + CHUNK, "right")) - 1
        stop = min(max(fits, start + 1), rows, start + CHUNK)
        yield slice(start, stop)
        start = stop
