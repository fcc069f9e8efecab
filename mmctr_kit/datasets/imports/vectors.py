"""Ready vectors of items: ``.npy`` files in an order, or parquet files by id."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from mmctr_kit.data.contract import Column
from mmctr_kit.data.load import MAX_SQUARED
from mmctr_kit.data.parquet import first_line, ragged, to_numpy
from mmctr_kit.datasets.imports.sources import Source, find_sources
from mmctr_kit.datasets.imports.spec import Table, Vectors
from mmctr_kit.datasets.imports.tables import header, read_batches
from mmctr_kit.datasets.imports.values import ItemIndex
from mmctr_kit.errors import DataError, UsageError, plural
from mmctr_kit.metrics.ranks import Floats32, Ints

_CHUNK = 1 << 14


@dataclass(frozen=True)
class ReadyVectors:
    """The ready vectors of items 1..n; row i is of item i + 1, zero if the file lacks the item.

    ``text`` and ``image`` (n, d) float32, None if the SPEC names none; ``notes`` are sentences.
    """

    text: Floats32 | None
    image: Floats32 | None
    notes: list[str]


def read_vectors(
    vectors: Vectors | None, folder: Path, index: ItemIndex, order: Ints | None
) -> ReadyVectors:
    """The vectors that the SPEC names, of the items of ``index``, in memory.

    ``order`` (rows,) is the position in ``index`` of the items table's rows, negative for other
    items; None without a table. Raises UsageError for a file that is absent, and DataError for one
    that does not fit: its rows, its items, or a value that is not finite.
    """
    if vectors is None:
        return ReadyVectors(None, None, [])
    made: dict[str, Floats32 | None] = {"text": None, "image": None}
    notes = []
    for name, path in (("text", vectors.text), ("image", vectors.image)):
        if path is None:
            continue
        file, key = folder / path, f"vectors.{name}"
        if not file.is_file():
            raise UsageError(f"{key}: no file '{file}'; expected a .npy or parquet file")
        if file.suffix == ".npy":
            values, row_of = _in_order(vectors, folder, file, index, order, key)
        else:
            values, row_of = _by_id(vectors, file, index, key)
        made[name] = _of_items(values, row_of, f"{key}: {file}", index)
        if missing := int((row_of < 0).sum()):
            number = plural(missing, "item has", "items have")
            notes.append(f"{number} no vector in {path}; its {name} is zero")
    return ReadyVectors(made["text"], made["image"], notes)


def _of_items(values: Any, row_of: Ints, where: str, index: ItemIndex) -> Floats32:
    """The rows of all items, checked; ``values`` (rows, d) may lie on the disk."""
    if (row_of < 0).all():
        raise DataError(
            f"{where} has none of the log's items, such as '{index.name(0)}'; expected their ids"
        )
    out = np.zeros((len(row_of), values.shape[1]), np.float32)
    known = np.flatnonzero(row_of >= 0)
    for start in range(0, len(known), _CHUNK):
        items = known[start : start + _CHUNK]
        with np.errstate(over="ignore"):  # beyond float32 is infinite, and refused below
            out[items] = values[row_of[items]]
        # NaN fails the comparison too.
        wrong = ~(np.abs(out[items]) <= MAX_SQUARED).all(axis=1)
        if wrong.any():
            item = int(items[wrong][0])
            raise DataError(
                f"{where}, row {row_of[item]} (from 0) of item '{index.name(item)}' holds a value "
                f"that is not finite, or beyond {MAX_SQUARED:.0e}; expected zeros if it is unknown"
            )
    return out


def _in_order(
    vectors: Vectors, folder: Path, file: Path, index: ItemIndex, order: Ints | None, key: str
) -> tuple[Any, Ints]:
    """A ``.npy`` and the row in it of each item."""
    try:
        values = np.load(file, mmap_mode="r", allow_pickle=False)
    except (ValueError, OSError, EOFError) as e:
        raise DataError(f"{key}: {file} is no readable .npy of numbers ({first_line(e)})") from e
    if values.ndim != 2 or not values.shape[1] or values.dtype.kind not in "fiu":
        raise DataError(
            f"{key}: {file} is of shape {values.shape} and type {values.dtype}; expected numbers "
            "of shape (items, d)"
        )
    if vectors.ids is None and order is None:
        return values, _numbered(index, len(values), f"{key}: {file}")
    what = "the items table" if vectors.ids is None else "vectors.ids"
    if vectors.ids is not None:
        order = _order_of(vectors.ids, folder, vectors.id, index)
    assert order is not None
    if len(order) != len(values):
        raise DataError(
            f"{key}: {file} has {plural(len(values), 'row')}, and {what} {len(order):,}; expected "
            "a vector for each row, in its order"
        )
    return values, _rows_of(order, index, "vectors.ids" if vectors.ids is not None else None)


def _numbered(index: ItemIndex, rows: int, where: str) -> Ints:
    """The rows of items whose ids are the rows' numbers."""
    expected = (
        f"expected item ids from 0 to {rows - 1:,}, the rows' numbers; else set vectors.ids, the "
        "table with an id for each row"
    )
    names = index.names()
    wrong = [n for n in names if not (n.isascii() and n.isdigit() and int(n) < rows)]
    if wrong:
        number = f"{where} has {plural(rows, 'row')}, but the log has item '{wrong[0]}'"
        raise DataError(f"{number}; {expected}")
    return np.array([int(n) for n in names], np.int64)


