"""Cells become ids, numbers, moments and truths of rules; an odd one is named with its row."""

import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from mmctr_kit.datasets.imports.cells import (
    ids,
    matches,
    moments,
    numbers,
    require_range,
    time_unit,
)
from mmctr_kit.datasets.imports.rules import parse_rule
from mmctr_kit.datasets.imports.sources import Source
from mmctr_kit.datasets.imports.tables import Batch
from mmctr_kit.errors import DataError


def batch(*values: Any, kind: pa.DataType | None = None) -> Batch:
    """Rows 10, 11, ... of log.csv with one column x."""
    column = pa.array(values, kind or pa.large_string())
    return Batch(Source(Path("log.csv")), 10, {"x": column})


NOON = 1_704_110_400_000
"""2024-01-01 12:00 UTC in milliseconds."""


@pytest.mark.parametrize(
    ("values", "unit"),
    [
        (("1704110400",), "s"),
        (("1704110400.25",), "s"),
        (("1704110400000",), "ms"),
        (("1704110400000000",), "us"),
        (("1704110400000000123",), "ns"),
        (("2024-01-01 12:00:00",), "iso"),
        (("2024-01-01T12:00:00Z",), "iso"),
        (("2024-01-01T14:00:00+02:00", "2024-01-01T12:00:00Z"), "iso"),
        (("01/01/2024 12h",), "%d/%m/%Y %Hh"),
    ],
)
def test_a_moment_is_milliseconds_since_1970(values: tuple[str, ...], unit: str) -> None:
    found = moments(batch(*values), "x", unit)
    assert found.dtype == np.int64
    assert abs(found - NOON).max() <= (250 if "." in values[0] else 0)
    if "%" not in unit:
        assert time_unit(batch(*values), "x") == unit


@pytest.mark.parametrize(
    "column",
    [
        pa.array([datetime.datetime(2024, 1, 1, 12)], pa.timestamp("us")),
        pa.array([datetime.datetime(2024, 1, 1, 12)], pa.timestamp("ns", "Europe/Paris")),
        pa.array([1_704_110_400], pa.int32()),
    ],
)
def test_typed_columns_of_parquet_are_read_by_their_type(column: pa.Array) -> None:
    made = Batch(Source(Path("log.parquet")), 1, {"x": column})
    assert moments(made, "x", time_unit(made, "x")).tolist() == [NOON]


def test_small_numbers_tell_an_order_alone() -> None:
    made = batch("3", "1.5", "20")
    assert time_unit(made, "x") == "order"
    assert moments(made, "x", "order").tolist() == [3, 1.5, 20]


@pytest.mark.parametrize(
    ("values", "unit", "message"),
    [
        (("2024-01-01", "yesterday"), "iso", "row 11: x is 'yesterday'; expected a date and time"),
        (("2024-01-01 12:00", "2024-01-01 12:00+01"), "iso", r"row 11: .* has a time zone, unlike"),
        (("2024-01-01T12:00Z", "2024-01-01 12:00"), "iso", r"row 11: .* has no time zone, unlike"),
        (("1704110400", "1704110400000"), "s", "row 11: .* beyond the year 2100 in time_unit s"),
        (("31/12/2024", "12/31/2024"), "%d/%m/%Y", "row 11: .* expected a time like %d/%m/%Y"),
        (("5", ""), "s", "row 11: x is empty; expected a number"),
    ],
)
def test_what_is_no_moment_is_named(values: tuple[str, ...], unit: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        moments(batch(*values), "x", unit)


def test_a_missing_time_is_named() -> None:
    made = batch(datetime.datetime(2024, 1, 1), None, kind=pa.timestamp("us"))
    with pytest.raises(DataError, match="row 11: no x"):
        moments(made, "x", "iso")


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ("x >= 4", [True, False, True]),
        ("x < 4", [False, True, False]),
        ("x == 4", [True, False, False]),
        ("x != 4.0", [False, True, True]),
        ("x in [3.5, 5]", [False, True, True]),
        ("x not in [4]", [False, True, True]),
    ],
)
def test_a_rule_compares_numbers_as_numbers(rule: str, expected: list[bool]) -> None:
    assert matches(parse_rule(rule), batch("4.0", "3.5", "5")).tolist() == expected


def test_a_rule_compares_texts_as_texts() -> None:
    made = batch("buy", "cart", None)
    assert matches(parse_rule("x in [buy, sell]"), made).tolist() == [True, False, False]
    assert matches(parse_rule("x != buy"), made).tolist() == [False, True, True]


def test_a_cell_that_is_no_number_is_named() -> None:
    for bad in ("four", "", None, "nan", "inf"):
        with pytest.raises(DataError, match=r"log.csv, row 11: x .*; expected a number"):
            numbers(batch("4", bad), "x")


def test_a_value_outside_its_range_is_named_with_how_many_there_are() -> None:
    require_range(batch("1", "5"), "x", 1, 5)
    told = r"row 11: x is 10, outside interactions.range 1 to 5 \(2 such rows among 3\)"
    with pytest.raises(DataError, match=told):
        require_range(batch("1", "10", "9"), "x", 1, 5)


def test_ids_are_texts_and_blanks_are_refused_or_stripped() -> None:
    assert ids(batch("007", "7"), "x", False).to_pylist() == ["007", "7"]
    assert ids(batch(" 7"), "x", True).to_pylist() == ["7"]
    with pytest.raises(DataError, match=r"row 11: x ' 7' has blanks around it.*strip=true"):
        ids(batch("7", " 7"), "x", False)
    for empty in ("", None, "NULL", "nan", "None", r"\N"):
        with pytest.raises(DataError, match="row 11: no x"):
            ids(batch("7", empty), "x", True)


def test_users_that_are_floats_beyond_2_to_the_53_are_refused() -> None:
    near = batch(2.0**53, 2.0**53 + 2, kind=pa.float64())
    with pytest.raises(DataError, match="row 10: x 9007199254740992 is a double"):
        ids(near, "x", strip=False)


def test_a_rule_tells_numbers_apart_that_are_one_float() -> None:
    near = batch(2**53, 2**53 + 1, kind=pa.int64())
    assert matches(parse_rule(f"x == {2**53 + 1}"), near).tolist() == [False, True]
    assert matches(parse_rule(f"x != {2**53 + 1}"), near).tolist() == [True, False]


def test_an_order_of_large_whole_numbers_is_exact() -> None:
    near = [2**62, 2**62 + 1]
    assert moments(batch(*near, kind=pa.int64()), "x", "order").tolist() == near
    assert moments(batch(*map(str, near)), "x", "order").tolist() == near
