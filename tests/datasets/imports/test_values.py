"""Columns as texts."""

from decimal import Decimal
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmctr_kit.datasets.imports.sources import Source
from mmctr_kit.datasets.imports.tables import Batch
from mmctr_kit.datasets.imports.values import ItemIndex, id_texts, texts
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


def batch(column: pa.Array) -> Batch:
    """Rows 10, 11, ... of log.parquet with one column x."""
    return Batch(Source(Path("log.parquet")), 10, {"x": column})


@pytest.mark.parametrize(
    ("column", "found"),
    [
        (pa.array([1.0, 2.0**53]), "row 11: x 9007199254740992 is a double"),
        (pa.array([1.0, -(2.0**53)]).dictionary_encode(), "row 11: x -9007199254740992"),
        (pa.array([2.0**24], pa.float32()), "row 10: x 16777216 is a float, which other whole"),
        (pa.array([None, np.inf]), "different ids would be one"),
    ],
)
def test_a_float_that_other_ids_round_to_is_refused(column: pa.Array, found: str) -> None:
    with pytest.raises(DataError, match=found):
        id_texts(batch(column), "x")
    with pytest.raises(DataError, match=found):
        ItemIndex(pa.array(["1"], pa.large_string()), False).find(batch(column), "x")


@pytest.mark.parametrize(
    "column",
    [
        pa.array([2**53 - 1], pa.float64()),
        pa.array([2**63 + 1], pa.uint64()),
        pa.array([Decimal(2**53 + 1)]),
        pa.array([str(2**53 + 1)]),
    ],
)
def test_ids_that_are_exact_keep_every_digit(column: pa.Array) -> None:
    expected = str(int(column[0].as_py()))
    assert id_texts(batch(column), "x").to_pylist() == [expected]
