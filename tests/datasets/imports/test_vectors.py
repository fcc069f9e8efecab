"""Ready vectors: their order, their items, and what does not fit."""

import re
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mmctr_kit.datasets.imports.spec import Table, Vectors
from mmctr_kit.datasets.imports.values import ItemIndex
from mmctr_kit.datasets.imports.vectors import read_vectors
from mmctr_kit.errors import DataError, MmctrKitError, UsageError
from mmctr_kit.metrics.ranks import Floats32, Ints

THREE = np.arange(12, dtype=np.float64).reshape(3, 4)


def read(
    folder: Path, names: list[str], order: Ints | None = None, **keys: object
) -> tuple[Floats32 | None, list[str]]:
    index = ItemIndex(pa.array(names, pa.large_string()), False)
    made = read_vectors(Vectors.model_validate(keys), folder, index, order)
    assert made.image is None
    return made.text, made.notes


def test_rows_are_in_the_order_of_numbers_of_the_items_table_or_of_ids(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", THREE)
    numbers, _ = read(tmp_path, ["2", "0"], text="x.npy")
    assert numbers is not None
    assert numbers.dtype == np.float32
    assert numbers.tolist() == THREE[[2, 0]].tolist()
    table, notes = read(tmp_path, ["a", "b", "c"], np.array([1, -1, 0]), text="x.npy")
    assert table is not None
    assert table.tolist() == [*THREE[[2, 0]].tolist(), [0.0] * 4]
    assert notes == ["1 item has no vector in x.npy; its text is zero"]
    (tmp_path / "ids.csv").write_text("item_id\nb\na\nz\n")
    ids = Table(files=("ids.csv",))
    listed, _ = read(tmp_path, ["a", "b"], np.array([0]), text="x.npy", ids=ids)
    assert listed is not None
    assert listed.tolist() == THREE[[1, 0]].tolist()


@pytest.mark.parametrize("kind", [pa.list_(pa.float64()), pa.list_(pa.float32(), 2)])
def test_a_parquet_file_has_vectors_by_id(tmp_path: Path, kind: pa.DataType) -> None:
    lists = pa.array([[1, 2], None, [3, 4]], kind)
    pq.write_table(pa.table({"item_id": [7, 8, 9], "v": lists}), tmp_path / "x.parquet")
    made, notes = read(tmp_path, ["9", "8", "7"], text="x.parquet")
    assert made is not None
    assert made.tolist() == [[3, 4], [0, 0], [1, 2]]
    assert len(notes) == 1


FAULTS = {
    "no file '.*y.npy'": ("y.npy", None),
    "is of shape (2,) and type float64": ("x.npy", np.ones(2)),
    "is of shape (2, 1) and type <U1": ("x.npy", np.array([["a"], ["b"]])),
    "is no readable .npy": ("x.npy", np.array([[None], [1]], object)),
    "has 1 row, but the log has item '1'; expected item ids from 0 to 0": (
        "x.npy",
        np.ones((1, 3)),
    ),
    "row 1 (from 0) of item '1' holds a value that is not finite": (
        "x.npy",
        np.array([[1.0], [np.nan]]),
    ),
    "row 0 (from 0) of item '0' holds a value": ("x.npy", np.array([[1e30], [1.0]])),
}


@pytest.mark.parametrize("message", FAULTS)
def test_a_file_that_does_not_fit_is_named_in_one_line(tmp_path: Path, message: str) -> None:
    name, values = FAULTS[message]
    if values is not None:
        np.save(tmp_path / name, values, allow_pickle=True)
    pattern = message if ".*" in message else re.escape(message)
    with pytest.raises(MmctrKitError, match=pattern) as raised:
        read(tmp_path, ["0", "1"], text=name)
    assert isinstance(raised.value, UsageError) == (values is None)
    assert "\n" not in str(raised.value)


def test_an_order_that_does_not_fit_is_named(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", THREE)
    with pytest.raises(DataError, match="has 3 rows, and the items table 2; expected a vector"):
        read(tmp_path, ["a"], np.array([0, -1]), text="x.npy")
    last, _ = read(tmp_path, ["a"], np.array([0, -1, 0]), text="x.npy")
    assert last is not None
    assert last.tolist() == [THREE[2].tolist()]
    (tmp_path / "ids.csv").write_text("item_id\na\nb\na\n")
    with pytest.raises(DataError, match=r"vectors\.ids has item 'a' twice"):
        read(tmp_path, ["a"], text="x.npy", ids=Table(files=("ids.csv",)))
    with pytest.raises(DataError, match="none of the log's items, such as 'a'"):
        read(tmp_path, ["a"], np.array([-1, -1, -1]), text="x.npy")


def test_a_parquet_file_with_other_columns_or_widths_is_named(tmp_path: Path) -> None:
    path = tmp_path / "x.parquet"
    pq.write_table(pa.table({"item_id": [1], "v": [[1.0]], "w": [[1.0]]}), path)
    with pytest.raises(DataError, match="has columns v, w beside item_id; expected one"):
        read(tmp_path, ["1"], text="x.parquet")
    pq.write_table(pa.table({"item_id": [1, 2], "v": [[1.0], [1.0, 2.0]]}), path)
    with pytest.raises(DataError, match="v has rows of 1 to 2 values; expected one length"):
        read(tmp_path, ["1", "2"], text="x.parquet")
    pq.write_table(pa.table({"item_id": [1, 1], "v": [[1.0], [2.0]]}), path)
    with pytest.raises(DataError, match="has item '1' twice"):
        read(tmp_path, ["1"], text="x.parquet")
    pq.write_table(pa.table({"item_id": [5], "v": [[1.0]]}), path)
    with pytest.raises(DataError, match="none of the log's items, such as '1'"):
        read(tmp_path, ["1"], text="x.parquet")
