"""mmctr_kit.data.ragged: rows of any length in one flat array."""

import doctest

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmctr_kit.data import ragged
from mmctr_kit.data.ragged import Ragged, expand_ranges

lengths = st.lists(st.integers(0, 9), max_size=15)
ROWS = st.lists(st.lists(st.integers(0, 9), max_size=4), max_size=9)
Rows = list[list[int]]


def array(rows: Rows) -> Ragged[np.int64]:
    values = np.array([v for row in rows for v in row], np.int64)
    return Ragged.of(values, np.array([len(row) for row in rows], np.int64))


def rows_of(array: Ragged[np.int64]) -> Rows:
    begin, end = array.offsets[:-1], array.offsets[1:]
    return [array.values[a:b].tolist() for a, b in zip(begin, end, strict=True)]


@given(lengths, st.data())
def test_ranges_are_expanded_one_after_another(length: list[int], data: st.DataObject) -> None:
    begin = data.draw(st.lists(st.integers(0, 50), min_size=len(length), max_size=len(length)))
    position, owner = expand_ranges(np.array(begin, np.int64), np.array(length, np.int64))
    ranges = list(enumerate(zip(begin, length, strict=True)))
    assert position.tolist() == [p for _, (b, n) in ranges for p in range(b, b + n)]
    assert owner.tolist() == [i for i, (_, n) in ranges for _ in range(n)]


@given(rows=ROWS, data=st.data(), chunk=st.integers(1, 5))
def test_rows_are_taken_and_joined_whatever_the_size_of_the_chunks(
    rows: Rows, data: st.DataObject, chunk: int
) -> None:
    index = data.draw(st.lists(st.integers(0, len(rows) - 1))) if rows else []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ragged, "CHUNK", chunk)
        taken = array(rows).take(np.array(index, np.int64))
    assert rows_of(taken) == [rows[i] for i in index]
    assert rows_of(Ragged.concatenate([array(rows), taken])) == rows + [rows[i] for i in index]
    assert taken.rows.tolist() == [n for n, i in enumerate(index) for _ in rows[i]]


def test_equal_lengths_make_a_matrix_and_others_are_refused() -> None:
    assert array([[1, 2], [3, 4]]).dense().tolist() == [[1, 2], [3, 4]]
    with pytest.raises(ValueError, match="rows of 1 to 2 values"):
        array([[1], [2, 3]]).dense()


def test_the_example_of_the_docstring_runs() -> None:
    assert doctest.testmod(ragged, extraglobs={"np": np}).failed == 0


@given(rows=ROWS, width=st.integers(1, 6))
def test_padded_rows_end_with_their_last_values(rows: Rows, width: int) -> None:
    expected = [([0] * width + row)[-width:] for row in rows]
    assert array(rows).padded(width).tolist() == expected
