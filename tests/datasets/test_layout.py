"""The writer of the challenge's layout: types, row groups, and the padding item."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from mmctr_kit.data.contract import FILES
from mmctr_kit.data.ragged import Ragged
from mmctr_kit.datasets.layout import write_file, write_items


def test_a_batch_is_a_row_group_and_columns_that_it_lacks_are_left_out(tmp_path: Path) -> None:
    lists = Ragged.of(np.array([7, 8, 9]), np.array([2, 1]))
    batches = [
        {"item_seq": lists, "user_id": np.array([1, 2])},
        {"item_seq": lists.take(np.array([0]))},
    ]
    batches[1]["user_id"] = np.array([3])
    write_file(tmp_path / "x.parquet", "item_seq", batches)
    file = pq.ParquetFile(tmp_path / "x.parquet")
    assert file.num_row_groups == 2
    assert file.read().to_pydict() == {"user_id": [1, 2, 3], "item_seq": [[7, 8], [9], [7, 8]]}
    write_file(tmp_path / "y.parquet", "item_seq", [{"user_id": np.array([1])}])
    assert pq.read_schema(tmp_path / "y.parquet").names == ["user_id"]


def test_item_files_agree_and_item_info_starts_with_the_padding_item(tmp_path: Path) -> None:
    (tmp_path / FILES["item_info"].path).parent.mkdir()
    tags = Ragged.of(np.array([3, 4, 5]), np.array([1, 0, 2]))
    given = np.arange(3 * 128, dtype=np.float32).reshape(3, 128)
    text = np.ones((3, 9), np.float32)
    write_items(tmp_path, {"item_tags": tags, "txt_emb_BERT": text}, {"v2": given}, "v2", 2)
    info, feature, emb = (
        pq.read_table(tmp_path / FILES[n].path) for n in ("item_info", "item_feature", "item_emb")
    )
    assert info["item_id"].to_pylist() == [0, 1, 2, 3]
    assert info["item_tags"].to_pylist()[:2] == [[0] * 5, [0, 0, 0, 0, 3]]
    assert not any(info["item_emb_d128"].to_pylist()[0])
    assert info["item_emb_d128"].to_pylist()[1:] == emb["item_emb_d128_v2"].to_pylist()
    assert info.schema.field("item_emb_d128").type == pa.list_(pa.float64(), 128)
    assert feature["item_tags"].to_pylist() == [[3], [], [4, 5]]
    assert feature.schema.field("txt_emb_BERT").type == pa.list_(pa.float32(), 9)