def _order_of(table: Table, folder: Path, column: str, index: ItemIndex) -> Ints:
    batches = read_batches(table, find_sources(table, folder, "vectors.ids.files"), [column])
    return np.concatenate([np.zeros(0, np.int64), *(index.find(b, column) for b in batches)])


def _rows_of(order: Ints, index: ItemIndex, unique: str | None) -> Ints:
    """The row of each item, -1 for none; ``order`` is the rows' items.

    Of several rows the last counts, as in the items table, unless a name in ``unique`` refuses it.
    """
    known = np.flatnonzero(order >= 0)
    row_of = np.full(len(index), -1)
    row_of[order[known]] = known
    if unique is not None and (row_of >= 0).sum() < len(known):
        twice = int(np.argmax(np.bincount(order[known])))
        raise DataError(f"{unique} has item '{index.name(twice)}' twice; expected it once")
    return row_of


def _by_id(vectors: Vectors, file: Path, index: ItemIndex, key: str) -> tuple[Any, Ints]:
    """The vectors of a parquet file, (rows, d), and the row of each item."""
    table, source = Table(files=(str(file),), format="parquet"), Source(file)
    column = _vector_column(table, source, vectors.id, key)
    parts, orders = [], []
    for batch in read_batches(table, [source], [vectors.id, column]):
        found = index.find(batch, vectors.id)
        kept = pc.and_(pa.array(found >= 0), pc.is_valid(batch.columns[column]))
        values = to_numpy(
            batch.columns[column].filter(kept), Column(column, "floats"), f"{file}: {column}"
        )
        parts.append(ragged(values))
        orders.append(found[np.asarray(kept)])
    order = np.concatenate([np.zeros(0, np.int64), *orders])
    if not len(order):
        return np.zeros((0, 1)), np.full(len(index), -1)
    try:
        widths = [part.dense() for part in parts if len(part)]
        return np.concatenate(widths), _rows_of(order, index, str(file))
    except ValueError as e:
        raise DataError(f"{key}: {file}: {column} has {first_line(e)}; expected one length") from e


def _vector_column(table: Table, source: Source, id_column: str, key: str) -> str:
    """The one column beside the id."""
    others = [name for name in header(table, source) if name != id_column]
    if len(others) != 1:
        raise DataError(
            f"{key}: {source} has columns {', '.join(others)} beside {id_column}; expected one of "
            "lists: write these two alone"
        )
    return others[0]
