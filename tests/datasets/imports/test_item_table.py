"""The items table in any format, of which the last row of an item counts."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from hypothesis import given
from hypothesis import strategies as st

from mmctr_kit.datasets.imports.item_table import DESCRIPTION_CHARACTERS, read_items
from mmctr_kit.datasets.imports.spec import Items
from mmctr_kit.datasets.imports.values import ItemIndex

ids = st.lists(st.integers(0, 9), min_size=1, max_size=20)


@given(table=ids, log=st.sets(st.integers(0, 9), min_size=1))
def test_each_item_has_the_title_of_its_last_row(
    tmp_path_factory: object, table: list[int], log: set[int]
) -> None:
    folder = Path(tmp_path_factory.mktemp("items"))  # type: ignore[attr-defined]
    wanted = sorted(log)
    if not log & set(table):
        table = [*table, wanted[0]]
    titles = [f"t{row}" for row in range(len(table))]
    pq.write_table(
        pa.table({"id": pa.array(table, pa.float64()), "t": titles}), folder / "x.parquet"
    )
    index = ItemIndex(pa.array([str(i) for i in wanted], pa.large_string()), False)
    items = Items(files=("x.parquet",), id="id", title="t")
    known = read_items(items, folder, index, lambda _: None)
    last = dict(zip(table, titles, strict=True))
    assert known.titles.to_pylist() == [last.get(i, "") for i in wanted]
    assert known.order is not None
    assert known.order.tolist() == [wanted.index(i) if i in wanted else -1 for i in table]
    assert known.counts["rows_repeated"] == sum(i in log for i in table) - len(log & set(table))


def test_descriptions_in_lists_are_joined_and_long_ones_cut(tmp_path: Path) -> None:
    table = pa.table({"id": [1, 2, 3], "d": [["a", "b"], None, ["x" * 2000]], "y": [1999.0, 5, 2]})
    pq.write_table(table, tmp_path / "x.parquet")
    index = ItemIndex(pa.array(["1", "2", "3"], pa.large_string()), False)
    items = Items(files=("x.parquet",), id="id", description="d", year="y")
    known = read_items(items, tmp_path, index, lambda _: None)
    assert known.descriptions.to_pylist() == ["a b", "", "x" * DESCRIPTION_CHARACTERS]
    assert known.titles.to_pylist() == ["(1999)", "", ""]
    assert np.array_equal(known.tags.lengths, [0, 0, 0])
