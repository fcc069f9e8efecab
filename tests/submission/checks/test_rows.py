import numpy as np
import pytest

from mmctr_kit.audit.findings import Level, Log
from mmctr_kit.submission.checks.catalog import CHECKS
from mmctr_kit.submission.checks.rows import check_rows
from mmctr_kit.submission.reading.table import SubmissionTable
from mmctr_kit.submission.spec import challenge


def found(ids: list[int] | None, n_rows: int = 5, rows: int | None = None) -> dict[str, str]:
    n = len(ids) if ids is not None else rows or 0
    log = Log(CHECKS)
    values = None if ids is None else np.array(ids, np.int64)
    check_rows(
        SubmissionTable(values, {}, np.arange(2, 2 + n), rows or n),
        challenge().ids.sized(n_rows),
        log,
    )
    return {f.id: f.what for f in log.findings() if f.level is Level.FAIL}


def test_the_test_sets_ids_in_order_pass() -> None:
    assert found([0, 1, 2, 3, 4]) == {}


@pytest.mark.parametrize(
    ("ids", "expected"),
    [
        (
            [1, 2, 3, 4, 5],
            {"id-complete": "1 ID missing, first 0; 1 ID unknown, first 5 in line 6"},
        ),
        ([0, 1, 3, 2, 4], {"id-order": "1 ID below the one before, first 2 after 3 in line 5"}),
        (
            [0, 1, 1, 3, 4],
            {
                "id-unique": "1 row with an ID seen before, first ID 1 in line 4",
                "id-complete": "1 ID missing, first 2",
            },
        ),
        (
            [0, 1, 2, 3],
            {
                "row-count": "expected 5 rows; found 4, 1 too few",
                "id-complete": "1 ID missing, first 4",
            },
        ),
        (
            [0, 1, 2, 3, 4, 4],
            {
                "row-count": "expected 5 rows; found 6, 1 too many",
                "id-unique": "1 row with an ID seen before, first ID 4 in line 7",
            },
        ),
        ([-(10**18), 1, 2, 3, 4], {"id-complete": "1 ID unknown, first -1000000000000000000"}),
        ([0, 1, 2, 3, 10**18], {"id-complete": "first 1000000000000000000 in line 6"}),
    ],
)
def test_wrong_ids_are_counted_and_the_first_is_named(
    ids: list[int], expected: dict[str, str]
) -> None:
    said = found(ids)
    assert list(said) == list(expected)
    for check, what in expected.items():
        assert what in said[check]


def test_without_readable_ids_only_rows_are_counted() -> None:
    assert list(found(None, rows=7)) == ["row-count"]


def test_ids_from_1_are_recognised() -> None:
    log = Log(CHECKS)
    check_rows(
        SubmissionTable(np.arange(1, 6), {}, np.arange(2, 7), 5), challenge().ids.sized(5), log
    )
    assert [f.todo for f in log.findings() if f.todo] == ["IDs start from 0, not from 1"]
