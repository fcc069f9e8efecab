"""Parquet columns by value, whatever type they were written with."""

from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mmctr_kit.data.contract import FILES, Column, ColumnKind, File
from mmctr_kit.data.parquet import (
    BATCH_ROWS,
    open_parquet,
    read_columns,
    read_table,
    read_vectors,
    require_folder,
    to_numpy,
)
from mmctr_kit.data.ragged import Ragged
from mmctr_kit.errors import DataError, UsageError

INTS, FLOATS, INT = Column("x", "ints"), Column("x", "floats"), Column("x", "int")
TWO = File("two.parquet", (Column("user_id", "int"), Column("item_seq", "ints")), 0, True)


@pytest.mark.parametrize(
    "kind",
    [pa.int8(), pa.uint8(), pa.int32(), pa.int64(), pa.uint64(), pa.float32(), pa.float64()],
    ids=str,
)
def test_integers_are_int64_whatever_width_they_had(kind: pa.DataType) -> None:
    found = to_numpy(pa.array([0, 7, 100], pa.int64()).cast(kind), INT, "x")
    assert isinstance(found, np.ndarray)
    assert found.dtype == np.int64
    assert found.tolist() == [0, 7, 100]


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        (2**53 - 1, pa.float64()),
        (2**24 - 1, pa.float32()),
        (2**53 + 1, pa.int64()),
        (2**63 - 1, pa.uint64()),
    ],
    ids=str,
)
def test_the_largest_numbers_that_a_type_tells_apart_are_read_as_they_are(
    value: int, kind: pa.DataType
) -> None:
    found = to_numpy(pa.array([value - 1, value]).cast(kind), INT, "x")
    assert isinstance(found, np.ndarray)
    assert found.tolist() == [value - 1, value]


@pytest.mark.parametrize(
    "kind",
    [
        pa.list_(pa.int64()),
        pa.large_list(pa.int32()),
        pa.list_(pa.float64()),
        pa.list_(pa.int64(), 2),
        pa.list_(pa.uint8(), 2),
    ],
    ids=str,
)
def test_arrays_and_lists_of_any_width_hold_the_same_values(kind: pa.DataType) -> None:
    found = to_numpy(pa.array([[1, 2], [3, 4], [5, 6]], kind), INTS, "x")
    assert isinstance(found, Ragged)
    assert found.values.dtype == np.int64
    assert found.dense().tolist() == [[1, 2], [3, 4], [5, 6]]


@pytest.mark.parametrize("kind", [pa.list_(pa.int64()), pa.list_(pa.int64(), 2)], ids=str)
def test_a_slice_of_a_column_is_read_from_its_own_beginning(kind: pa.DataType) -> None:
    found = to_numpy(pa.array([[9, 9], [3, 4], [5, 6], [8, 8]], kind).slice(1, 2), INTS, "x")
    assert isinstance(found, Ragged)
    assert found.offsets.tolist() == [0, 2, 4]
    assert found.values.tolist() == [3, 4, 5, 6]


@pytest.mark.parametrize("kind", [pa.null(), pa.int64(), pa.float32()], ids=str)
def test_empty_arrays_alone_have_no_values_whatever_their_type(kind: pa.DataType) -> None:
    found = to_numpy(pa.array([[], [], []], pa.list_(kind)), INTS, "x")
    assert isinstance(found, Ragged)
    assert found.values.dtype == np.int64
    assert found.lengths.tolist() == [0, 0, 0]


@pytest.mark.parametrize("kind", [pa.float16(), pa.float32(), pa.float64(), pa.int32()], ids=str)
def test_vectors_are_float32_whatever_width_they_had(kind: pa.DataType) -> None:
    found = to_numpy(pa.array([[1, 2], [3, -4]], pa.list_(kind)), FLOATS, "x")
    assert isinstance(found, Ragged)
    assert found.values.dtype == np.float32
    assert found.dense().tolist() == [[1, 2], [3, -4]]


def test_a_float_beyond_float32_is_infinite_and_no_warning() -> None:
    found = to_numpy(pa.array([[1e300, -1e300]]), FLOATS, "x")
    assert isinstance(found, Ragged)
    assert found.values.tolist() == [np.inf, -np.inf]


