"""The file of vectors and its shards."""

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mmctr_kit.data.parquet import ENCODED
from mmctr_kit.embed.encode.file import faults_of, write_encoded, write_shard
from mmctr_kit.embed.encode.report import ItemFault
from mmctr_kit.errors import RunError

VECTORS = np.arange(6, dtype=np.float32).reshape(3, 2)


@pytest.fixture
def shards(tmp_path: Path) -> list[Path]:
    paths = [tmp_path / "0.parquet", tmp_path / "1.parquet"]
    write_shard(paths[0], range(1, 4), [3, 1], VECTORS[:2], [ItemFault(2, "grey", "2.jpg: grey")])
    write_shard(paths[1], range(4, 6), [5], VECTORS[2:], [ItemFault(4, "missing", "no file")])
    return paths


def test_vectors_are_keyed_by_item_id_and_missing_ones_are_null(
    shards: list[Path], tmp_path: Path
) -> None:
    out = tmp_path / "v.parquet"
    write_encoded(out, {"text": shards, "image": shards}, {"text": {"encoder": "x"}})
    table = pq.read_table(out)
    assert table.schema.field("item_id").type == pa.int64()
    assert table.schema.names == ["item_id", "text", "image"]
    for name in ("text", "image"):
        kind = table.schema.field(name).type
        assert (kind.list_size, kind.value_type) == (2, pa.float32())
        assert table.column(name).to_pylist() == [[2, 3], None, [0, 1], None, [4, 5]]
    assert table.column("item_id").to_pylist() == [1, 2, 3, 4, 5]
    assert json.loads(table.schema.metadata[ENCODED.encode()]) == {"text": {"encoder": "x"}}


def test_the_same_shards_give_the_same_bytes(shards: list[Path], tmp_path: Path) -> None:
    for name in ("a", "b"):
        write_encoded(tmp_path / name, {"text": shards}, {"b": 1, "a": 2})
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_a_shard_may_have_no_vector_at_all(shards: list[Path], tmp_path: Path) -> None:
    faults = [ItemFault(i, "missing", "no file") for i in (6, 7)]
    write_shard(tmp_path / "2.parquet", range(6, 8), [], np.zeros((0, 2), np.float32), faults)
    write_encoded(tmp_path / "v", {"text": [*shards, tmp_path / "2.parquet"]}, {})
    assert pq.read_table(tmp_path / "v").column("text").to_pylist()[5:] == [None, None]


def test_the_faults_of_all_shards_come_in_order(shards: list[Path]) -> None:
    assert list(faults_of(shards)) == [
        ItemFault(2, "grey", "2.jpg: grey"),
        ItemFault(4, "missing", "no file"),
    ]


def test_a_damaged_shard_is_one_line(shards: list[Path], tmp_path: Path) -> None:
    shards[1].write_bytes(b"PAR1")
    with pytest.raises(RunError, match="not readable; delete it and give the command again"):
        write_encoded(tmp_path / "v.parquet", {"text": shards}, {})
    assert not (tmp_path / "v.parquet").exists()
