import math

import pytest

from mmctr_kit.audit.findings import Finding, Log
from mmctr_kit.submission.checks.catalog import CHECKS
from mmctr_kit.submission.reading.cells import CellFaults, read_id, read_score


def said(faults: CellFaults) -> list[Finding]:
    log = Log(CHECKS)
    faults.report(log)
    return log.findings()


@pytest.mark.parametrize(
    ("cell", "value"),
    [
        (b"0", 0.0),
        (b"1.", 1.0),
        (b".5", 0.5),
        (b"+1e-05", 1e-05),
        (b"-0", 0.0),
        (b"2.5E-3", 0.0025),
    ],
)
def test_a_plain_number_is_its_value(cell: bytes, value: float) -> None:
    faults = CellFaults()
    assert read_score(cell, "Task1", 2, faults) == value
    assert said(faults) == []


@pytest.mark.parametrize(
    ("cell", "check", "kind", "value"),
    [
        (b"", "score-missing", "missing", math.nan),
        (b" NULL", "score-missing", "missing", math.nan),
        (b"None", "score-missing", "missing", math.nan),
        (b"NaN", "score-finite", "not finite", math.nan),
        (b"-Infinity", "score-finite", "not finite", math.nan),
        (b"1e400", "score-finite", "too large for a float64", math.nan),
        (b"50 %", "score-number", "in percent", math.nan),
        (b"1_0", "score-number", "with underscores, which few", math.nan),
        (b"0x1p-1", "score-number", "in hexadecimal", math.nan),
        (b"1 000", "score-number", "with separators between digits", math.nan),
        (b" 0.5", "score-number", "with spaces around", 0.5),
        (b" 1e400", "score-number", "with spaces around", math.nan),
        (b"0.5.1", "score-number", "not a number", math.nan),
        (b"1e", "score-number", "not a number", math.nan),
        ("１".encode(), "score-number", "not a number", math.nan),
    ],
)
def test_any_other_cell_is_a_fault_of_one_kind(
    cell: bytes, check: str, kind: str, value: float
) -> None:
    faults = CellFaults()
    found = read_score(cell, "Task1", 2, faults)
    assert found == value or (math.isnan(found) and math.isnan(value))
    (finding,) = said(faults)
    assert finding.id == check
    assert finding.what.startswith(f"1 value {kind}")
    assert finding.what.endswith("in line 2, Task1")


@pytest.mark.parametrize(
    ("cell", "value", "kind"),
    [
        (b"12", 12, None),
        (b"-3", -3, None),
        (b"12.0", 12, "written as a fraction"),
        (b"7.", 7, "written as a fraction"),
        (b" 12", 12, "with spaces around"),
        (b"", None, "empty"),
        (b"1e3", None, "not an integer"),
        (b"12.5", None, "not an integer"),
        (b"9" * 5_000, None, "not an integer"),
    ],
)
def test_an_id_is_a_plain_integer_or_a_fault(
    cell: bytes, value: int | None, kind: str | None
) -> None:
    faults = CellFaults()
    assert read_id(cell, "ID", 5, faults) == value
    assert [f.what.startswith(f"1 value {kind}") for f in said(faults)] == ([True] if kind else [])


def test_faults_are_counted_by_kind_and_the_first_is_shown() -> None:
    faults = CellFaults()
    for line, cell in ((4, b"x"), (9, b"y"), (11, b"5%")):
        read_score(cell, "Task2", line, faults)
    assert [f.what for f in said(faults)] == [
        "2 values not a number; the first: 'x' in line 4, Task2",
        "1 value in percent; the first: '5%' in line 11, Task2",
    ]
