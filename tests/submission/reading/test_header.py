import pytest

from mmctr_kit.audit.findings import Level, Log
from mmctr_kit.submission.checks.catalog import CHECKS
from mmctr_kit.submission.reading.header import Header, read_header
from mmctr_kit.submission.spec import challenge


def read(line: str) -> tuple[Header, list[tuple[str, str]]]:
    log = Log(CHECKS)
    header = read_header(line, log, challenge())
    return header, [(f.id, f.what) for f in log.findings() if f.level is not Level.PASS]


def test_the_contracts_names_are_found_in_any_order_of_tasks() -> None:
    assert read("ID,Task1&2,Task1") == (Header(3, 0, {"Task1&2": 1, "Task1": 2}, False), [])


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("task1", "Task1"),
        ("Task 2", "Task2"),
        (" Task2", "Task2"),
        ("Track1", "Task1"),
        ("Task12", "Task1&2"),
        ("Task1_2", "Task1&2"),
        ("Task1&amp;2", "Task1&2"),
        ("task1 and 2", "Task1&2"),
    ],
)
def test_a_misspelt_task_is_read_as_what_it_means_and_said(name: str, meant: str) -> None:
    header, found = read(f"ID,{name}")
    assert header.scores == {meant: 1}
    assert found == [("csv-columns", f"column 2 is {name!r}; {meant} was meant?")]


@pytest.mark.parametrize(
    ("line", "id_at", "scores", "checks"),
    [
        ("id,Task1", 0, {"Task1": 1}, ["csv-header"]),
        ("Id ,Task1", 0, {"Task1": 1}, ["csv-header"]),
        ("Task1,ID", 1, {"Task1": 0}, ["csv-header"]),
        ("Task1", None, {"Task1": 0}, ["csv-header"]),
        ("user,Task1", 0, {"Task1": 1}, ["csv-header"]),
        (",ID,Task1", 1, {"Task1": 2}, ["csv-columns"]),
        ("Unnamed: 0,ID,Task1", 1, {"Task1": 2}, ["csv-columns"]),
        ("ID,Task1,", 0, {"Task1": 1}, ["csv-columns"]),
        ("ID,ID,Task1", 0, {"Task1": 2}, ["csv-columns"]),
        ("ID,Task1,Task1", 0, {"Task1": 1}, ["csv-columns"]),
        ("ID,Task1,label", 0, {"Task1": 1}, ["csv-columns"]),
        ("ID", 0, {}, ["csv-columns"]),
        ("ID,Task3", 0, {}, ["csv-columns", "csv-columns"]),
        ("hello", 0, {}, ["csv-header", "csv-columns"]),
    ],
)
def test_a_wrong_header_is_read_as_far_as_it_can_be(
    line: str, id_at: int | None, scores: dict[str, int], checks: list[str]
) -> None:
    header, found = read(line)
    assert (header.id_at, header.scores, header.is_data) == (id_at, scores, False)
    assert [check for check, _ in found] == checks


@pytest.mark.parametrize("line", ["0,0.5,1e-05", "0,nan,", "0, 0.5,.5"])
def test_a_first_line_of_numbers_is_data(line: str) -> None:
    header, found = read(line)
    assert header == Header(3, 0, {"column 2": 1, "column 3": 2}, True)
    assert [check for check, _ in found] == ["csv-header"]
