"""The catalog of an import's items: texts, tags and embeddings by new id, and what it counts."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mmctr_kit.data.contract import FILES
from mmctr_kit.datasets.imports.catalog import Catalog, read_catalog
from mmctr_kit.datasets.imports.load import parse_spec
from mmctr_kit.datasets.imports.spec import Spec
from mmctr_kit.datasets.layout import write_items
from mmctr_kit.errors import DataError

LOG = {"files": ["log.csv"], "user": "u", "item": "i"}


def spec_of(**blocks: Any) -> Spec:
    return parse_spec({"interactions": LOG, **blocks}, "spec.yaml")


def catalog_of(folder: Path, ids: list[str], **blocks: Any) -> Catalog:
    items = pa.array(ids, pa.large_string())
    return read_catalog(spec_of(**blocks), folder, items, np.ones(len(ids), np.int64))


ITEMS = {
    "files": ["items.csv"],
    "id": "id",
    "title": "name",
    "description": "text",
    "tags": "tags",
    "tags_separator": "|",
    "not_a_tag": ["none"],
}
TABLE = """id,name,text,tags
b,Red shoe (1999),,shoe|red
x,Not in the log,,other
a,old name,,
a,,"a red, small hat",red| hat |none
,no id,,
"""


def test_items_are_described_by_new_id_and_everything_left_out_is_counted(tmp_path: Path) -> None:
    (tmp_path / "items.csv").write_text(TABLE)
    catalog = catalog_of(tmp_path, ["a", "b", "c"], items=ITEMS)
    assert catalog.titles.to_pylist() == ["", "Red shoe (1999)", ""]
    assert catalog.tag_names == ["hat", "red", "shoe"]
    assert catalog.tags.padded(2).tolist() == [[1, 2], [2, 3], [0, 0]]
    assert catalog.text is not None
    assert np.linalg.norm(catalog.text, axis=1) == pytest.approx([1, 1, 0], abs=1e-6)
    assert catalog.text[0] @ catalog.text[1] > 0.1  # both are red
    assert catalog.counts == {
        "rows": 5,
        "rows_without_id": 1,
        "rows_not_in_log": 1,
        "rows_repeated": 1,
        "items_not_in_table": 1,
        "items_without_title": 2,
        "items_without_text": 1,
    }
    assert len(catalog.notes) == 6


def test_without_items_and_vectors_item_info_is_zeros_and_no_item_emb_is_written(
    tmp_path: Path,
) -> None:
    catalog = catalog_of(tmp_path, ["a", "b"])
    assert (catalog.text, catalog.image, catalog.notes) == (None, None, [])
    given, info = catalog.given(1)
    (tmp_path / FILES["item_info"].path).parent.mkdir()
    write_items(tmp_path, catalog.feature(), given, info, 2)
    table = pq.read_table(tmp_path / FILES["item_info"].path)
    assert table["item_id"].to_pylist() == [0, 1, 2]
    assert not np.stack(table["item_emb_d128"].to_numpy()).any()
    assert not (tmp_path / FILES["item_emb"].path).exists()
    assert pq.read_table(tmp_path / "item_feature.parquet")["item_title"].to_pylist() == ["", ""]


def test_words_are_v1_as_they_are_and_ready_vectors_are_reduced(tmp_path: Path) -> None:
    (tmp_path / "items.csv").write_text(TABLE)
    words = catalog_of(tmp_path, ["a", "b"], items=ITEMS)
    given, info = words.given(1)
    assert (list(given), info) == (["v1"], "v1")
    assert words.text is not None
    assert given["v1"].shape == (2, 128)
    assert (given["v1"][:, : words.text.shape[1]] == words.text).all()
    np.save(tmp_path / "x.npy", np.random.default_rng(0).standard_normal((5, 9)))
    both = catalog_of(tmp_path, ["a", "b"], items=ITEMS, vectors={"image": "x.npy"})
    given, info = both.given(1)
    assert (set(given), info) == ({"v1", "v2", "v3", "e4"}, "v3")
    assert set(both.feature()) == {"item_title", "item_tags", "txt_emb_BERT", "img_emb_CLIPRN50"}
    ready = catalog_of(tmp_path, ["a", "b"], items=ITEMS, vectors={"text": "x.npy"})
    assert ready.text is not None
    assert ready.text.shape == (2, 9)
    assert ready.given(1)[1] == "v1"


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ("id,name,text,tags\na ,x,,\n", "items.csv, line 2: id is 'a ', with blanks around it"),
        ("id,name,text,tags\nz,x,,\n", "no id is an item of the log; .* found 'z' here and 'a'"),
        ("id,title,text,tags\na,x,,\n", "has no column 'name'"),
    ],
)
def test_a_table_that_does_not_fit_is_named_in_one_line(
    tmp_path: Path, table: str, message: str
) -> None:
    (tmp_path / "items.csv").write_text(table)
    with pytest.raises(DataError, match=message):
        catalog_of(tmp_path, ["a"], items=ITEMS)


def test_strip_takes_blanks_from_around_ids(tmp_path: Path) -> None:
    (tmp_path / "items.csv").write_text("id,name,text,tags\n a ,x,,\n")
    stripped = {"interactions": {**LOG, "strip": True}, "items": ITEMS}
    assert catalog_of(tmp_path, ["a"], **stripped).titles.to_pylist() == ["x"]
