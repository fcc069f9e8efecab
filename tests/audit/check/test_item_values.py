"""Tags assigned to other items are found where both files hold them, and nowhere else."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from mmctr_kit.audit.check import check_data
from mmctr_kit.audit.check.catalog import CHECKS
from mmctr_kit.audit.check.item_files import ItemFile
from mmctr_kit.audit.check.item_values import check_tag_alignment
from mmctr_kit.audit.findings import Level, Log
from mmctr_kit.data.ragged import Ragged
from tests.audit.check.faults import (
    EMB,
    FAIL,
    GIVEN,
    HALF,
    IMAGE,
    MIXED,
    N_ITEMS,
    TEXT,
    WARN,
    Fault,
    Tables,
    Write,
    assert_named_alone,
    change,
    drop_rows,
    one_after_another,
    put,
    reorder,
)

N = 400
IDS = np.arange(1, N + 1)
Lists = list[list[int]]


def lists(tags: int = 60) -> Lists:
    rng = np.random.default_rng(5)
    return [rng.choice(tags, rng.integers(0, 8), replace=False).tolist() for _ in IDS]


def ragged(rows: Lists) -> Ragged[np.int64]:
    values = np.array([t for r in rows for t in r], np.int64)
    return Ragged.of(values, np.array([len(r) for r in rows]))


def found(info: Lists, feature: Lists) -> list[str]:
    padded = [[0] * 5, *([0] * (5 - len(r)) + r for r in info)]
    items = {
        "item_info": ItemFile(np.arange(N + 1), ragged(padded)),
        "item_feature": ItemFile(IDS, ragged(feature)),
    }
    log = Log(CHECKS)
    check_tag_alignment(items, log)
    assert all((f.id, f.level) == ("item-info-alignment", Level.FAIL) for f in log.findings())
    return [f.what for f in log.findings()]


def feature() -> Lists:
    return [[t + 1 for t in r] for r in lists()]


def cut(rows: Lists) -> Lists:
    return [r[-5:] for r in rows]


@pytest.mark.parametrize("by", [lambda r: r[1:] + r[:1], lambda r: r[::-1]])
def test_tags_shifted_or_re_sorted_are_a_fault(by: Callable[[Lists], Lists]) -> None:
    assert "belong to other items" in found(by(cut(feature())), feature())[0]


@pytest.mark.parametrize("keep", [lambda r: r[-5:], lambda r: r[:5], lambda r: r[-5:][::-1]])
def test_tags_by_id_are_none_whichever_five_are_kept_and_in_whichever_order(
    keep: Callable[[list[int]], list[int]],
) -> None:
    assert found([keep(r) for r in feature()], feature()) == []


def test_tags_numbered_otherwise_say_nothing() -> None:
    other = np.random.default_rng(1).permutation(60) + 1
    assert found([[int(other[t - 1]) for t in r] for r in cut(feature())], feature()) == []


def test_tags_too_alike_to_tell_say_nothing() -> None:
    alike = [[1, 2], [1, 3]] * (N // 2)
    assert found(alike[1:] + alike[:1], alike) == []


def test_a_few_items_that_differ_are_none() -> None:
    some = cut(feature())
    some[:20] = some[:20][::-1]
    assert found(some, feature()) == []


FAULTS = [
    Fault(
        "an id twice",
        "item-ids-unique",
        FAIL,
        "item_feature",
        put("item_id", 4, 4),
        ("item-ids-complete",),
    ),
    Fault(
        "ids from 0",
        "item-ids-complete",
        FAIL,
        "item_emb",
        change("item_id", lambda x: x - 1),
        ("item-info-alignment", "item-feature-alignment"),
    ),
    Fault("a hole", "item-ids-complete", FAIL, "item_info", put("item_id", N_ITEMS, N_ITEMS + 1)),
    Fault("re-sorted with ids", "item-ids-sorted", FAIL, "item_emb", reorder(MIXED)),
    Fault(
        "no padding row and a hole",
        "item-ids-complete",
        FAIL,
        "item_info",
        one_after_another(put("item_id", N_ITEMS, N_ITEMS + 1), reorder(np.arange(1, N_ITEMS + 1))),
        ("padding-row",),
    ),
    Fault("NaN", "embeddings-finite", FAIL, "item_emb", put(GIVEN[3], (2, 1), np.nan)),
    Fault("beyond float32", "embeddings-finite", FAIL, "item_feature", put(IMAGE, (2, 1), 1e300)),
    Fault("too large to square", "embeddings-finite", FAIL, "item_info", put(EMB, (17, 1), -1e30)),
    Fault("a value far off", "embeddings-finite", WARN, "item_emb", put(GIVEN[2], (16, 1), 1e6)),
    Fault("most are zero", "embeddings-zero", FAIL, "item_feature", put(IMAGE, HALF, 0)),
    Fault("own are all zero", "embeddings-zero", FAIL, "item_info", put(EMB, slice(None), 0)),
    Fault("a few are zero", "embeddings-zero", WARN, "item_feature", put(TEXT, slice(2), 0)),
    Fault("an empty modality", "embeddings-zero", WARN, "item_feature", put(IMAGE, slice(None), 0)),
    Fault(
        "repeated vectors",
        "embeddings-duplicate",
        WARN,
        "item_emb",
        change(GIVEN[3], lambda x: x[np.maximum(np.arange(N_ITEMS), 3)]),
    ),
]


@pytest.mark.parametrize("fault", FAULTS, ids=str)
def test_a_planted_fault_is_found_by_its_check_and_by_no_other(
    fault: Fault, check_folder: Path, check_tables: Tables, write_table: Write
) -> None:
    assert_named_alone(fault, check_folder, check_tables, write_table)


@pytest.mark.parametrize("file", ["item_info", "item_feature", "item_emb"])
@pytest.mark.parametrize("lost", [[7], [1], [3, 8, 9], [2, 4, 6, 8, 10, 12]], ids=str)
def test_items_that_a_file_lacks_are_one_failure_that_names_them(
    lost: list[int], file: str, check_folder: Path, check_tables: Tables, write_table: Write
) -> None:
    columns = dict(check_tables[file])
    reorder(np.flatnonzero(~np.isin(columns["item_id"], lost)))(columns)
    write_table(check_folder, file, columns)
    (failed,) = [f for f in check_data(check_folder) if f.level is FAIL]
    named = {1: f"item {lost[0]}", 3: "3 items: 3, 8, 9", 6: "6 items: 2, 4, 6, 8, 10, ..."}
    assert failed.what == f"{file} lacks {named[len(lost)]} (of 1..40)"


def test_the_last_items_are_missed_where_the_other_files_hold_them(
    check_folder: Path, check_tables: Tables, write_table: Write
) -> None:
    columns = dict(check_tables["item_info"])
    drop_rows(2)(columns)
    write_table(check_folder, "item_info", columns)
    (failed,) = [f for f in check_data(check_folder) if f.level is FAIL]
    assert failed.what == "item_info lacks 2 items: 39, 40 (of 1..40)"


@pytest.mark.parametrize(
    ("file", "column", "lacks"),
    [
        ("item_feature", TEXT, "no text, or the encoder failed on them"),
        ("item_feature", IMAGE, "no image that opens, or"),
        ("item_info", EMB, "no text or image, or"),
    ],
)
def test_what_an_all_zero_vector_may_mean_is_said_by_its_column(
    file: str, column: str, lacks: str, check_folder: Path, check_tables: Tables, write_table: Write
) -> None:
    columns = dict(check_tables[file])
    put(column, slice(2), 0)(columns)
    write_table(check_folder, file, columns)
    (found,) = [f for f in check_data(check_folder) if f.id == "embeddings-zero" and f.todo]
    assert found.todo.startswith(f"these items may have {lacks}")


def test_a_value_too_large_names_its_item_and_its_size(
    check_folder: Path, check_tables: Tables, write_table: Write
) -> None:
    columns = dict(check_tables["item_info"])
    put(EMB, (17, 1), -1e30)(columns)
    write_table(check_folder, "item_info", columns)
    (failed,) = [f for f in check_data(check_folder) if f.level is FAIL]
    assert "1 item holds too large a value: item 17 one of 1e+30;" in failed.what
