"""What the cells of a table mean: ids, numbers, moments and rules. An error names the row."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from mmctr_kit.datasets.imports.rules import ORDERED, Rule
from mmctr_kit.datasets.imports.tables import Batch
from mmctr_kit.datasets.imports.values import id_texts, texts
from mmctr_kit.errors import DataError, plural
from mmctr_kit.metrics.ranks import Flags, Floats, Ints, first_rounded

PER_SECOND = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}
"""Units of numbers that count from 1970."""
_LATEST = 4_102_444_800  # the year 2100, in seconds
_EARLIEST = 86_400 * 365 * 5  # 1975: an earlier moment is a number of another kind


def ids(batch: Batch, column: str, strip: bool) -> pa.LargeStringArray:
    """(rows,) the ids of a column as texts; DataError for an empty one, or one in blanks."""
    values = id_texts(batch, column)
    trimmed = pc.utf8_trim_whitespace(values)
    odd = pc.fill_null(pc.not_equal(values, trimmed), False)
    if not strip and (at := _first(odd)) is not None:
        raise DataError(
            f"{batch.row(at)}: {column} {values[at].as_py()!r} has blanks around it, and would be "
            f"another id than {trimmed[at].as_py()!r}; set interactions.strip=true if they are one"
        )
    empty = pc.fill_null(pc.equal(trimmed, ""), True)
    if (at := _first(empty)) is not None:
        raise DataError(f"{batch.row(at)}: no {column}; expected an id in every row")
    return trimmed if strip else values


def numbers(batch: Batch, column: str) -> Floats:
    """(rows,) float64: the numbers of a column; DataError for a cell that holds no finite one."""
    values = batch.columns[column]
    try:
        found = np.asarray(pc.cast(values, pa.float64()).fill_null(np.nan))
    except pa.ArrowInvalid:
        found = np.array([_number(v) for v in texts(values).to_pylist()])
    bad = np.flatnonzero(~np.isfinite(found))
    if len(bad):
        at = int(bad[0])
        raise DataError(
            f"{batch.row(at)}: {column} {texts(values)[at].as_py()!r}; expected a number"
        )
    return np.asarray(found, np.float64)


def matches(rule: Rule, batch: Batch) -> Flags:
    """(rows,) whether the rule holds; numbers compare as numbers: 1 equals 1.0."""
    # Larger numbers are compared digit by digit, since a float rounds them.
    numeric = all(abs(_number(v)) < first_rounded(np.dtype(np.float64)) for v in rule.values)
    if rule.operator in ORDERED or (numeric and _is_numeric(batch.columns[rule.column])):
        values = numbers(batch, rule.column)
        wanted = np.array([float(v) for v in rule.values])
        found = _COMPARE[rule.operator](values, wanted)
        return np.asarray(found)
    found = np.asarray(pc.is_in(texts(batch.columns[rule.column]), pa.array(rule.values)))
    return np.asarray(~found if rule.operator in ("!=", "not in") else found)


_COMPARE: dict[str, Callable[[Any, Any], Any]] = {
    ">=": lambda a, b: a >= b[0],
    "<=": lambda a, b: a <= b[0],
    ">": lambda a, b: a > b[0],
    "<": lambda a, b: a < b[0],
    "==": np.isin,
    "in": np.isin,
    "!=": lambda a, b: ~np.isin(a, b),
    "not in": lambda a, b: ~np.isin(a, b),
}


def time_unit(batch: Batch, column: str) -> str:
    """The unit that the values of a column seem to have: a unit of SPEC.time_unit but auto.

    Whole numbers of a size that means the years 1975 to 2100 are in that unit, others an order;
    texts are dates.
    """
    values = batch.columns[column]
    if pa.types.is_temporal(values.type) or not _is_numeric(values):
        return "iso"
    middle = float(np.median(numbers(batch, column)))
    for unit, per_second in PER_SECOND.items():
        if _EARLIEST * per_second <= middle <= _LATEST * per_second:
            return unit
    return "order"


def moments(batch: Batch, column: str, unit: str) -> NDArray[Any]:
    """(rows,) milliseconds since 1970 in UTC, int64; with unit ``order`` int64 or float64 numbers.

    ``unit`` is one of SPEC.time_unit but auto, or a format of strptime. Raises DataError for a
    cell that holds no such moment, and for texts with and without a zone in one table.
    """
    values = batch.columns[column]
    if unit == "order":
        return _exact_numbers(batch, column)
    if unit in PER_SECOND:
        return _from_numbers(batch, column, unit)
    if not pa.types.is_temporal(values.type):
        values = _from_texts(batch, column, unit)
    elif pa.types.is_date(values.type):
        values = pc.cast(values, pa.timestamp("ms"))
    if values.null_count:
        at = _first(pc.is_null(values))
        raise DataError(f"{batch.row(at or 0)}: no {column}; expected a time in every row")
    milliseconds = pc.cast(values, pa.timestamp("ms", values.type.tz), safe=False)
    return np.asarray(pc.cast(milliseconds, pa.int64()), np.int64)


def _exact_numbers(batch: Batch, column: str) -> NDArray[Any]:
    """(rows,) the numbers of a column: int64 if all are whole, since a float rounds large ones."""
    try:
        exact = pc.cast(batch.columns[column], pa.int64())
        return np.asarray(exact) if not exact.null_count else numbers(batch, column)
    except pa.ArrowInvalid:
        return numbers(batch, column)


def _from_numbers(batch: Batch, column: str, unit: str) -> Ints:
    values: Any = _exact_numbers(batch, column)
    per_second = PER_SECOND[unit]
    late = np.flatnonzero(values >= _LATEST * per_second)
    if len(late):
        raise DataError(
            f"{batch.row(int(late[0]))}: {column} {values[late[0]]} lies beyond the year 2100 in "
            f"time_unit {unit}; expected {', '.join(PER_SECOND)}: set another, or order if it is "
            "no time since 1970"
        )
    if per_second >= 1000:
        return np.asarray(values // (per_second // 1000), np.int64)
    return np.asarray(np.floor(values * 1000.0), np.int64)


def _from_texts(batch: Batch, column: str, unit: str) -> pa.Array:
    """(rows,) timestamps of dates as text, without a zone if the texts have none."""
    values = texts(batch.columns[column])
    if "%" in unit:
        found = pc.strptime(values, format=unit, unit="ms", error_is_null=True)
        if (at := _first(pc.is_null(found))) is not None:
            raise _no_time(batch, column, at, f"a time like {unit}")
        return found
    kinds = (pa.timestamp("ns"), pa.timestamp("ns", "UTC"))
    for kind in kinds:
        try:
            return pc.cast(values, kind)
        except pa.ArrowInvalid:
            continue
    zoned = 0
    for at, text in enumerate(values):
        fits = [_fits(text, kind) for kind in kinds]
        if not any(fits):
            raise _no_time(batch, column, at, "a date and time such as 2024-01-31 18:30:00")
        zoned += fits[1]
        if 0 < zoned < at + 1:
            raise DataError(
                f"{batch.row(at)}: {column} {text.as_py()!r} has {'a' if fits[1] else 'no'} time "
                f"zone, unlike the rows before; expected one in all rows, or in none"
            )
    raise AssertionError("a cast that fails has a text that fails")


def _fits(text: pa.Scalar, kind: pa.DataType) -> bool:
    try:
        return bool(text.cast(kind).is_valid)
    except pa.ArrowInvalid:
        return False


def _no_time(batch: Batch, column: str, at: int, expected: str) -> DataError:
    value = texts(batch.columns[column])[at].as_py()
    return DataError(f"{batch.row(at)}: {column} {value!r}; expected {expected}")


def _is_numeric(values: pa.Array) -> bool:
    try:
        pc.cast(values.slice(0, 1000), pa.float64())
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        return False
    return True


def _number(text: str | None) -> float:
    try:
        return float(text or "nan")
    except ValueError:
        return np.nan


def _first(flags: pa.Array) -> int | None:
    """The index of the first true value; None if there is none."""
    at = pc.index(flags, True).as_py()
    return None if at < 0 else int(at)


def require_range(batch: Batch, column: str, low: float, high: float) -> None:
    """Raise DataError, with the row, for a number that is not in ``low`` to ``high``."""
    values = numbers(batch, column)
    bad = np.flatnonzero((values < low) | (values > high))
    if not len(bad):
        return
    raise DataError(
        f"{batch.row(int(bad[0]))}: {column} is {values[bad[0]]:g}, outside interactions.range "
        f"{low:g} to {high:g} ({plural(len(bad), 'such row')} among {len(values):,}); is it the "
        "right column, or another scale?"
    )
