"""mmctr_kit.audit.check.row_values: rows of valid and test that train holds too."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from mmctr_kit.audit.check.catalog import CHECKS
from mmctr_kit.audit.check.row_values import check_copies
from mmctr_kit.audit.check.rows import HistoryColumns, RowFile
from mmctr_kit.audit.findings import Finding, Level, Log
from tests.audit.check.faults import (
    FAIL,
    SHIFTED,
    WARN,
    Fault,
    Tables,
    Write,
    assert_named_alone,
    put,
    reorder,
)


def split(users: np.ndarray, items: np.ndarray, history: int = 0) -> RowFile:
    """Rows of these users and items; a user's rows share a history, which ``history`` alters."""
    keys = (users + history).astype(np.uint64)
    nothing = np.zeros(len(users), np.bool_)
    history_columns = HistoryColumns(np.full(len(users), 5), keys, nothing, None, None)
    return RowFile({"user_id": users, "item_id": items}, history_columns, None)


def found(train: RowFile, valid: RowFile) -> list[Finding]:
    nobody, log = np.arange(-10, 0), Log(CHECKS)
    check_copies({"train": train, "valid": valid, "test": split(nobody, nobody)}, log)
    return log.findings()


USERS, ITEMS = np.repeat(np.arange(250), 4), np.arange(1000)
VALID = split(USERS, ITEMS)


def test_copies_are_counted_with_their_share_and_what_to_do() -> None:
    train = split(np.append(USERS[:300], 999), np.append(ITEMS[:300], 7))
    (finding,) = found(train, VALID)
    assert finding.level is Level.FAIL
    assert finding.what.startswith("valid: 300 of 1,000 rows (30.0%) are in train too")
    assert finding.todo.startswith("take them out of train: a valid score on rows that")


def test_shared_users_alone_and_a_row_in_a_hundred_are_no_copies() -> None:
    assert found(split(USERS, ITEMS[::-1]), VALID) == []
    assert found(split(USERS[:10], ITEMS[:10]), VALID) == []
    assert [f.level for f in found(split(USERS[:11], ITEMS[:11]), VALID)] == [Level.FAIL]


def test_the_same_user_and_item_under_another_history_may_be_another_impression() -> None:
    (finding,) = found(split(USERS, ITEMS, history=1), VALID)
    assert finding.level is Level.WARN
    assert finding.todo.startswith("if they are the same impressions, take them out of train")


def test_without_histories_to_compare_user_and_item_tell_and_without_ids_nothing_does() -> None:
    train = split(USERS, ITEMS, history=1)
    assert [f.level for f in found(replace(train, history=None), VALID)] == [Level.FAIL]
    assert found(replace(train, columns={"user_id": USERS}), VALID) == []


FAULTS = [
    Fault("empty histories", "history-length", WARN, "test", put("item_seq", slice(4), 0)),
    Fault("level 11", "levels-range", FAIL, "test", put("likes_level", 0, 11)),
    Fault("level 0 in a row", "levels-range", FAIL, "train", put("views_level", 0, 0)),
    Fault("level -1 of an item", "levels-range", FAIL, "item_feature", put("views_level", 0, -1)),
    Fault(
        "two items", "history-length", WARN, "test", put("item_seq", (slice(None), slice(-2)), 0)
    ),
    Fault(
        "one split cut short",
        "history-length",
        WARN,
        "train",
        put("item_seq", (slice(None), slice(-3)), 0),
    ),
    Fault(
        "item level 0",
        "levels-range",
        WARN,
        "item_feature",
        put("likes_level", 3, 0),
        ("levels-agree",),
    ),
    Fault("other levels", "levels-agree", WARN, "item_feature", reorder(SHIFTED, "likes_level")),
    Fault(
        "mostly empty histories",
        "history-length",
        FAIL,
        "test",
        put("item_seq", slice(21), 0),
    ),
]


@pytest.mark.parametrize("fault", FAULTS, ids=str)
def test_a_planted_fault_is_found_by_its_check_and_by_no_other(
    fault: Fault, check_folder: Path, check_tables: Tables, write_table: Write
) -> None:
    assert_named_alone(fault, check_folder, check_tables, write_table)
