"""mmctr_kit.data.packing: padding removed, each distinct history stored once."""

import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from mmctr_kit.data import packing
from mmctr_kit.data import ragged as ragged_arrays
from mmctr_kit.data.packing import deduplicate, history_hashes, strip_padding
from mmctr_kit.data.ragged import Ragged
from mmctr_kit.errors import DataError

N_ITEMS = 2_000_000
Rows = list[list[int]]

# Few distinct items, so that equal histories are common; and a large one, so that hashes wrap.
ROWS: st.SearchStrategy[Rows] = st.lists(
    st.lists(st.sampled_from([1, 2, 3, N_ITEMS]), max_size=4), min_size=1, max_size=12
)


def ragged(rows: Rows) -> Ragged[np.int64]:
    values = np.array([v for r in rows for v in r], np.int64)
    return Ragged.of(values, np.array([len(r) for r in rows], np.int64))


def stripped(rows: Rows) -> Ragged[np.int32]:
    return strip_padding(ragged(rows), "x", N_ITEMS)


def padded(rows: Rows, paddings: list[int]) -> Rows:
    return [[0] * p + r for p, r in zip(paddings, rows, strict=True)]


def unpack(histories: Ragged[np.int32], index: NDArray[np.integer]) -> Rows:
    items, offsets = histories.values, histories.offsets
    return [items[offsets[h] : offsets[h + 1]].tolist() for h in index]


@given(rows=ROWS, data=st.data())
def test_stripped_and_deduplicated_histories_are_the_rows_own(
    rows: Rows, data: st.DataObject
) -> None:
    paddings = data.draw(st.lists(st.integers(0, 3), min_size=len(rows), max_size=len(rows)))
    real = stripped(padded(rows, paddings))
    assert real.values.dtype == np.int32
    histories, index = deduplicate(real)
    assert unpack(histories, index) == rows
    assert len(histories) == len({tuple(r) for r in rows})
    assert index.dtype == np.int32


@given(rows=ROWS)
def test_histories_are_numbered_by_first_appearance(rows: Rows) -> None:
    _, index = deduplicate(stripped(rows))
    seen = dict.fromkeys(index.tolist())
    assert list(seen) == list(range(len(seen)))


@given(rows=ROWS)
def test_a_hash_collision_costs_room_but_no_history(rows: Rows) -> None:
    def all_alike(histories: Ragged[np.int32]) -> NDArray[np.uint64]:
        return np.zeros(len(histories), np.uint64)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(packing, "history_hashes", all_alike)
        histories, index = deduplicate(stripped(rows))
    assert unpack(histories, index) == rows


@given(rows=ROWS)
def test_a_history_has_one_hash_whatever_its_position(rows: Rows) -> None:
    def hashes(of: Rows) -> dict[tuple[int, ...], int]:
        return {tuple(r): int(h) for r, h in zip(of, history_hashes(stripped(of)), strict=True)}

    assert hashes(rows) == hashes(rows[::-1])
    assert len(set(hashes(rows).values())) == len(hashes(rows))


def test_order_and_length_change_the_hash() -> None:
    rows = stripped([[1, 2], [2, 1], [1], [1, 1], []])
    assert len(set(history_hashes(rows).tolist())) == 5


@pytest.mark.parametrize("row", [[1, 0, 2], [1, 0], [0, 1, 0, 0, 2]])
def test_padding_after_a_real_item_is_refused(row: list[int]) -> None:
    with pytest.raises(DataError, match=r"x: item_seq has padding after a real item"):
        stripped([[3], row, [0, 3]])


def test_a_row_that_ends_real_before_a_padded_one_is_no_fault() -> None:
    real = stripped([[0, 1], [], [0, 2], [0, 0]])
    assert real.values.tolist() == [1, 2]
    assert real.lengths.tolist() == [1, 0, 1, 0]


@pytest.mark.parametrize("item", [-1, 11, 2**40])
def test_an_unknown_item_is_named(item: int) -> None:
    with pytest.raises(DataError, match=rf"holds item {item}, not among 1\.\.10"):
        strip_padding(ragged([[1, item]]), "x", 10)


@given(rows=ROWS, chunk=st.integers(1, 5))
def test_the_size_of_the_chunks_changes_nothing(rows: Rows, chunk: int) -> None:
    real = stripped(rows)
    hashes, (histories, index) = history_hashes(real), deduplicate(real)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ragged_arrays, "CHUNK", chunk)
        assert history_hashes(real).tolist() == hashes.tolist()
        again, index_again = deduplicate(real)
    assert again.values.tolist() == histories.values.tolist()
    assert index_again.tolist() == index.tolist()


def test_long_histories_take_little_more_memory_than_their_items() -> None:
    rows, length = 20_000, 64
    items = np.random.default_rng(0).integers(1, 1000, rows * length).astype(np.int32)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ragged_arrays, "CHUNK", 1 << 14)
        tracemalloc.start()
        deduplicate(Ragged.of(items, np.full(rows, length)))
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    # The shared copy takes 4 bytes a position; 100 bytes a row are 1.6 more.
    assert peak < 7 * len(items)
