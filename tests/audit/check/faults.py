"""Faults to plant in a small clean data folder, and the finding each must lead to."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from mmctr_kit.audit.check import check_data
from mmctr_kit.audit.findings import Finding, Level, exit_code, problems
from mmctr_kit.data.contract import FILES, SPLITS

N_ITEMS = 40
EMB = "item_emb_d128"
Columns = dict[str, Any]
Tables = dict[str, Columns]
Write = Callable[..., None]
RANK = {level: rank for rank, level in enumerate(Level)}


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

    def __str__(self) -> str:
        return f"{self.check}: {self.what}"


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


def plant(fault: Fault, folder: Path, tables: Tables, write: Write) -> None:
    if fault.file == ANY:
        fault.plant(folder)
        return
    columns = {
        n: v.copy() if isinstance(v, np.ndarray) else v for n, v in tables[fault.file].items()
    }
    fault.plant(columns)
    write(folder, fault.file, columns)


def assert_named_alone(fault: Fault, folder: Path, tables: Tables, write: Write) -> None:
    """The planted fault is found by its check, and by no other check."""
    plant(fault, folder, tables, write)
    findings = check_data(folder)
    levels = levels_of(findings)
    assert levels[fault.check] is fault.level
    failed = {c for c, level in levels.items() if level is FAIL}
    warned = {c for c, level in levels.items() if level is WARN}
    found = failed if fault.level is FAIL else failed | warned
    assert found == {fault.check, *fault.also}
    assert exit_code(findings, strict=True) == 1
    assert exit_code(findings, strict=False) == int(fault.level is FAIL)
    assert all(f.todo for f in problems(findings))
