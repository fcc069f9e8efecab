"""The item table that a recipe asks for, by item id."""

import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mmctr_kit.challenge.contract import FILES, GIVEN_EMBEDDINGS, GivenEmbedding
from mmctr_kit.challenge.data import ChallengeData
from mmctr_kit.challenge.load import load
from mmctr_kit.errors import DataError, UsageError
from mmctr_kit.items.fusion import item_table, table_fingerprint
from mmctr_kit.recipe import Items


def test_item_info_is_its_own_embedding(tiny: ChallengeData) -> None:
    assert item_table(tiny, Items(embedding="item_info")) is tiny.item_emb


def test_none_is_a_table_without_columns(tiny: ChallengeData) -> None:
    table = item_table(tiny, Items(embedding="none"))
    assert table.shape == (tiny.n_items + 1, 0)
    assert table.dtype == np.float32


@pytest.mark.parametrize("name", GIVEN_EMBEDDINGS)
def test_a_given_embedding_stands_by_item_id_with_a_padding_row_of_zeros(
    tiny: ChallengeData, name: GivenEmbedding
) -> None:
    written = pq.read_table(tiny.folder / FILES["item_emb"].path)
    vectors = dict(
        zip(
            written.column("item_id").to_pylist(),
            written.column(f"item_emb_d128_{name}").to_pylist(),
            strict=True,
        )
    )
    table = item_table(tiny, Items(embedding=name))
    assert not table[0].any()
    for item in range(1, tiny.n_items + 1):
        np.testing.assert_array_equal(table[item], np.float32(vectors[item]))


def test_a_file_of_ones_own_stands_by_item_id(tiny: ChallengeData, tmp_path: Path) -> None:
    ids = np.arange(tiny.n_items, 0, -1)
    path = tmp_path / "own.parquet"
    pq.write_table(pa.table({"item_id": ids, "vector": [[float(i), -i] for i in ids]}), path)
    table = item_table(tiny, Items(embedding="file", file=str(path)))
    assert table[[0, 1, 300]].tolist() == [[0, 0], [1, -1], [300, -300]]


def test_what_is_not_there_is_one_line(tiny_root: Path, tmp_path: Path) -> None:
    folder = tmp_path / "data"
    shutil.copytree(tiny_root / "data", folder)
    (folder / FILES["item_emb"].path).unlink()
    data = load(folder)
    with pytest.raises(DataError, match="embedding 'e4' is not to be had; download it"):
        item_table(data, Items(embedding="e4"))
    with pytest.raises(UsageError, match="no item-embedding file"):
        item_table(data, Items(embedding="file", file=str(tmp_path / "absent.parquet")))


def test_the_fingerprint_is_of_values_and_shape() -> None:
    table = np.arange(12, dtype=np.float32).reshape(3, 4)
    assert table_fingerprint(table) == table_fingerprint(np.asfortranarray(table))
    changed = table.copy()
    changed[2, 3] = np.nextafter(np.float32(11), np.float32(12))
    others = (changed, table.reshape(4, 3), table[:, ::-1], table[:, :0])
    found = {table_fingerprint(t) for t in (table, *others)}
    assert len(found) == 5
