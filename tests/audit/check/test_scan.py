"""Files, columns and values that cannot be read as the contract says."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from tests.audit.check.faults import (
    ANY,
    EMB,
    FAIL,
    GIVEN,
    IMAGE,
    WARN,
    Fault,
    Tables,
    Write,
    assert_named_alone,
    at,
    change,
    garble_a_name,
    invalid_utf8,
    put,
    replace_by_folder,
    scribble,
    truncate,
    twice,
    with_inner_null,
    with_null,
    without_one,
)

FAULTS = [
    Fault("half of train", "files-readable", FAIL, ANY, at("train", truncate)),
    Fault(
        "an empty file", "files-readable", FAIL, ANY, at("item_emb", lambda p: p.write_bytes(b""))
    ),
    Fault(
        "a web page", "files-readable", FAIL, ANY, at("item_info", lambda p: p.write_text("<html>"))
    ),
    Fault("broken pages", "files-readable", FAIL, ANY, at("test", scribble)),
    Fault("a column's name", "files-readable", FAIL, ANY, at("valid", garble_a_name)),
    Fault("a folder", "files-readable", FAIL, ANY, at("item_seq", replace_by_folder)),
    Fault("no views", "columns-present", FAIL, "test", lambda c: c.pop("views_level")),
    Fault("no item ids", "columns-present", FAIL, "item_emb", lambda c: c.pop("item_id")),
    Fault("no sequences", "columns-present", FAIL, "item_seq", lambda c: c.pop("item_seq")),
    Fault("no vectors", "columns-present", FAIL, "item_info", lambda c: c.pop(EMB)),
    Fault("label twice", "columns-present", FAIL, ANY, at("train", twice)),
    Fault(
        "text ids", "column-kinds", FAIL, "train", change("item_id", lambda x: [str(i) for i in x])
    ),
    Fault(
        "one item a history", "column-kinds", FAIL, "test", change("item_seq", lambda x: x[:, -1])
    ),
    Fault("fractions", "column-kinds", FAIL, "train", put("label", 0, 0.5)),
    Fault(
        "unsigned",
        "column-kinds",
        FAIL,
        "train",
        change("user_id", lambda x: x.astype("u8") - np.uint64(1 << 60) * np.uint64(8)),
    ),
    Fault("not UTF-8", "column-kinds", FAIL, "item_feature", change("item_title", invalid_utf8)),
    Fault("a null", "no-nulls", FAIL, "valid", change("user_id", with_null)),
    Fault("a null array", "no-nulls", FAIL, "train", change("item_seq", with_null)),
    Fault("a null in an array", "no-nulls", FAIL, "item_info", change(EMB, with_inner_null)),
    Fault("a null title", "no-nulls", WARN, "item_feature", change("item_title", without_one)),
    Fault("all null", "no-nulls", FAIL, "test", change("item_id", lambda x: pa.nulls(len(x)))),
    Fault(
        "a short vector",
        "array-widths",
        FAIL,
        "item_emb",
        change(GIVEN[0], lambda x: [x[0][:3], *x[1:]]),
    ),
    Fault(
        "empty vectors",
        "array-widths",
        FAIL,
        "item_info",
        change(EMB, lambda x: pa.array([[]] * len(x), pa.list_(pa.float32()))),
    ),
    Fault("no tags", "columns-present", WARN, "item_feature", lambda c: c.pop("item_tags")),
    Fault("no likes", "columns-present", WARN, "item_feature", lambda c: c.pop("likes_level")),
    Fault(
        "no levels",
        "columns-present",
        WARN,
        "item_feature",
        lambda c: (c.pop("likes_level"), c.pop("views_level")),
    ),
    Fault("no images' vectors", "columns-present", WARN, "item_feature", lambda c: c.pop(IMAGE)),
]


@pytest.mark.parametrize("fault", FAULTS, ids=str)
def test_a_planted_fault_is_found_by_its_check_and_by_no_other(
    fault: Fault, check_folder: Path, check_tables: Tables, write_table: Write
) -> None:
    assert_named_alone(fault, check_folder, check_tables, write_table)
