"""Writes generated users and items to parquet: the challenge's files, and the truth.

Column types come from the contract: an array column is a fixed-size list, a list column a list.
Rows are written in batches, so memory does not grow with the number of rows.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from mmctr_kit.data.contract import (
    FILES,
    GIVEN_DIM,
    GIVEN_EMBEDDINGS,
    MAX_HISTORY,
    MAX_TAGS,
    PAD,
    SPLITS,
    Column,
    Split,
)
from mmctr_kit.data.ragged import Ragged
from mmctr_kit.datasets.synth.content import Content
from mmctr_kit.datasets.synth.presets import ROWS_PER_USER
from mmctr_kit.datasets.synth.users import Users

BATCH_ROWS = 65_536
_ITEM_BATCH = 8_192
_DOUBLE = ("item_info", "item_emb_d128")
"""The one float column that the challenge stores as float64."""

ORACLE_SCHEMA = pa.schema(
    [
        ("split", pa.dictionary(pa.int8(), pa.string())),
        ("user_id", pa.int64()),
        ("item_id", pa.int64()),
        ("occurrence", pa.int64()),
        ("ID", pa.int64()),
        ("log_odds", pa.float64()),
        ("group_log_odds", pa.float64()),
    ]
)
LABELS_SCHEMA = pa.schema([("ID", pa.int64()), ("label", pa.int64())])

Columns = Mapping[str, Any]


@dataclass(frozen=True)
class FileRows:
    """One split as in its file: ``users`` with public ids, and the order of the rows.

    ``user_id`` (users,) int64; ``order`` (rows,) int64, the file's row i is row ``order[i]`` of
    ``users``.
    """

    users: Users
    user_id: NDArray[np.int64]
    order: NDArray[np.int64]


def write_rows(
    data: Path,
    truth: Path,
    splits: Mapping[Split, FileRows],
    item_id: NDArray[np.int64],
    content: Content,
    progress: Callable[[int], None],
) -> None:
    """train, valid and test under ``data``; the oracle and the test labels under ``truth``.

    ``item_id`` (n_items,) int64 maps the users' slots to ids; ``progress`` gets the rows done.
    """
    done = 0
    with (
        pq.ParquetWriter(truth / "oracle.parquet", ORACLE_SCHEMA) as oracle,
        pq.ParquetWriter(truth / "test_labels.parquet", LABELS_SCHEMA) as labels,
    ):
        for split in SPLITS:
            schema = contract_schema(split)
            with pq.ParquetWriter(data / FILES[split].path, schema) as writer:
                for batch in _row_batches(split, splits[split], item_id, content):
                    _write(writer, batch, schema)
                    _write(oracle, batch, ORACLE_SCHEMA)
                    if split == "test":
                        _write(labels, batch, LABELS_SCHEMA)
                    done += len(batch["user_id"])
                    progress(done)


def write_sequences(
    data: Path, splits: Mapping[Split, FileRows], item_id: NDArray[np.int64]
) -> None:
    """item_seq.parquet: every user's history, users by id."""
    user_id = np.concatenate([s.user_id for s in splits.values()])
    histories = Ragged.concatenate([_histories(s.users, item_id) for s in splits.values()])
    order = np.argsort(user_id)
    schema = contract_schema("item_seq")
    with pq.ParquetWriter(data / FILES["item_seq"].path, schema) as writer:
        for low in range(0, len(order), BATCH_ROWS):
            some = order[low : low + BATCH_ROWS]
            columns = {"user_id": user_id[some], "item_seq": histories.take(some)}
            _write(writer, columns, schema)


