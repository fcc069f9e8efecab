"""Histories packed and shared are the rows' own."""

import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from mmctr_kit.data import packing
from mmctr_kit.data.dataset import Histories
from mmctr_kit.data.packing import history_hashes, pack, share, spans, take
from mmctr_kit.data.parquet import Ragged
from mmctr_kit.errors import DataError

N_ITEMS = 2_000_000
Rows = list[list[int]]

# Few distinct items, so that equal histories are common; and a large one, so that hashes wrap.
ROWS: st.SearchStrategy[Rows] = st.lists(
    st.lists(st.sampled_from([1, 2, 3, N_ITEMS]), max_size=4), min_size=1, max_size=12
)


def ragged(rows: Rows) -> Ragged:
    values = np.array([v for r in rows for v in r], np.int64)
    return Ragged(values, np.cumsum([0, *(len(r) for r in rows)]).astype(np.int64))


def padded(rows: Rows, paddings: list[int]) -> Rows:
    return [[0] * p + r for p, r in zip(paddings, rows, strict=True)]


def unpack(histories: Histories, index: NDArray[np.int32]) -> Rows:
    items, offsets = histories.items, histories.offsets
    return [items[offsets[h] : offsets[h + 1]].tolist() for h in index]


@given(rows=ROWS, data=st.data())
def test_packed_and_shared_histories_are_the_rows_own(rows: Rows, data: st.DataObject) -> None:
    paddings = data.draw(st.lists(st.integers(0, 3), min_size=len(rows), max_size=len(rows)))
    items, lengths = pack(ragged(padded(rows, paddings)), "x", N_ITEMS)
    assert items.dtype == np.int32
    histories, index = share(items, lengths)
    assert unpack(histories, index) == rows
    assert len(histories) == len({tuple(r) for r in rows})
    assert index.dtype == np.int32


@given(rows=ROWS)
def test_histories_are_numbered_by_first_appearance(rows: Rows) -> None:
    _, index = share(*pack(ragged(rows), "x", N_ITEMS))
    seen = dict.fromkeys(index.tolist())
    assert list(seen) == list(range(len(seen)))


@given(rows=ROWS)
def test_a_hash_collision_costs_room_but_no_history(rows: Rows) -> None:
    def all_alike(items: NDArray[np.int32], offsets: NDArray[np.int64]) -> NDArray[np.uint64]:
        del items
        return np.zeros(len(offsets) - 1, np.uint64)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(packing, "history_hashes", all_alike)
        histories, index = share(*pack(ragged(rows), "x", N_ITEMS))
    assert unpack(histories, index) == rows


@given(rows=ROWS)
def test_a_history_has_one_hash_wherever_it_stands(rows: Rows) -> None:
    def hashes(of: Rows) -> dict[tuple[int, ...], int]:
        packed = ragged(of)
        found = history_hashes(packed.values.astype(np.int32), packed.offsets)
        return {tuple(r): int(h) for r, h in zip(of, found, strict=True)}

    assert hashes(rows) == hashes(rows[::-1])
    assert len(set(hashes(rows).values())) == len(hashes(rows))


def test_order_and_length_change_the_hash() -> None:
    rows = ragged([[1, 2], [2, 1], [1], [1, 1], []])
    assert len(set(history_hashes(rows.values.astype(np.int32), rows.offsets).tolist())) == 5


@pytest.mark.parametrize("row", [[1, 0, 2], [1, 0], [0, 1, 0, 0, 2]])
def test_padding_after_a_real_item_is_refused(row: list[int]) -> None:
    with pytest.raises(DataError, match=r"x: item_seq has padding after a real item"):
        pack(ragged([[3], row, [0, 3]]), "x", N_ITEMS)


def test_a_row_that_ends_real_before_a_padded_one_is_no_fault() -> None:
    items, lengths = pack(ragged([[0, 1], [], [0, 2], [0, 0]]), "x", N_ITEMS)
    assert items.tolist() == [1, 2]
    assert lengths.tolist() == [1, 0, 1, 0]


@pytest.mark.parametrize("item", [-1, 11, 2**40])
def test_an_unknown_item_is_named(item: int) -> None:
    with pytest.raises(DataError, match=rf"holds item {item}, not among 1\.\.10"):
        pack(ragged([[1, item]]), "x", 10)


@given(rows=ROWS, chunk=st.integers(1, 5))
def test_the_size_of_the_chunks_changes_nothing(rows: Rows, chunk: int) -> None:
    items, lengths = pack(ragged(rows), "x", N_ITEMS)
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    hashes, whole = history_hashes(items, offsets), share(items, lengths)
    order = np.arange(len(rows))[::-1]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(packing, "CHUNK", chunk)
        assert history_hashes(items, offsets).tolist() == hashes.tolist()
        histories, index = share(items, lengths)
        turned = take(items, offsets[order], lengths[order])
    assert (histories.items.tolist(), index.tolist()) == (
        whole[0].items.tolist(),
        whole[1].tolist(),
    )
    assert turned.tolist() == [v for r in rows[::-1] for v in r]


def test_long_histories_take_little_more_memory_than_their_items() -> None:
    rows, length = 20_000, 64
    items = np.random.default_rng(0).integers(1, 1000, rows * length).astype(np.int32)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(packing, "CHUNK", 1 << 14)
        tracemalloc.start()
        share(items, np.full(rows, length))
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    # The shared copy takes 4 bytes a position; 100 bytes a row are 1.6 more.
    assert peak < 7 * len(items)


def test_spans_are_concatenated_ranges() -> None:
    starts, lengths = np.array([7, 0, 3]), np.array([2, 0, 3])
    assert spans(starts, lengths).tolist() == [7, 8, 3, 4, 5]
