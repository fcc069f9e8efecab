"""A small clean data folder, one planted fault at a time, and the finding each must lead to."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mmctr_kit.audit.check import CHECKS, check_data
from mmctr_kit.audit.findings import Finding, Level, exit_code
from mmctr_kit.data.contract import FILES, SPLITS

N_ITEMS = 40
EMB = "item_emb_d128"
Columns = dict[str, Any]
Tables = dict[str, Columns]
Write = Callable[..., None]
RANK = {Level.PASS: 0, Level.WARN: 1, Level.FAIL: 2}


def levels_of(findings: list[Finding]) -> dict[str, Level]:
    """The worst level of each check."""
    out: dict[str, Level] = {}
    for f in findings:
        out[f.id] = max(out.get(f.id, Level.PASS), f.level, key=RANK.__getitem__)
    return out


@dataclass(frozen=True)
class Fault:
    """``plant`` changes the folder, or the columns of ``file``; then ``check`` is at ``level``.

    ``also``: further checks that rightly find it. No other check may fail, nor, where ``level`` is
    WARN, warn.
    """

    what: str
    check: str
    level: Level
    file: str
    plant: Callable[[Any], object]
    also: tuple[str, ...] = ()


def put(column: str, rows: Any, value: Any) -> Callable[[Columns], object]:
    """The column with ``value`` in ``rows``, as float64 where the value is a fraction."""

    def plant(columns: Columns) -> None:
        x = np.array(columns[column])
        x = x.astype(np.float64) if isinstance(value, float) else x
        x[rows] = value
        columns[column] = x

    return plant


def change(column: str, f: Callable[[Any], Any]) -> Callable[[Columns], object]:
    def plant(columns: Columns) -> None:
        columns[column] = f(columns[column])

    return plant


def reorder(order: Any, *names: str) -> Callable[[Columns], object]:
    """The named columns (all, if none is named) in another order of rows."""

    def plant(columns: Columns) -> None:
        for name in names or tuple(columns):
            x = columns[name]
            columns[name] = x[order] if isinstance(x, np.ndarray) else [x[i] for i in order]

    return plant


def one_after_another(*plants: Callable[[Columns], object]) -> Callable[[Columns], object]:
    return lambda c: [plant(c) for plant in plants]


def drop_rows(count: int) -> Callable[[Columns], object]:
    return lambda c: c.update({n: v[: len(v) - count] for n, v in c.items()})


def with_null(x: Any) -> pa.Array:
    return pa.array([None, *np.asarray(x)[1:].tolist()])


def without_one(x: Any) -> pa.Array:
    return pa.array([None, *x[1:]])


def with_inner_null(x: Any) -> pa.Array:
    rows = np.asarray(x).tolist()
    rows[3][0] = None
    return pa.array(rows)


def invalid_utf8(x: Any) -> pa.Array:
    return pa.array([b"\xff\xfe"] * len(x), pa.binary()).view(pa.string())


def truncate(path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])


def scribble(path: Path) -> None:
    """The data pages overwritten, the footer intact."""
    content = bytearray(path.read_bytes())
    content[4:600] = b"\x99" * 596
    path.write_bytes(bytes(content))


def garble_a_name(path: Path) -> None:
    path.write_bytes(path.read_bytes().replace(b"views_level", b"\xd3iews_level"))


def replace_by_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def twice(path: Path) -> None:
    t = pq.read_table(path)
    pq.write_table(t.append_column("label", t.column("label")), path)


def info_from_v1(folder: Path) -> None:
    info = pq.read_table(folder / FILES["item_info"].path)
    v1 = pq.read_table(folder / FILES["item_emb"].path).column("item_emb_d128_v1").to_pylist()
    vectors = pa.array([[0.0] * len(v1[0]), *v1])
    info = info.set_column(info.schema.get_field_index(EMB), EMB, vectors)
    pq.write_table(info, folder / FILES["item_info"].path)


def turned_round(histories: Any) -> Any:
    """The most recent item first; the padding stays on the left."""
    out = np.zeros_like(histories)
    for row, history in zip(out, histories, strict=True):
        row[history != 0] = history[history != 0][::-1]
    return out


def all_turned_round(folder: Path) -> None:
    for split in SPLITS:
        path = folder / FILES[split].path
        rows = pq.read_table(path)
        turned = pa.array(list(turned_round(np.array(rows["item_seq"].to_pylist()))))
        at = rows.schema.get_field_index("item_seq")
        pq.write_table(rows.set_column(at, "item_seq", turned), path)


def longer(sequences: list[list[int]]) -> list[list[int]]:
    """Each goes on with 20 other items."""
    return [s + [i for i in range(1, N_ITEMS + 1) if i not in s][:20] for s in sequences]


def within_train(split: str) -> Callable[[Path], object]:
    """Train's last rows are those of ``split``, with labels."""

    def plant(folder: Path) -> None:
        train = pq.read_table(folder / FILES["train"].path)
        rows = pq.read_table(folder / FILES[split].path)
        kept = len(train) - len(rows)
        columns = {
            name: train[name].to_pylist()[:kept] + rows[name].to_pylist()
            for name in train.column_names
            if name != "label"
        }
        pq.write_table(pa.table(columns | {"label": train["label"]}), folder / FILES["train"].path)

    return plant