def write_items(data: Path, content: Content) -> None:
    """item_info, item_feature and item_emb, sorted by item_id; item_info starts with padding."""
    n = len(content.likes)
    tags = np.vstack([np.full((1, MAX_TAGS), PAD), content.tags.padded(MAX_TAGS)])
    embedding = np.vstack([np.zeros((1, GIVEN_DIM)), content.given["v3"]])
    info = {"item_id": np.arange(n + 1), "item_tags": tags, "item_emb_d128": embedding}
    feature = {
        "item_id": np.arange(1, n + 1),
        "item_title": content.titles,
        "item_tags": content.tags,
        "likes_level": content.likes,
        "views_level": content.views,
        "txt_emb_BERT": content.text,
        "img_emb_CLIPRN50": content.image,
    }
    given = {f"item_emb_d128_{v}": content.given[v] for v in GIVEN_EMBEDDINGS}
    tables: dict[str, Columns] = {
        "item_info": info,
        "item_feature": feature,
        "item_emb": {"item_id": np.arange(1, n + 1), **given},
    }
    for name, table in tables.items():
        schema = contract_schema(name)
        with pq.ParquetWriter(data / FILES[name].path, schema) as writer:
            for low in range(0, len(table["item_id"]), _ITEM_BATCH):
                part = slice(low, low + _ITEM_BATCH)
                _write(writer, {k: _part(v, part) for k, v in table.items()}, schema)


def contract_schema(name: str) -> pa.Schema:
    """The Arrow schema of one of the contract's files, with the challenge's own types."""
    return pa.schema([(c.name, _arrow_type(name, c)) for c in FILES[name].columns])


def _arrow_type(file: str, column: Column) -> pa.DataType:
    if column.kind == "text":
        return pa.string()
    if column.kind == "int":
        return pa.int64()
    real = pa.float64() if (file, column.name) == _DOUBLE else pa.float32()
    value = pa.int64() if column.kind == "ints" else real
    return pa.list_(value) if column.width is None else pa.list_(value, column.width)


def _row_batches(
    split: Split, rows: FileRows, item_id: NDArray[np.int64], content: Content
) -> Iterator[Columns]:
    users = rows.users
    histories = _histories(users, item_id)
    for low in range(0, len(rows.order), BATCH_ROWS):
        row = rows.order[low : low + BATCH_ROWS]
        user = row // ROWS_PER_USER
        item = item_id[users.item[row]]
        ids = np.arange(low, low + len(row))
        yield {
            "split": pa.array(np.full(len(row), split)),
            "ID": pa.array(ids) if split == "test" else pa.nulls(len(row), pa.int64()),
            "user_id": rows.user_id[user],
            "item_seq": histories.take(user).padded(MAX_HISTORY),
            "item_id": item,
            "occurrence": np.zeros(len(row), np.int64),
            "likes_level": content.likes[item - 1],
            "views_level": content.views[item - 1],
            "label": users.label[row],
            "log_odds": users.log_odds[row],
            "group_log_odds": users.group_log_odds[row],
        }


def _histories(users: Users, item_id: NDArray[np.int64]) -> Ragged[np.int64]:
    """One history a user, of public item ids."""
    return Ragged.of(item_id[users.history], users.length)


def _part(values: Any, part: slice) -> Any:
    if isinstance(values, Ragged):
        return values.take(np.arange(*part.indices(len(values))))
    return values[part]


def _write(writer: pq.ParquetWriter, table: Columns, schema: pa.Schema) -> None:
    arrays = [_arrow(table[f.name], f.type) for f in schema]
    writer.write_table(pa.Table.from_arrays(arrays, schema=schema))


def _arrow(values: Any, kind: pa.DataType) -> pa.Array:
    if isinstance(values, Ragged):
        flat = pa.array(values.values, kind.value_type)
        return pa.ListArray.from_arrays(pa.array(values.offsets, pa.int32()), flat)
    if isinstance(values, np.ndarray) and values.ndim == 2:
        flat = pa.array(np.ascontiguousarray(values).ravel(), kind.value_type)
        return pa.FixedSizeListArray.from_arrays(flat, kind.list_size)
    if isinstance(values, pa.Array):
        return values.cast(kind)
    return pa.array(values, kind)
