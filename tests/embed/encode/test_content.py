"""What there is to encode of each item."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mmctr_kit.embed.encode.content import read_content
from mmctr_kit.errors import DataError, UsageError


def rewritten(root: Path, to: Path, **columns: object) -> Path:
    """The tiny data folder with another item_feature."""
    to.mkdir()
    for entry in (root / "data").iterdir():
        if entry.name != "item_feature.parquet":
            (to / entry.name).symlink_to(entry)
    if columns:
        pq.write_table(pa.table(columns), to / "item_feature.parquet")
    return to


def test_titles_are_keyed_by_item_id_and_pictures_belong_to_items(
    pictured: Path, tmp_path: Path, tiny_root: Path
) -> None:
    content = read_content(pictured, text=True, image=True)
    table = pq.read_table(pictured / "item_feature.parquet", columns=["item_id", "item_title"])
    titles = dict(zip(*(column.to_pylist() for column in table.columns), strict=True))
    assert content.n_items == 300
    assert all(content.title(item) == " ".join(title.split()) for item, title in titles.items())
    assert len(content.pictures) == 294
    assert content.pictures[3].name == "3.jpg"
    folder = rewritten(tiny_root, tmp_path / "d", item_id=[5, 2], item_title=[" b\n c", None])
    other = read_content(folder, text=True, image=False)
    assert [i for i in range(1, 301) if other.title(i)] == [5]
    assert other.title(5) == "b c"


def test_names_of_tags_follow_a_title_that_is_not_empty(tiny_root: Path, tmp_path: Path) -> None:
    folder = rewritten(
        tiny_root,
        tmp_path / "d",
        item_id=[1, 2, 3],
        item_title=["Heat", "", "Up"],
        item_tags=[[4, 9], [4], []],
    )
    names = tmp_path / "tags.csv"
    names.write_text("tag_id,name\n4,crime\n5,war\n")
    content = read_content(folder, True, False, names)
    assert content.titles[:3] == ("Heat. crime", "", "Up")


FAULTS = [
    ({}, "has no item_feature.parquet"),
    ({"item_id": [0], "item_title": ["a"]}, "outside 1..300"),
    ({"item_id": [1, 1], "item_title": ["a", "b"]}, "several rows of one item_id"),
    ({"item_id": [1, 2], "item_title": ["", " "]}, "all 2 titles .* are empty"),
]


@pytest.mark.parametrize(("columns", "said"), FAULTS, ids=lambda v: str(v)[:20])
def test_a_folder_without_titles_is_one_line(
    columns: dict[str, object], said: str, tiny_root: Path, tmp_path: Path
) -> None:
    with pytest.raises(DataError, match=said):
        read_content(rewritten(tiny_root, tmp_path / "d", **columns), True, False)


def test_a_folder_without_pictures_is_one_line(tiny_root: Path) -> None:
    with pytest.raises(DataError, match=r"has no pictures of its items; expected item_images/1"):
        read_content(tiny_root / "data", False, True)


def test_a_file_of_tag_names_is_there_and_has_its_columns(tiny_root: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no file of tag names"):
        read_content(tiny_root / "data", True, False, tmp_path / "no.csv")
    (tmp_path / "tags.csv").write_text("id,name\n1,a\n")
    with pytest.raises(DataError, match="expected a CSV with tag_id,name"):
        read_content(tiny_root / "data", True, False, tmp_path / "tags.csv")


def test_the_digests_follow_titles_and_files(pictured: Path, tiny_root: Path) -> None:
    first = read_content(pictured, True, True).digests()
    assert first == read_content(pictured, True, True).digests()
    without = read_content(tiny_root / "data", True, False).digests()
    assert [name for name in first if first[name] != without[name]] == ["pictures"]
    np.testing.assert_equal(first["items"], 300)