def images(first: int, count: int, content: bytes) -> Callable[[Path], object]:
    def plant(folder: Path) -> None:
        (folder / "item_images").mkdir()
        for item in range(first, first + count):
            (folder / f"item_images/{item}.jpg").write_bytes(content if item == first else b"jpg")

    return plant


def at(name: str, f: Callable[[Path], object]) -> Callable[[Path], object]:
    return lambda folder: f(folder / FILES[name].path)


RNG = np.random.default_rng(3)
MIXED = RNG.permutation(N_ITEMS)
HALF = np.arange(N_ITEMS) < 30
TEXT, IMAGE = "txt_emb_BERT", "img_emb_CLIPRN50"
GIVEN = tuple(f"item_emb_d128_{v}" for v in ("v1", "v2", "v3", "e4"))
INFO_MIXED = np.concatenate([[0], MIXED + 1])
INFO_SWAPPED = np.concatenate([[0, 3, 1, 2], np.arange(4, N_ITEMS + 1)])
INFO_SHIFTED = np.concatenate([[0, N_ITEMS], np.arange(1, N_ITEMS)])
SHIFTED = np.roll(np.arange(N_ITEMS), 1)
FAIL, WARN = Level.FAIL, Level.WARN
ANY = "folder"
"""``plant`` gets the folder instead of a file's columns."""

