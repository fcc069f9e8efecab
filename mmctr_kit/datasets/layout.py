"""Writes parquet files of the challenge's layout, with the contract's columns and types."""

from collections.abc import Iterable, Iterator, Mapping
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from mmctr_kit.data.contract import FILES, GIVEN_DIM, MAX_TAGS, GivenEmbedding
from mmctr_kit.data.ragged import Ragged
from mmctr_kit.metrics.ranks import Floats32

Columns = Mapping[str, Any]
"""Columns by name: (rows,) arrays, NumPy's or Arrow's, or lists; (rows, width) arrays; a Ragged."""

_TYPES = {"text": pa.string(), "int": pa.int64(), "ints": pa.int64(), "floats": pa.float32()}
_DOUBLE = "item_emb_d128"
"""The one float column that the challenge stores as float64."""


def write_file(path: Path, name: str, batches: Iterable[Columns]) -> None:
    """Write the file ``name`` of the contract to ``path``, one row group a batch.

    A two-dimensional array becomes a column of fixed-size lists, a Ragged one of lists. Columns
    that the batches lack are left out; there must be at least one batch.
    """
    tables = (_table(name, batch) for batch in batches)
    first = next(tables)
    with pq.ParquetWriter(path, first.schema) as writer:
        for table in chain([first], tables):
            writer.write_table(table)


def write_items(
    data: Path,
    feature: Columns,
    given: Mapping[GivenEmbedding, Floats32],
    info: GivenEmbedding | None,
    batch_rows: int,
) -> None:
    """item_info, item_feature and item_emb of items 1..n; item_info starts with the padding item.

    ``feature``: the columns of item_feature but item_id; ``given``: (n, 128) by its name, of which
    item_info shows the one named ``info``. With None its embedding is zero; without any given
    embedding there is no item_emb.
    """
    tags: Ragged[np.int64] = feature["item_tags"]
    rows = len(tags)
    shown = (
        given[info] if info else np.broadcast_to(np.zeros(GIVEN_DIM, np.float32), (rows, GIVEN_DIM))
    )
    tables: dict[str, Columns] = {
        "item_info": {"item_tags": tags, "item_emb_d128": shown},
        "item_feature": feature,
        "item_emb": {f"item_emb_d128_{v}": x for v, x in given.items()},
    }
    for name, table in tables.items():
        if table:
            write_file(data / FILES[name].path, name, _item_batches(name, table, rows, batch_rows))


def _item_batches(name: str, table: Columns, rows: int, batch_rows: int) -> Iterator[Columns]:
    """``table`` (rows,) with its item ids; item_info begins with the padding item, all zero."""
    wide = name == "item_info"
    for low in range(0, rows, batch_rows):
        part = slice(low, min(low + batch_rows, rows))
        batch = {k: _part(v, part) for k, v in table.items()}
        batch["item_id"] = np.arange(part.start + 1, part.stop + 1)
        if wide:
            batch["item_tags"] = batch["item_tags"].padded(MAX_TAGS)
            if low == 0:
                batch = {k: np.pad(v, ((1, 0), (0, 0))[: v.ndim]) for k, v in batch.items()}
        yield batch


def _part(values: Any, part: slice) -> Any:
    if isinstance(values, Ragged):
        return values.take(np.arange(*part.indices(len(values))))
    return values[part]


def _table(name: str, columns: Columns) -> pa.Table:
    contract = (c for c in FILES[name].columns if c.name in columns)
    kinds = {c.name: pa.float64() if c.name == _DOUBLE else _TYPES[c.kind] for c in contract}
    return pa.table({name: _arrow(columns[name], kind) for name, kind in kinds.items()})


def _arrow(values: Any, kind: pa.DataType) -> pa.Array:
    if isinstance(values, pa.Array):
        return values.cast(kind)
    if isinstance(values, Ragged):
        offsets = pa.array(values.offsets, pa.int32())
        return pa.ListArray.from_arrays(offsets, pa.array(values.values, kind))
    if isinstance(values, np.ndarray) and values.ndim == 2:
        return pa.FixedSizeListArray.from_arrays(pa.array(values.ravel(), kind), values.shape[1])
    return pa.array(values, kind)
