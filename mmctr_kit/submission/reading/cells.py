"""Reads one cell of the CSV: its value, or what is wrong with it.

A number is plain if every reader takes it for the same number: decimal digits, a point, an
exponent. What Python's ``float`` takes beyond that (``1_0``, ``Infinity``, spaces) is a fault.
"""

import math
import re
from collections import Counter

from mmctr_kit.audit.findings import Log
from mmctr_kit.errors import plural
from mmctr_kit.submission.reading import show

_PLAIN = re.compile(rb"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?")
_INTEGER = re.compile(rb"-?\d{1,18}")
_WHOLE = re.compile(rb"(-?\d{1,15})\.0*")
_MISSING = frozenset((b"", b"na", b"n/a", b"null", b"none", b"nil", b"-", b"?", b"#n/a", b"<na>"))
_NOT_FINITE = frozenset((b"nan", b"inf", b"infinity", b"1.#inf", b"1.#qnan", b"1.#ind"))

_TODO = {
    "id-integer": "write IDs as integers (pandas: df['{column}'] = df['{column}'].astype('int64'))",
    "score-missing": "give every row a score; after a merge or reindex look for rows that got none",
    "score-number": "write plain decimal numbers such as 0.25 or 1e-05",
    "score-finite": "find where the NaN or infinity comes from; give every row a finite score",
}


class CellFaults:
    """Counts faults by check and kind, and keeps the first of each."""

    def __init__(self) -> None:
        self._first: dict[tuple[str, str], tuple[bytes, str, int]] = {}
        self._count: Counter[tuple[str, str]] = Counter()

    def add(self, check: str, kind: str, cell: bytes, column: str, line: int) -> None:
        self._first.setdefault((check, kind), (cell, column, line))
        self._count[check, kind] += 1

    def report(self, log: Log) -> None:
        """One FAIL for each check and kind of fault."""
        for (check, kind), (cell, column, line) in self._first.items():
            what = f"{plural(self._count[check, kind], 'value')} {kind}; the first: {show(cell)}"
            log.fail(
                check, f"{what} in line {line:,}, {column}", _TODO[check].format(column=column)
            )


def read_id(cell: bytes, column: str, line: int, faults: CellFaults) -> int | None:
    """The ID, even if it is guessed from a faulty cell; None if it cannot be."""
    if _INTEGER.fullmatch(cell):
        return int(cell)
    bare = cell.strip()
    whole = _WHOLE.fullmatch(bare)
    if not bare:
        kind = "empty"
    elif whole:
        kind = "written as a fraction, not an integer"
    elif _INTEGER.fullmatch(bare):
        kind = "with spaces around"
    else:
        kind = "not an integer"
    faults.add("id-integer", kind, cell, column, line)
    if whole:
        return int(whole[1])
    return int(bare) if _INTEGER.fullmatch(bare) else None


def read_score(cell: bytes, column: str, line: int, faults: CellFaults) -> float:
    """The number, even from a faulty cell that leaves no doubt about it; else NaN."""
    if _PLAIN.fullmatch(cell):
        value = float(cell)
        if math.isinf(value):
            faults.add("score-finite", "too large for a float64", cell, column, line)
            return math.nan
        return value
    bare = cell.strip()
    word = bare.lower()
    if word in _MISSING:
        faults.add("score-missing", "missing", cell, column, line)
    elif word.lstrip(b"+-") in _NOT_FINITE:
        faults.add("score-finite", "not finite", cell, column, line)
    else:
        faults.add("score-number", _number_fault(bare), cell, column, line)
        if _PLAIN.fullmatch(bare):
            return float(bare) if math.isfinite(float(bare)) else math.nan
    return math.nan


def _number_fault(bare: bytes) -> str:
    if _PLAIN.fullmatch(bare):
        return "with spaces around"
    if _PLAIN.fullmatch(bare.rstrip(b"% ")):
        return "in percent"
    if _PLAIN.fullmatch(bare.replace(b"_", b"")):
        return "with underscores, which few readers take for a number"
    if bare.lower().startswith((b"0x", b"-0x")):
        return "in hexadecimal"
    if _PLAIN.fullmatch(bare.replace(b"'", b"").replace(b" ", b"")):
        return "with separators between digits"
    return "not a number"