FAULTS = [
    Fault("no valid", "files-needed", FAIL, ANY, at("valid", Path.unlink)),
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
    Fault("no rows", "row-counts", FAIL, "valid", drop_rows(40)),
    Fault("an item short", "row-counts", FAIL, "item_emb", drop_rows(1)),
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
    Fault("padding vector", "padding-row", FAIL, "item_info", put(EMB, (0, 2), 0.1)),
    Fault("padding tags", "padding-row", FAIL, "item_info", put("item_tags", (0, 4), 7)),
    Fault(
        "no padding row",
        "padding-row",
        FAIL,
        "item_info",
        reorder(np.arange(1, N_ITEMS + 1)),
    ),
    Fault(
        "no padding row and a hole",
        "item-ids-complete",
        FAIL,
        "item_info",
        one_after_another(put("item_id", N_ITEMS, N_ITEMS + 1), reorder(np.arange(1, N_ITEMS + 1))),
        ("padding-row",),
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
    Fault("NaN", "embeddings-finite", FAIL, "item_emb", put(GIVEN[3], (2, 1), np.nan)),
    Fault("beyond float32", "embeddings-finite", FAIL, "item_feature", put(IMAGE, (2, 1), 1e300)),
    Fault("too large to square", "embeddings-finite", FAIL, "item_info", put(EMB, (17, 1), -1e30)),
    Fault("a value far off", "embeddings-finite", WARN, "item_emb", put(GIVEN[2], (16, 1), 1e6)),
    Fault("most are zero", "embeddings-zero", FAIL, "item_feature", put(IMAGE, HALF, 0)),
    Fault("own are all zero", "embeddings-zero", FAIL, "item_info", put(EMB, slice(None), 0)),
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
    Fault("empty histories", "history-length", WARN, "test", put("item_seq", slice(4), 0)),
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
    Fault("level 11", "levels-range", FAIL, "test", put("likes_level", 0, 11)),
    Fault("level 0 in a row", "levels-range", FAIL, "train", put("views_level", 0, 0)),
    Fault("level -1 of an item", "levels-range", FAIL, "item_feature", put("views_level", 0, -1)),
    Fault("label 2", "labels", FAIL, "train", put("label", 0, 2)),
    Fault("no positives", "labels", FAIL, "valid", change("label", np.zeros_like)),
    Fault("no item_emb", "files-optional", WARN, ANY, at("item_emb", Path.unlink)),
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
    Fault("a few are zero", "embeddings-zero", WARN, "item_feature", put(TEXT, slice(2), 0)),
    Fault("an empty modality", "embeddings-zero", WARN, "item_feature", put(IMAGE, slice(None), 0)),
    Fault(
        "repeated vectors",
        "embeddings-duplicate",
        WARN,
        "item_emb",
        change(GIVEN[3], lambda x: x[np.maximum(np.arange(N_ITEMS), 3)]),
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
    Fault("a negative user", "user-ids", WARN, "valid", put("user_id", slice(36, 40), -4)),
    Fault(
        "target in history",
        "target-in-history",
        WARN,
        "train",
        lambda c: c["item_seq"].__setitem__((slice(None), -1), c["item_id"]),
        ("shared-history",),
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
        "rows filed by label",
        "leaks",
        WARN,
        "train",
        change("label", lambda x: np.tile([1, 0, 0, 0], len(x) // 4)),
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
    Fault(
        "mostly empty histories",
        "history-length",
        FAIL,
        "test",
        put("item_seq", slice(21), 0),
    ),
    Fault("turned round", "history-order", FAIL, "train", change("item_seq", turned_round)),
    Fault("all turned round", "history-order", WARN, ANY, all_turned_round),
    Fault(
        "sorted by id",
        "history-order",
        WARN,
        "train",
        change("item_seq", lambda x: np.sort(x, axis=1)),
    ),
    Fault(
        "the recent end cut off",
        "history-order",
        WARN,
        "item_seq",
        change("item_seq", longer),
        ("item-seq-targets",),
    ),
    Fault("images missing", "images", WARN, ANY, images(2, 40, b"jpg")),
    Fault("an empty image", "images", WARN, ANY, images(1, 40, b"")),
    Fault("images is a file", "images", WARN, ANY, lambda f: (f / "item_images").write_text("")),
]


def plant(fault: Fault, folder: Path, tables: Tables, write: Write) -> None:
    if fault.file == ANY:
        fault.plant(folder)
        return
    columns = {
        n: v.copy() if isinstance(v, np.ndarray) else v for n, v in tables[fault.file].items()
    }
    fault.plant(columns)
    write(folder, fault.file, columns)


@pytest.mark.parametrize("fault", FAULTS, ids=[f"{f.check}: {f.what}" for f in FAULTS])
def test_a_planted_fault_is_found_by_its_check_and_by_no_other(
    fault: Fault, check_folder: Path, check_tables: Tables, write_table: Write
) -> None:
    plant(fault, check_folder, check_tables, write_table)
    findings = check_data(check_folder)
    levels = levels_of(findings)
    assert levels[fault.check] is fault.level
    failed = {c for c, level in levels.items() if level is FAIL}
    warned = {c for c, level in levels.items() if level is WARN}
    found = failed if fault.level is FAIL else failed | warned
    assert found == {fault.check, *fault.also}
    assert exit_code(findings, strict=True) == 1
    assert exit_code(findings, strict=False) == int(fault.level is FAIL)
    assert all(f.todo for f in findings if f.level is not Level.PASS)


def test_an_item_info_without_its_padding_row_is_one_failure(
    check_folder: Path, check_tables: Tables, write_table: Write
) -> None:
    columns = dict(check_tables["item_info"])
    reorder(np.arange(1, N_ITEMS + 1))(columns)
    write_table(check_folder, "item_info", columns)
    failed = [f for f in check_data(check_folder) if f.level is FAIL]
    assert [f.what for f in failed] == ["item_info has no row of item 0"]


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


def test_a_value_too_large_names_its_item_and_its_size(
    check_folder: Path, check_tables: Tables, write_table: Write
) -> None:
    columns = dict(check_tables["item_info"])
    put(EMB, (17, 1), -1e30)(columns)
    write_table(check_folder, "item_info", columns)
    (failed,) = [f for f in check_data(check_folder) if f.level is FAIL]
    assert "1 item holds too large a value: item 17 one of 1e+30;" in failed.what


def test_the_clean_folder_passes_every_check(check_clean: Path) -> None:
    findings = check_data(check_clean)
    assert [f for f in findings if f.level is not Level.PASS] == []
    assert [f.id for f in findings] == list(CHECKS)


@pytest.mark.parametrize("as_list", [True, False], ids=["lists", "arrays"])
@pytest.mark.parametrize("kind", [np.float32, np.float64])
@pytest.mark.parametrize("whole", [np.int32, np.int64])
def test_arrays_lists_and_widths_of_numbers_are_accepted_by_value(
    as_list: bool,
    kind: type,
    whole: type,
    check_tables: Tables,
    write_table: Write,
    tmp_path: Path,
) -> None:
    for name, columns in check_tables.items():
        cast = {
            n: v.astype(kind if v.dtype.kind == "f" else whole) if isinstance(v, np.ndarray) else v
            for n, v in columns.items()
        }
        write_table(
            tmp_path,
            name,
            cast | {"a_column_more": list(range(len(cast[next(iter(cast))])))},
            as_list,
        )
    assert [f for f in check_data(tmp_path) if f.level is not Level.PASS] == []


def test_every_check_can_reach_the_level_it_is_registered_with_and_no_higher() -> None:
    worst: dict[str, Level] = {}
    for f in FAULTS:
        worst[f.check] = max(worst.get(f.check, Level.PASS), f.level, key=RANK.__getitem__)
    # How much memory is free is no property of a folder: tested apart.
    assert worst | {"memory": WARN} == {name: check.worst for name, check in CHECKS.items()}