@pytest.mark.parametrize(
    ("values", "column", "found"),
    [
        (pa.array([1, None]), INT, "1 null;"),
        (pa.array([1.5, 2.0]), INT, "fractions"),
        (pa.array([float("nan")]), INT, "non-finite"),
        (pa.array([1e300]), INT, "which other whole numbers round to"),
        (pa.array([2.0**53 + 2]), INT, "holds 9007199254740994 as float64"),
        (pa.array([-(2.0**53)]), INT, "-9007199254740992 as float64"),
        (pa.array([2.0**24], pa.float32()), INT, "16777216 as float32"),
        (pa.array([[1.0, 2.0**53]]), INTS, "so that different ids would be one"),
        (pa.array([Decimal(7)]), INT, "is decimal128.*; expected integers"),
        (pa.array([2**63], pa.uint64()), INT, "beyond int64"),
        (pa.array(["a"]), INT, "is string; expected integers"),
        (pa.array([[1]]), INT, "expected integers"),
        (pa.array([1]), INTS, "expected one array or list a row"),
        (pa.array([[1], None]), INTS, "1 null;"),
        (pa.array([[1, None]]), INTS, "1 null inside its arrays"),
        (pa.array([[0.5]]), INTS, "fractions"),
        (pa.array([["a"]]), FLOATS, "holds string; expected floats"),
    ],
)
def test_a_wrong_value_is_one_line_that_names_the_column(
    values: pa.Array, column: Column, found: str
) -> None:
    with pytest.raises(DataError, match=found) as caught:
        to_numpy(values, column, "train.parquet: item_seq")
    assert str(caught.value).startswith("train.parquet: item_seq")
    assert "\n" not in str(caught.value)


def _write_two(folder: Path, rows: int, **options: object) -> dict[str, list[object]]:
    columns: dict[str, list[object]] = {
        "user_id": [10 * i for i in range(rows)],
        "item_seq": [list(range(i % 4)) for i in range(rows)],
    }
    pq.write_table(pa.table(columns), folder / TWO.path, **options)
    return columns


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"row_group_size": 3},
        {"use_dictionary": True, "data_page_size": 16},
        {"use_dictionary": False, "compression": "gzip", "data_page_version": "2.0"},
        {"store_schema": False},
    ],
    ids=str,
)
@pytest.mark.parametrize("batch_rows", [2, 1000])
def test_batches_make_up_the_file_in_its_order_however_it_was_written(
    tmp_path: Path, options: dict[str, object], batch_rows: int
) -> None:
    columns = _write_two(tmp_path, 10, **options)
    batches = list(read_columns(tmp_path, TWO, TWO.column_names, batch_rows))
    users = [b["user_id"] for b in batches]
    assert max(len(u) for u in users) <= batch_rows
    assert np.concatenate([np.asarray(u) for u in users]).tolist() == columns["user_id"]
    whole = read_table(tmp_path, TWO, TWO.column_names)["item_seq"]
    assert isinstance(whole, Ragged)
    rows = np.split(whole.values, whole.offsets[1:-1])
    assert [r.tolist() for r in rows] == columns["item_seq"]


def test_a_file_of_more_rows_than_a_batch_is_put_together_in_its_order(tmp_path: Path) -> None:
    rows = BATCH_ROWS + 1000
    lengths = np.arange(rows) % 3
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32)
    values = np.arange(offsets[-1])
    lists = pa.ListArray.from_arrays(pa.array(offsets), pa.array(values))
    pq.write_table(pa.table({"user_id": np.arange(rows), "item_seq": lists}), tmp_path / TWO.path)
    found = read_table(tmp_path, TWO, TWO.column_names)
    whole = found["item_seq"]
    assert isinstance(whole, Ragged)
    np.testing.assert_array_equal(whole.values, values)
    np.testing.assert_array_equal(whole.offsets, offsets)
    np.testing.assert_array_equal(np.asarray(found["user_id"]), np.arange(rows))


@pytest.mark.parametrize("kind", ["int", "text", "ints", "floats"])
def test_a_file_of_no_rows_has_empty_columns_of_the_right_kind(
    tmp_path: Path, kind: ColumnKind
) -> None:
    file = File("none.parquet", (Column("x", kind),), 0, True)
    types = {"int": pa.int64(), "text": pa.string(), "ints": pa.list_(pa.int64())}
    written = types[kind] if kind in types else pa.list_(pa.float32(), 4)
    pq.write_table(pa.table({"x": pa.array([], written)}), tmp_path / file.path)
    found = read_table(tmp_path, file, ["x"])["x"]
    assert len(found) == 0
    assert isinstance(found, {"int": np.ndarray, "text": list}.get(kind, Ragged))


