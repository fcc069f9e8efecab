"""Vectors that are assigned to the wrong items."""

from pathlib import Path

import numpy as np
import pytest

from tests.audit.check.faults import (
    ANY,
    EMB,
    FAIL,
    GIVEN,
    IMAGE,
    INFO_MIXED,
    INFO_SHIFTED,
    INFO_SWAPPED,
    MIXED,
    N_ITEMS,
    RNG,
    SHIFTED,
    TEXT,
    WARN,
    Fault,
    Tables,
    Write,
    assert_named_alone,
    change,
    info_from_v1,
    reorder,
)

FAULTS = [
    Fault("shifted down", "item-info-alignment", FAIL, "item_info", reorder(INFO_SHIFTED, EMB)),
    Fault("re-sorted", "item-info-alignment", FAIL, "item_info", reorder(INFO_MIXED, EMB)),
    Fault(
        "three items mixed up", "item-info-alignment", FAIL, "item_info", reorder(INFO_SWAPPED, EMB)
    ),
    Fault(
        "given re-sorted",
        "item-info-alignment",
        FAIL,
        "item_emb",
        reorder(MIXED, *GIVEN),
        ("item-feature-alignment",),
    ),
    Fault(
        "feature shifted",
        "item-feature-alignment",
        FAIL,
        "item_feature",
        reorder(SHIFTED, TEXT, IMAGE),
    ),
    Fault("text re-sorted", "item-feature-alignment", FAIL, "item_feature", reorder(MIXED, TEXT)),
    Fault(
        "images re-sorted", "item-feature-alignment", FAIL, "item_feature", reorder(MIXED, IMAGE)
    ),
    Fault(
        "a whitened v1, shifted",
        "item-feature-alignment",
        FAIL,
        "item_emb",
        change(GIVEN[0], lambda x: np.roll(x / x.std(axis=0), 1, axis=0)),
    ),
    Fault(
        "own vectors",
        "item-info-alignment",
        WARN,
        "item_info",
        change(EMB, lambda x: np.vstack([x[:1], RNG.standard_normal((N_ITEMS, 8))])),
    ),
    Fault(
        "own vectors of another width",
        "item-info-alignment",
        WARN,
        "item_info",
        change(EMB, lambda x: x @ RNG.standard_normal((8, 8))[:, :6]),
    ),
    Fault("v1 as one's own", "item-info-alignment", WARN, ANY, info_from_v1),
    Fault(
        "an item of one's own",
        "item-info-alignment",
        WARN,
        "item_info",
        change(EMB, lambda x: np.vstack([x[:9], -x[9:10], x[10:]])),
    ),
    Fault(
        "other text",
        "item-feature-alignment",
        WARN,
        "item_feature",
        change(TEXT, lambda x: RNG.standard_normal(x.shape)),
    ),
]


@pytest.mark.parametrize("fault", FAULTS, ids=str)
def test_a_planted_fault_is_found_by_its_check_and_by_no_other(
    fault: Fault, check_folder: Path, check_tables: Tables, write_table: Write
) -> None:
    assert_named_alone(fault, check_folder, check_tables, write_table)
