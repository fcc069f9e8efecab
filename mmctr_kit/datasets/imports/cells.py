"""What the cells of a table mean: ids, numbers, moments and rules. An error names the row."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from mmctr_kit.datasets.imports.bad_cells import BadCellsError
from mmctr_kit.datasets.imports.rules import ORDERED, Rule
from mmctr_kit.datasets.imports.tables import Batch
from mmctr_kit.datasets.imports.values import id_texts, texts
from mmctr_kit.errors import DataError, plural
from mmctr_kit.metrics.ranks import Flags, Floats, Ints, first_rounded

PER_SECOND = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}
"""Units of numbers that count from 1970."""
_LATEST = 4_102_444_800  # the year 2100, in seconds
_EARLIEST = 86_400 * 365 * 5  # 1975: an earlier moment is a number of another kind
_NO_IDS = pa.array(
    [None, "", "nan", "NaN", "None", "NULL", "null", "<NA>", "\\N"], pa.large_string()
)
"""What programs write for an id that they lack; as an id it would make one user of many."""


def ids(batch: Batch, column: str, strip: bool) -> pa.LargeStringArray:
    """(rows,) the ids of a column as texts; BadCellsError for empty ones, DataError for blanks."""
    values = id_texts(batch, column)
    trimmed = pc.utf8_trim_whitespace(values)
    odd = pc.fill_null(pc.not_equal(values, trimmed), False)
    if not strip and (at := _first(odd)) is not None:
        raise DataError(
            f"{batch.row(at)}: {column} {values[at].as_py()!r} has blanks around it, and would be "
            f"another id than {trimmed[at].as_py()!r}; set interactions.strip=true if they are one"
        )
    empty = np.flatnonzero(pc.fill_null(pc.is_in(trimmed, _NO_IDS), True))
    if len(empty):
        raise BadCellsError(batch, column, empty, "an id in every row", missing=True)
    return trimmed if strip else values


def numbers(batch: Batch, column: str) -> Floats:
    """(rows,) float64: the numbers of a column; BadCellsError for those that hold no finite one."""
    found = _floats(batch.columns[column])
    bad = np.flatnonzero(~np.isfinite(found))
    if len(bad):
        raise BadCellsError(batch, column, bad, "a number")
    return found


def _floats(values: pa.Array) -> Floats:
    """(rows,) float64, NaN for what is no number."""
    try:
        found = np.asarray(pc.cast(values, pa.float64()).fill_null(np.nan))
    except pa.ArrowInvalid:
        found = np.array([_number(v) for v in texts(values).to_pylist()])
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
    texts are dates. A few cells that are neither do not matter.
    """
    values = batch.columns[column]
    if pa.types.is_temporal(values.type):
        return "iso"
    found = _floats(values.slice(0, 1000))
    found = found[np.isfinite(found)]
    if 2 * len(found) <= min(len(values), 1000):
        return "iso"
    middle = float(np.median(found))
    for unit, per_second in PER_SECOND.items():
        if _EARLIEST * per_second <= middle <= _LATEST * per_second:
            return unit
    return "order"


def moments(batch: Batch, column: str, unit: str) -> NDArray[Any]:
    """(rows,) milliseconds since 1970 in UTC, int64; with unit ``order`` int64 or float64 numbers.

    ``unit`` is one of SPEC.time_unit but auto, or a format of strptime. Raises BadCellsError for
    those that hold no such moment, DataError for texts with and without a zone in one table.
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
        rows = np.flatnonzero(pc.is_null(values))
        raise BadCellsError(batch, column, rows, "a time in every row", missing=True)
    milliseconds = pc.cast(values, pa.timestamp("ms", values.type.tz), safe=False)
    return np.asarray(pc.cast(milliseconds, pa.int64()), np.int64)


def early_and_late(found: Ints, unit: str) -> tuple[int | None, bool]:
    """The first row of early 1970, None if there is none; and whether a row is after 1975.

    ``found`` (rows,) is milliseconds that had the unit ``unit``. Both in one log say that some rows
    have a larger unit: seconds that are read as milliseconds lie in the first weeks of 1970.
    """
    smaller = unit in ("ms", "us", "ns")
    early = np.flatnonzero((found > 0) & (found <= _LATEST) & smaller)
    late = bool((found >= _EARLIEST * 1000).any())
    return (int(early[0]) if len(early) else None), late


def has_zone(batch: Batch, column: str) -> bool:
    """Whether the column's dates have a time zone; :func:`moments` has accepted them all."""
    values = batch.columns[column]
    if pa.types.is_temporal(values.type):
        return getattr(values.type, "tz", None) is not None
    found = pc.match_substring_regex(texts(values.slice(0, 1)), _ZONE)
    return bool(found[0].as_py())


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
        if found.null_count:
            raise BadCellsError(
                batch, column, np.flatnonzero(pc.is_null(found)), f"a time like {unit}"
            )
        return found
    kinds = (pa.timestamp("ns"), pa.timestamp("ns", "UTC"))
    for kind in kinds:
        try:
            return pc.cast(values, kind)
        except pa.ArrowInvalid:
            continue
    zoned = np.asarray(pc.fill_null(pc.match_substring_regex(values, _ZONE), False))
    bad = np.asarray(pc.fill_null(pc.invert(pc.match_substring_regex(values, _DATE)), True))
    for flags, kind in zip((~zoned, zoned), kinds, strict=True):
        rows = np.flatnonzero(flags & ~bad)
        bad[rows] = _unfit(values.take(pa.array(rows)), kind)
    if bad.any():
        wanted = "a date and time such as 2024-01-31 18:30:00"
        raise BadCellsError(batch, column, np.flatnonzero(bad), wanted)
    at = int((zoned != zoned[0]).argmax())
    raise DataError(
        f"{batch.row(at)}: {column} {values[at].as_py()!r} has {'a' if zoned[at] else 'no'} time "
        f"zone, unlike the rows before; expected one in all rows, or in none"
    )


_DATE = r"^\d{4}-\d\d-\d\d"
_ZONE = r"[T ]\d\d.*(Z|[+-]\d\d(:?\d\d)?)$"
"""How dates begin that Arrow reads, and how those with a time zone end."""


def _unfit(values: pa.Array, kind: pa.DataType) -> Flags:
    """(rows,) whether a text is no moment of the type ``kind``, found by halving."""
    try:
        pc.cast(values, kind)
    except pa.ArrowInvalid:
        half = len(values) // 2
        if not half:
            return np.ones(1, np.bool_)
        return np.concatenate([_unfit(values[:half], kind), _unfit(values[half:], kind)])
    return np.zeros(len(values), np.bool_)


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