def _cut_off(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-200])


def _scrambled(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[4:300] = b"\xff" * 296
    path.write_bytes(content)


def _emptied(path: Path) -> None:
    path.write_bytes(b"")


def _no_parquet(path: Path) -> None:
    path.write_text("user_id,item_seq\n" * 10)


@pytest.mark.parametrize("damage", [_cut_off, _scrambled, _emptied, _no_parquet])
def test_a_damaged_file_is_one_line_that_says_download_it_again(
    tmp_path: Path, damage: Callable[[Path], None]
) -> None:
    _write_two(tmp_path, 1000, compression="none", use_dictionary=False)
    damage(tmp_path / TWO.path)
    with pytest.raises(DataError, match=r"two\.parquet .*download it again") as caught:
        read_table(tmp_path, TWO, TWO.column_names)
    assert "\n" not in str(caught.value)


def test_a_missing_and_a_doubled_column_are_named(tmp_path: Path) -> None:
    path = tmp_path / TWO.path
    pq.write_table(pa.table({"user_id": [1]}), path)
    with pytest.raises(DataError, match=r"lacks column item_seq; .* found user_id"):
        read_table(tmp_path, TWO, TWO.column_names)
    twice = [pa.array([1]), pa.array([1]), pa.array([[1]])]
    pq.write_table(pa.table(twice, names=["user_id", "user_id", "item_seq"]), path)
    with pytest.raises(DataError, match="holds column user_id twice"):
        read_table(tmp_path, TWO, TWO.column_names)


def test_vectors_of_ones_own_are_read_by_name(tmp_path: Path) -> None:
    path = tmp_path / "own.parquet"
    table = pa.table({"vector": [[1.0, 2.0], [3.0, 4.0]], "x": [0, 0], "item_id": [2.0, 1.0]})
    pq.write_table(table, path, row_group_size=1)
    ids, vectors = read_vectors(path, "item_id", "vector")
    assert ids.tolist() == [2, 1]
    assert vectors.dense().tolist() == [[1, 2], [3, 4]]
    with pytest.raises(DataError, match=r"own\.parquet lacks column id"):
        read_vectors(path, "id", "vector")
    _cut_off(path)
    with pytest.raises(DataError, match="not a readable parquet file"):
        read_vectors(path, "item_id", "vector")


def test_a_damaged_page_of_ones_own_vectors_is_one_line(tmp_path: Path) -> None:
    path = tmp_path / "own.parquet"
    table = pa.table({"item_id": range(500), "vector": [[1.0, 2.0]] * 500})
    pq.write_table(table, path, compression="none", use_dictionary=False)
    _scrambled(path)
    with pytest.raises(DataError, match="cannot be read to its end") as caught:
        read_vectors(path, "item_id", "vector")
    assert "\n" not in str(caught.value)


def test_a_missing_file_is_a_data_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="does not exist"):
        open_parquet(tmp_path / "x.parquet")


def test_no_folder_is_wrong_usage_and_a_folder_of_something_else_names_what_it_lacks(
    tmp_path: Path,
) -> None:
    with pytest.raises(UsageError, match="no data folder"):
        require_folder(tmp_path / "absent")
    with pytest.raises(DataError, match="lacks") as caught:
        require_folder(tmp_path)
    needed = [f.path for f in FILES.values() if f.needed]
    assert all(path in str(caught.value) for path in needed)
    for path in needed:
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).touch()
    assert require_folder(tmp_path) == tmp_path


def test_a_table_in_parts_is_named_as_one(tmp_path: Path) -> None:
    for file in (f for f in FILES.values() if f.needed):
        path = tmp_path / file.path
        path.parent.mkdir(exist_ok=True)
        path.touch()
    train = tmp_path / FILES["train"].path
    train.unlink()
    train.mkdir()
    with pytest.raises(DataError, match=r"train\.parquet' is a folder.* write the parts as one"):
        require_folder(tmp_path)


def test_a_path_that_is_no_utf_8_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "\udcff.parquet").touch()
    with pytest.raises(DataError, match="is not UTF-8") as caught:
        open_parquet(tmp_path / "\udcff.parquet")
    assert "\n" not in str(caught.value)
