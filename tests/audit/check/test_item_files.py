"""The padding row and the tags of the item files."""

from pathlib import Path

import numpy as np
import pytest

from mmctr_kit.audit.check import check_data
from tests.audit.check.faults import (
    EMB,
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
    Fault("padding vector", "padding-row", FAIL, "item_info", put(EMB, (0, 2), 0.1)),
    Fault("padding tags", "padding-row", FAIL, "item_info", put("item_tags", (0, 4), 7)),
    Fault(
        "no padding row",
        "padding-row",
        FAIL,
        "item_info",
        reorder(np.arange(1, N_ITEMS + 1)),
    ),
    Fault("negative tag", "tag-ids", FAIL, "item_info", put("item_tags", (5, 4), -1)),
    Fault("huge tag", "tag-ids", FAIL, "item_info", put("item_tags", (5, 4), 2_000_000_000)),
    Fault("sparse tags", "tag-ids", WARN, "item_info", put("item_tags", (5, 4), 601)),
    Fault(
        "sparse tags, any length",
        "tag-ids",
        WARN,
        "item_feature",
        change("item_tags", lambda x: [[2_000_000_000], *x[1:]]),
    ),
    Fault(
        "tags right-padded",
        "left-padding-tags",
        FAIL,
        "item_info",
        change("item_tags", lambda x: x[:, ::-1]),
    ),
]


@pytest.mark.parametrize("fault", FAULTS, ids=str)
def test_a_planted_fault_is_found_by_its_check_and_by_no_other(
    fault: Fault, check_folder: Path, check_tables: Tables, write_table: Write
) -> None:
    assert_named_alone(fault, check_folder, check_tables, write_table)


def test_an_item_info_without_its_padding_row_is_one_failure(
    check_folder: Path, check_tables: Tables, write_table: Write
) -> None:
    columns = dict(check_tables["item_info"])
    reorder(np.arange(1, N_ITEMS + 1))(columns)
    write_table(check_folder, "item_info", columns)
    failed = [f for f in check_data(check_folder) if f.level is FAIL]
    assert [f.what for f in failed] == ["item_info has no row of item 0"]
