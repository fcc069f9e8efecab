"""Users, repeats and unseen items across rows."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest

from mmctr_kit.audit.check import check_data
from mmctr_kit.audit.findings import Level
from tests.audit.check.faults import (
    ANY,
    FAIL,
    WARN,
    Fault,
    Tables,
    Write,
    assert_named_alone,
    change,
    levels_of,
    put,
    within_train,
)

FAULTS = [
    Fault("a negative user", "user-ids", WARN, "valid", put("user_id", slice(36, 40), -4)),
    Fault(
        "half positive",
        "label-mean",
        WARN,
        "train",
        change("label", lambda x: np.arange(len(x)) % 2),
        ("rows-per-user", "leaks"),
    ),
    Fault(
        "shared users",
        "split-users",
        WARN,
        "valid",
        change("user_id", lambda x: x - 5),
        ("item-seq-targets",),
    ),
    Fault(
        "two rows a user",
        "rows-per-user",
        WARN,
        "train",
        change("user_id", lambda x: 1000 + np.arange(len(x)) // 2),
    ),
    Fault(
        "two positives",
        "rows-per-user",
        WARN,
        "train",
        change("label", lambda x: np.tile([1, 1, 0, 0, 0, 0, 0, 0], len(x) // 8)),
        ("leaks",),
    ),
    Fault(
        "growing history",
        "shared-history",
        WARN,
        "train",
        lambda c: c["item_seq"].__setitem__((0, -1), 1),
    ),
    Fault(
        "a row twice",
        "duplicate-rows",
        WARN,
        "train",
        put("item_id", slice(2), 5),
        ("conflicting-labels", "levels-agree"),
    ),
    Fault(
        "both labels",
        "conflicting-labels",
        WARN,
        "train",
        put("item_id", slice(2), 5),
        ("duplicate-rows", "levels-agree"),
    ),
    Fault(
        "unseen items",
        "unseen-items",
        WARN,
        "train",
        change("item_id", lambda x: np.minimum(x, 20)),
        (
            "levels-agree",
            "item-seq-targets",
            "conflicting-labels",
            "target-in-history",
            "duplicate-rows",
            "leaks",
        ),
    ),
    Fault(
        "item_seq tells",
        "item-seq-targets",
        WARN,
        "item_seq",
        change("item_seq", lambda x: [list(range(1, 41))] * len(x)),
        ("history-order",),
    ),
    Fault("valid in train", "duplicate-rows", FAIL, ANY, within_train("valid")),
    Fault("test in train", "duplicate-rows", FAIL, ANY, within_train("test")),
]


@pytest.mark.parametrize("fault", FAULTS, ids=str)
def test_a_planted_fault_is_found_by_its_check_and_by_no_other(
    fault: Fault, check_folder: Path, check_tables: Tables, write_table: Write
) -> None:
    assert_named_alone(fault, check_folder, check_tables, write_table)


TIMES = {"train": range(240), "valid": range(300, 340), "test": range(300, 340)}


@pytest.mark.parametrize(
    ("train", "expected"),
    [
        (range(240), 0),  # ends before the others begin
        (range(200, 440), 0),  # side by side, as in a split by user
        ([*range(230), *range(301, 311)], 2),
    ],
)
def test_rows_of_train_that_are_later_than_a_split_after_it_are_warned_of(
    check_folder: Path,
    check_tables: Tables,
    write_table: Write,
    train: Iterable[int],
    expected: int,
) -> None:
    for split, times in (TIMES | {"train": train}).items():
        write_table(check_folder, split, check_tables[split] | {"time": np.array([*times])})
    found = [f for f in check_data(check_folder) if f.id == "times" and f.level is Level.WARN]
    assert len(found) == expected
    assert all("10 rows of train (4.17%) after its first" in f.what for f in found)


def test_times_that_a_split_lacks_fail_and_data_without_times_skip_it(
    check_folder: Path, check_tables: Tables, write_table: Write
) -> None:
    assert levels_of(check_data(check_folder))["times"] is Level.SKIP
    for split in ("train", "valid"):
        times = np.array([*TIMES[split]])
        write_table(check_folder, split, check_tables[split] | {"time": times})
    (failed,) = [f for f in check_data(check_folder) if f.level is Level.FAIL]
    assert failed.id == "columns-present"
    assert "test.parquet has no column time" in failed.what
