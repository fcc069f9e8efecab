"""Rows whose ids, histories or labels break the contract."""

from pathlib import Path

import numpy as np
import pytest

from tests.audit.check.faults import (
    FAIL,
    N_ITEMS,
    WARN,
    Fault,
    Tables,
    Write,
    assert_named_alone,
    change,
    put,
    reorder,
)

FAULTS = [
    Fault("IDs from 1", "test-ids", FAIL, "test", change("ID", lambda x: x + 1)),
    Fault("test rows mixed", "test-ids", FAIL, "test", reorder(np.arange(40)[::-1])),
    Fault(
        "histories right-padded",
        "left-padding-history",
        FAIL,
        "train",
        change("item_seq", lambda x: x[:, ::-1]),
        ("history-order",),
    ),
    Fault(
        "a hole in a history",
        "left-padding-history",
        FAIL,
        "valid",
        put("item_seq", (slice(4), 6), 0),
    ),
    Fault(
        "unknown in history",
        "history-ids",
        FAIL,
        "train",
        put("item_seq", (slice(4), 7), N_ITEMS + 1),
    ),
    Fault("negative in history", "history-ids", FAIL, "test", put("item_seq", (slice(4), 7), -3)),
    Fault(
        "unknown in item_seq",
        "history-ids",
        FAIL,
        "item_seq",
        change("item_seq", lambda x: [[N_ITEMS + 1], *x[1:]]),
    ),
    Fault("target is padding", "target-ids", FAIL, "valid", put("item_id", 0, 0)),
    Fault("target unknown", "target-ids", FAIL, "train", put("item_id", 0, 2**62)),
    Fault("label 2", "labels", FAIL, "train", put("label", 0, 2)),
    Fault("no positives", "labels", FAIL, "valid", change("label", np.zeros_like)),
    Fault(
        "target in history",
        "target-in-history",
        WARN,
        "train",
        lambda c: c["item_seq"].__setitem__((slice(None), -1), c["item_id"]),
        ("shared-history",),
    ),
]


@pytest.mark.parametrize("fault", FAULTS, ids=str)
def test_a_planted_fault_is_found_by_its_check_and_by_no_other(
    fault: Fault, check_folder: Path, check_tables: Tables, write_table: Write
) -> None:
    assert_named_alone(fault, check_folder, check_tables, write_table)
