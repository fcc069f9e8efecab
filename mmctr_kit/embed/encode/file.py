"""The file of encoded vectors, and the shards that it is put together from."""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from mmctr_kit.data.contract import Modality
from mmctr_kit.data.parquet import ENCODED
from mmctr_kit.embed.encode.report import ItemFault
from mmctr_kit.errors import RunError
from mmctr_kit.files import regular, write_whole
from mmctr_kit.metrics.ranks import Floats32


def write_shard(
    path: Path, ids: range, encoded: Sequence[int], vectors: Floats32, faults: Sequence[ItemFault]
) -> None:
    """Write the items ``ids``: those ``encoded`` have ``vectors`` (n, d), others a fault."""
    position = {item: row for row, item in enumerate(encoded)}
    why = {fault.item_id: fault for fault in faults}
    values = np.zeros((len(ids), vectors.shape[1]), np.float32)
    absent = np.array([item not in position for item in ids])
    values[~absent] = vectors[[position[item] for item in ids if item in position]]
    lists = pa.FixedSizeListArray.from_arrays(
        pa.array(values.reshape(-1)), values.shape[1], mask=pa.array(absent)
    )
    columns = {
        "item_id": pa.array(ids, pa.int64()),
        "vector": lists,
        "kind": pa.array([why[i].kind if i in why else None for i in ids], pa.string()),
        "text": pa.array([why[i].text if i in why else None for i in ids], pa.string()),
    }
    write_whole(path, lambda p: pq.write_table(pa.table(columns), p))


def read_shard(path: Path) -> pa.Table:
    """Read a shard; RunError if it is damaged."""
    try:
        return pq.read_table(regular(path))
    except (OSError, pa.ArrowException, UnicodeError) as e:
        raise RunError(f"{path} is not readable; delete it and give the command again") from e


def faults_of(shards: Sequence[Path]) -> Iterator[ItemFault]:
    """The faults of all shards, in the order of item_ids."""
    for path in shards:
        faulty = read_shard(path).select(["item_id", "kind", "text"]).to_pylist()
        yield from (ItemFault(**row) for row in faulty if row["kind"] is not None)


def write_encoded(
    path: Path, shards: Mapping[Modality, Sequence[Path]], metadata: Mapping[str, Any]
) -> None:
    """Write item_id (int64, ascending) and a column for each modality, from its shards.

    A column is a list<float32> of fixed size, NULL for an item without a vector. One shard of each
    modality is in memory at a time.
    """
    said = {ENCODED: json.dumps(metadata, sort_keys=True)}

    def write(to: Path) -> None:
        writer = None
        try:
            for parts in zip(*shards.values(), strict=True):
                tables = [read_shard(part) for part in parts]
                columns = {"item_id": tables[0].column("item_id")}
                columns |= {
                    name: table.column("vector") for name, table in zip(shards, tables, strict=True)
                }
                table = pa.table(columns).replace_schema_metadata(said)
                writer = writer or pq.ParquetWriter(to, table.schema)
                writer.write_table(table)
        finally:
            if writer is not None:
                writer.close()

    write_whole(path, write)


def encoders_of(path: Path) -> dict[str, dict[str, Any]]:
    """What a file's metadata says of the encoder of each column; empty if it says nothing."""
    try:
        said = (pq.read_schema(path).metadata or {}).get(ENCODED.encode(), b"{}")
        return dict(json.loads(said))
    except (OSError, pa.ArrowException, ValueError):
        return {}
