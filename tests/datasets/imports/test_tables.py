"""Tables of every format give the same columns, and a broken one is named with its row."""

import gzip
import io
import json
import zipfile
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mmctr_kit.datasets.imports.sources import find_sources
from mmctr_kit.datasets.imports.spec import Table
from mmctr_kit.datasets.imports.tables import Batch, header, read_batches
from mmctr_kit.errors import DataError

ROWS = [["u1", "caf\u00e9, the", "4.5"], ["u2", "b \u2013 c", "1"], ["007", "", "3"]]
NAMES = ["user", "title", "rating"]


def read(folder: Path, *columns: str, **table: Any) -> list[Batch]:
    made = Table.model_validate(table)
    return list(read_batches(made, find_sources(made, folder, "items.files"), columns))


def text(separator: str, quote: str = "", names: list[str] | None = NAMES) -> str:
    lines = [[f"{quote}{cell}{quote}" for cell in row] for row in ROWS]
    return "\n".join(separator.join(row) for row in ([names] if names else []) + lines) + "\n"


def zipped(content: str) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("inside/t.csv", content)
    return buffer.getvalue()


def parquet() -> bytes:
    buffer = io.BytesIO()
    columns = dict(zip(NAMES, map(list, zip(*ROWS, strict=True)), strict=True))
    pq.write_table(pa.table(columns), buffer)
    return buffer.getvalue()


JSON = "".join(json.dumps(dict(zip(NAMES, row, strict=True))) + "\n\n" for row in ROWS)
TYPED = ["user:token", "title:token_seq", "rating:float"]
FILES: list[tuple[str, bytes, dict[str, Any]]] = [
    ("t.csv", text(",", '"').encode(), {}),
    ("t.csv", b"\xef\xbb\xbf" + text(",", '"').replace("\n", "\r\n").encode(), {}),
    ("t.tsv", text("\t").encode(), {}),
    ("t.txt", text("|").encode(), {"separator": "|"}),
    ("t.dat", text("::", names=None).encode(), {"separator": "::", "columns": NAMES}),
    ("t.csv.gz", gzip.compress(text(",", '"').encode(), mtime=0), {}),
    ("t.csv", gzip.compress(text(",", '"').encode(), mtime=0), {}),
    ("t.zip", zipped(text(",", '"')), {}),
    ("t.inter", text("\t", names=TYPED).encode(), {}),
    ("t.jsonl", JSON.encode(), {}),
    ("t.parquet", parquet(), {}),
]


@pytest.mark.parametrize(("name", "content", "table"), FILES, ids=lambda v: str(v)[:12])
def test_a_format_does_not_change_what_is_read(
    tmp_path: Path, name: str, content: bytes, table: dict[str, Any]
) -> None:
    (tmp_path / name).write_bytes(content)
    batches = read(tmp_path, "rating", "user", "title", files=name, **table)
    assert [b.first for b in batches] == [1]
    columns = {n: c.to_pylist() for n, c in batches[0].columns.items()}
    assert columns == dict(zip(NAMES, map(list, zip(*ROWS, strict=True)), strict=True))
    made = Table.model_validate({"files": name, **table})
    assert header(made, find_sources(made, tmp_path, "items.files")[0]) == NAMES


def test_lists_of_json_lines_stay_lists(tmp_path: Path) -> None:
    (tmp_path / "t.jsonl").write_text('{"c": [["a", "b"], ["c"]]}\n{"c": "d"}\n{}\n')
    column = read(tmp_path, "c", files="t.jsonl")[0].columns["c"]
    assert column.to_pylist() == [["a", "b", "c"], ["d"], None]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        (
            "t.csv",
            b"user,title\nu1,a\nu2\n",
            "line 3: expected 2 fields separated by ',', found 1",
        ),
        ("t.csv", b"", r"no column 'user'; its columns: nothing"),
        ("t.csv", b"users,title\n1,2\n", r"no column 'user' \(did you mean users\?\)"),
        ("t.csv", b"user,user\n1,2\n", "has column user twice"),
        ("t.jsonl", b'{"user": 1}\n{"user": \n', "line 2 is no JSON"),
        ("t.jsonl", b'[{"user": 1}]\n', "the whole file is one list|expected an object"),
        ("t.jsonl", b"[1, 2]\n", "expected an object"),
        ("t.parquet", b"PAR1 not", "no readable parquet file"),
        (
            "t.csv.gz",
            gzip.compress(b"user\n" + b"1\n" * 9999, mtime=0)[:-9],
            "cannot be read to its end",
        ),
        ("t.zip", b"no zip", "not a readable zip"),
        ("t.csv", "user\n1\n".encode("utf-16"), "is in UTF-16; save it as UTF-8"),
    ],
)
def test_a_broken_table_is_named_with_its_row(
    tmp_path: Path, name: str, content: bytes, message: str
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=message) as e:
        read(tmp_path, "user", files=name)
    assert name in str(e.value)


def test_how_far_the_reading_is_only_grows_and_ends_at_one(tmp_path: Path) -> None:
    for part in range(3):
        (tmp_path / f"{part}.csv").write_text("user\n" + "1\n" * 1000)
    table, shares = Table(files=("*.csv",)), list[float]()
    sources = find_sources(table, tmp_path, "items.files")
    assert sum(len(b) for b in read_batches(table, sources, ["user"], shares.append)) == 3000
    assert shares == sorted(shares)
    assert shares[-1] == 1.0


def test_numbers_of_json_lines_keep_the_digits_that_are_written(tmp_path: Path) -> None:
    (tmp_path / "t.jsonl").write_text('{"c": 9007199254740993.0}\n{"c": 9007199254740993}\n')
    column = read(tmp_path, "c", files="t.jsonl")[0].columns["c"]
    assert column.to_pylist() == ["9007199254740993.0", "9007199254740993"]


def test_nan_of_json_lines_is_no_value(tmp_path: Path) -> None:
    (tmp_path / "t.jsonl").write_text('{"c": NaN}\n{"c": 1}\n')
    assert read(tmp_path, "c", files="t.jsonl")[0].columns["c"].to_pylist() == [None, "1"]


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("t.csv", b'user,title\n1,"a\nb"\n\n2,x\n', "t.csv, line 5"),
        ("t.jsonl", b'{"user": 1}\n \n{"user": 2}\n', "t.jsonl, line 3"),
    ],
)
def test_a_row_is_named_by_the_line_that_an_editor_shows(
    tmp_path: Path, name: str, content: bytes, told: str
) -> None:
    (tmp_path / name).write_bytes(content)
    (batch,) = read(tmp_path, "user", files=name)
    assert batch.row(1).endswith(told)


def test_a_row_of_parquet_is_named_by_its_number(tmp_path: Path) -> None:
    pq.write_table(pa.table({"user": [1, 2]}), tmp_path / "t.parquet")
    (batch,) = read(tmp_path, "user", files="t.parquet")
    assert batch.row(1).endswith("t.parquet, row 2 (from 1)")


def test_an_uneven_row_shows_the_separator_as_it_is_in_the_file(tmp_path: Path) -> None:
    (tmp_path / "t.dat").write_text("1::a\n\n2::b::c\n")
    wanted = (
        "t.dat, line 3: expected 2 fields separated by '::', found 3 in '2::b::c'; mend the line "
        "or remove it; faults of other kinds are looked for only then$"
    )
    with pytest.raises(DataError, match=wanted):
        read(tmp_path, "user", files="t.dat", separator="::", columns=("user", "item"))
