"""Writes generated users and items: the challenge's files, and the truth.

Rows are written in batches, so memory does not grow with the number of rows.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from mmctr_kit.data.contract import FILES, MAX_HISTORY, SPLITS, Split
from mmctr_kit.data.ragged import Ragged
from mmctr_kit.datasets.layout import Columns, write_file
from mmctr_kit.datasets.synth.content import Content
from mmctr_kit.datasets.synth.presets import ROWS_PER_USER
from mmctr_kit.datasets.synth.users import Users
from mmctr_kit.metrics.ranks import Ints

BATCH_ROWS = 65_536

ORACLE_SCHEMA = pa.schema(
    [
        ("split", pa.dictionary(pa.int8(), pa.string())),
        *((name, pa.int64()) for name in ("user_id", "item_id", "occurrence", "ID")),
        *((name, pa.float64()) for name in ("log_odds", "group_log_odds")),
    ]
)
LABELS_SCHEMA = pa.schema([("ID", pa.int64()), ("label", pa.int64())])


@dataclass(frozen=True)
class FileRows:
    """One split as in its file: ``users`` with public ids, and the order of the rows.

    ``user_id`` (users,) int64; ``order`` (rows,) int64, the file's row i is row ``order[i]`` of
    ``users``.
    """

    users: Users
    user_id: Ints
    order: Ints


def write_rows(
    data: Path,
    truth: Path,
    splits: Mapping[Split, FileRows],
    item_id: Ints,
    content: Content,
    progress: Callable[[int], None],
) -> None:
    """train, valid and test under ``data``; the oracle and the test labels under ``truth``.

    ``item_id`` (n_items,) int64 maps the users' slots to ids; ``progress`` gets each batch's rows.
    """
    with (
        pq.ParquetWriter(truth / "oracle.parquet", ORACLE_SCHEMA) as oracle,
        pq.ParquetWriter(truth / "test_labels.parquet", LABELS_SCHEMA) as labels,
    ):

        def batches(split: Split) -> Iterator[Columns]:
            for batch in _row_batches(split, splits[split], item_id, content):
                yield batch
                _write(oracle, batch)
                if split == "test":
                    _write(labels, batch)
                progress(len(batch["user_id"]))

        for split in SPLITS:
            write_file(data / FILES[split].path, split, batches(split))


def write_sequences(data: Path, splits: Mapping[Split, FileRows], item_id: Ints) -> None:
    """item_seq.parquet: every user's history, users by id."""
    user_id = np.concatenate([s.user_id for s in splits.values()])
    histories = Ragged.concatenate([_histories(s.users, item_id) for s in splits.values()])
    order = np.argsort(user_id)
    parts = (order[low : low + BATCH_ROWS] for low in range(0, len(order), BATCH_ROWS))
    batches = ({"user_id": user_id[some], "item_seq": histories.take(some)} for some in parts)
    write_file(data / FILES["item_seq"].path, "item_seq", batches)


def _row_batches(split: Split, rows: FileRows, ids: Ints, content: Content) -> Iterator[Columns]:
    users = rows.users
    histories = _histories(users, ids)
    for low in range(0, len(rows.order), BATCH_ROWS):
        row = rows.order[low : low + BATCH_ROWS]
        user = row // ROWS_PER_USER
        item = ids[users.item[row]]
        yield {
            "split": pa.array(np.full(len(row), split)),
            "ID": np.arange(low, low + len(row)) if split == "test" else pa.nulls(len(row)),
            "user_id": rows.user_id[user],
            "item_seq": histories.take(user).padded(MAX_HISTORY),
            "item_id": item,
            "occurrence": np.zeros(len(row), np.int64),
            "likes_level": content.feature["likes_level"][item - 1],
            "views_level": content.feature["views_level"][item - 1],
            "label": users.label[row],
            "log_odds": users.log_odds[row],
            "group_log_odds": users.group_log_odds[row],
        }


def _histories(users: Users, item_id: Ints) -> Ragged[np.int64]:
    """One history a user, of public item ids."""
    return Ragged.of(item_id[users.history], users.length)


def _write(writer: pq.ParquetWriter, batch: Columns) -> None:
    columns = {name: batch[name] for name in writer.schema.names}
    writer.write_table(pa.table(columns, schema=writer.schema))
