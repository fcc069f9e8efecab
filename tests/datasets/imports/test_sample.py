"""First rows of tables of unknown form."""

import gzip
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mmctr_kit.datasets.imports.sample import ROWS, take_sample
from mmctr_kit.errors import DataError, UsageError


@pytest.mark.parametrize(
    ("name", "text", "columns", "keys"),
    [
        ("a.csv", "user,item\nx,1\n", ["user", "item"], {}),
        ("a.csv", "user\nx\n", ["user"], {}),
        ("a.csv", "user;item\nx;1\ny;2\n", ["user", "item"], {"separator": ";"}),
        ("a.tsv", "1\t2\t5\n", None, {}),
        ("a.dat", '1::"x" y\n2::z\n', None, {"separator": "::", "quoting": False}),
        ("a.csv", 'user,text\nx,"a\nb, c"\n', ["user", "text"], {}),
        ("a.tsv", 'user\ttext\nx\t"a\ny\tb\n', ["user", "text"], {"quoting": False}),
        ("u.item", "1|Toy|0\n2|Gold|1\n", None, {"separator": "|", "format": "csv"}),
        ("x.item", "item_id:token\tname:token_seq\n1\tToy\n", ["item_id", "name"], {}),
        ("log", "user,item\nx,é\n", ["user", "item"], {"format": "csv"}),
        ("a.csv", "user,item\nx,é\n", ["user", "item"], {}),
        ("log.txt", '{"user": 1}\n', ["user"], {"format": "jsonl"}),
    ],
)
@pytest.mark.parametrize("encoding", ["utf-8", "latin-1"])
def test_the_form_of_a_text_table(
    tmp_path: Path, name: str, text: str, columns: list[str] | None, keys: dict, encoding: str
) -> None:
    (tmp_path / name).write_bytes(text.encode(encoding))
    sample = take_sample(tmp_path / name)
    assert sample.has_header == (columns is not None)
    if columns is not None:
        assert [c.name for c in sample.columns] == columns
    form = sample.table.model_dump(exclude_defaults=True, exclude={"files", "columns"})
    if not name.startswith("log") or "jsonl" in str(keys):
        assert form == keys
    assert all(c.values for c in sample.columns)


def test_columns_are_known_by_what_they_hold(tmp_path: Path) -> None:
    table = pa.table(
        {
            "flag": [1, 0, None],
            "number": [1.5, 2.0, -3.0],
            "iso": ["2020-01-01", "2020-01-01 10:00:00", "2020-01-01T10:00:00+01:00"],
            "address": ["https://x/1.jpg", "", "http://y"],
            "text": ["a", "1", None],
            "list": [["a", "b"], [], ["c"]],
            "structure": [[{"x": 1}], [], []],
            "empty": pa.array([None, None, None], pa.string()),
        }
    )
    pq.write_table(table, tmp_path / "x.parquet")
    sample = take_sample(tmp_path / "x.parquet")
    assert all(c.kind == c.name for c in sample.columns)
    values = {c.name: c.values for c in sample.columns}
    assert values["flag"] == ["1", "0"]
    assert values["list"] == ["a", "b", "c"]
    assert sample.columns[1].numbers() == [1.5, 2.0, -3.0]


def test_no_more_than_the_first_rows_are_read(tmp_path: Path) -> None:
    with gzip.open(tmp_path / "x[1].csv.gz", "wt") as file:
        file.write("user\n" + "".join(f"u{i}\n" for i in range(2 * ROWS)))
    sample = take_sample(tmp_path / "x[1].csv.gz")
    assert sample.columns[0].values == [f"u{i}" for i in range(ROWS)]


def test_what_is_no_table_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"the tables: no file"):
        take_sample(tmp_path / "x.csv")
    (tmp_path / "x.csv").write_text("")
    with pytest.raises(DataError, match="holds no row"):
        take_sample(tmp_path / "x.csv")
    (tmp_path / "x.parquet").write_text("no")
    with pytest.raises(DataError, match="is no readable parquet file"):
        take_sample(tmp_path / "x.parquet")
