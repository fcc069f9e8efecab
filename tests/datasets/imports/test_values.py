"""Columns as texts."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmctr_kit.datasets.imports.values import texts
from mmctr_kit.errors import DataError


@given(st.lists(st.none() | st.integers(-(2**53), 2**53)))
def test_whole_numbers_of_any_type_become_the_same_text(numbers: list[int | None]) -> None:
    expected = [None if n is None else str(n) for n in numbers]
    assert texts(pa.array(numbers, pa.int64())).to_pylist() == expected
    assert texts(pa.array(numbers, pa.float64())).to_pylist() == expected
    assert texts(pa.array(expected, pa.large_string())).to_pylist() == expected


@pytest.mark.parametrize(
    ("column", "expected"),
    [
        (pa.array([1.5, None, np.nan, 2.0], pa.float32()), ["1.5", None, None, "2"]),
        (pa.array([1e30, -3.0]), ["1e+30", "-3"]),
        (pa.array([1.1], pa.float32()), ["1.1"]),
        (pa.array(np.array([3, 0.5], np.float16)), ["3", "0.5"]),
        (pa.array([7], pa.uint8()), ["7"]),
        (pa.array([" a", "é", ""]), [" a", "é", ""]),
        (pa.array(["x", None, "x"]).dictionary_encode(), ["x", None, "x"]),
        (pa.array([1, 2]).dictionary_encode(), ["1", "2"]),
        (pa.array([b"x"]), ["x"]),
        (pa.array([True]), ["true"]),
        (pa.array([None, None]), [None, None]),
    ],
)
def test_a_column_of_any_type_becomes_texts(column: pa.Array, expected: list[str | None]) -> None:
    made = texts(column)
    assert made.type == pa.large_string()
    assert made.to_pylist() == expected


def test_a_column_of_lists_is_refused() -> None:
    with pytest.raises(DataError, match="one value a row"):
        texts(pa.array([["a"]]))
