"""Tags from lists, separated texts, texts of lists, and columns of 0 and 1."""

from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmctr_kit.datasets.imports.sources import Source
from mmctr_kit.datasets.imports.spec import Items
from mmctr_kit.datasets.imports.tables import Batch
from mmctr_kit.datasets.imports.tags import TagReader
from mmctr_kit.errors import DataError

TAGS = st.lists(st.lists(st.sampled_from(["a", "B", "Children's", "é", "none"]), max_size=4))


def read(columns: dict[str, pa.Array], rows: list[int] | None = None, **keys: object) -> list[set]:
    """The names of each row's tags."""
    batch = Batch(Source(Path("x.csv")), 1, columns)
    every = list(range(len(batch))) if rows is None else rows
    items = Items.model_validate({"files": ["x.csv"], "id": "id", "not_a_tag": ["none"], **keys})
    reader = TagReader(items)
    reader.add(batch, np.array(every, np.int64))
    tags, names = reader.finish(np.arange(len(every)))
    assert names == sorted(names)
    offsets = tags.offsets
    lists = [tags.values[a:b].tolist() for a, b in pairwise(offsets)]
    assert all(part == sorted(set(part)) for part in lists)
    assert {t for part in lists for t in part} == set(range(1, len(names) + 1))
    return [{names[t - 1] for t in part} for part in lists]


@given(TAGS)
def test_all_ways_to_write_tags_give_the_same_tags(tags: list[list[str]]) -> None:
    expected = [set(row) - {"none"} for row in tags]
    lists = pa.array(tags, pa.list_(pa.string()))
    assert read({"t": lists}, tags="t") == expected
    assert read({"t": lists.cast(pa.large_list(pa.large_string()))}, tags="t") == expected
    joined = pa.array([" :: ".join(row) for row in tags], pa.large_string())
    assert read({"t": joined}, tags="t", tags_separator="::") == expected
    written = pa.array([repr(row) for row in tags], pa.large_string())
    assert read({"t": written}, tags="t") == expected
    names = ["B", "Children's", "a", "é"]
    flags = {n: pa.array([str(int(n in row)) for row in tags], pa.large_string()) for n in names}
    assert read(flags, tag_flags=names) == expected


def test_a_text_without_separator_is_one_tag_and_nested_lists_are_flat() -> None:
    assert read({"t": pa.array(["Home, garden", None, ""])}, tags="t") == [
        {"Home, garden"},
        set(),
        set(),
    ]
    nested = pa.array([[["a", "b"], ["a"]], None, [[], None, [None, "c"]]])
    assert read({"t": nested}, tags="t") == [{"a", "b"}, set(), {"c"}]
    assert read({"t": pa.array([[3, 1], [], [1]])}, tags="t") == [{"1", "3"}, set(), {"1"}]
    assert read({"t": pa.array(["x", "y", "z"])}, rows=[2, 0], tags="t") == [{"z"}, {"x"}]


def test_a_flag_that_is_neither_0_nor_1_is_named_with_its_row() -> None:
    flags = pa.array(["0", "1", "2"])
    with pytest.raises(DataError, match=r"x.csv, row 3: red of items.tag_flags is '2'"):
        read({"red": flags}, tag_flags=["red"])
    assert read({"red": flags}, rows=[0, 1], tag_flags=["red"]) == [set(), {"red"}]
    assert read({"red": pa.array([1.0, 0.0, None])}, tag_flags=["red"]) == [{"red"}, set(), set()]


def test_structures_are_no_tags() -> None:
    with pytest.raises(DataError, match="column t: expected one value a row; found struct"):
        read({"t": pa.array([[{"name": "a"}]])}, tags="t")


def test_rows_that_are_not_wanted_in_the_end_leave_no_tag() -> None:
    reader = TagReader(Items(files=("x",), id="id", tags="t"))
    reader.add(Batch(Source(Path("x.csv")), 1, {"t": pa.array(["b", "a"])}), np.arange(2))
    tags, names = reader.finish(np.array([1, -1]))
    assert (tags.values.tolist(), tags.offsets.tolist(), names) == ([1], [0, 1, 1], ["a"])
