"""Reads the items table of a SPEC: the rows that are of an item of the log."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from mmctr_kit.data.ragged import Ragged
from mmctr_kit.datasets.imports.sources import find_sources
from mmctr_kit.datasets.imports.spec import Items
from mmctr_kit.datasets.imports.tables import Batch, Read, read_batches
from mmctr_kit.datasets.imports.tags import TagReader
from mmctr_kit.datasets.imports.text import shown_titles
from mmctr_kit.datasets.imports.values import NO_ID, UNKNOWN, ItemIndex, texts_of
from mmctr_kit.errors import DataError
from mmctr_kit.metrics.ranks import Ints

DESCRIPTION_CHARACTERS = 500
"""A description counts up to here: 80 words or so, which bounds time and memory."""


@dataclass(frozen=True)
class KnownItems:
    """What the items table says of items 1..n; row i is of item i + 1.

    ``titles`` (n,) large_string as ``shown_titles`` makes them and ``descriptions`` (n,), "" if
    unknown; ``tags`` ascending tag ids from 1, whose names are ``tag_names``. ``order`` (rows of
    the table,) the position of each row's item, or UNKNOWN or NO_ID; None without a table.
    """

    titles: pa.LargeStringArray
    descriptions: pa.LargeStringArray
    tags: Ragged[np.int64]
    tag_names: list[str]
    order: Ints | None
    counts: Mapping[str, int]


def read_items(items: Items | None, folder: Path, index: ItemIndex, listen: Read) -> KnownItems:
    """The items table, of which the last row with an id counts.

    Raises DataError if no row is of an item of ``index``, and for values that cannot be read.
    """
    n = len(index)
    if items is None:
        empty = pa.array([""] * n, pa.large_string())
        no_tags = Ragged(np.zeros(0, np.int64), np.zeros(n + 1, np.int64))
        return KnownItems(empty, empty, no_tags, [], None, {})
    sources = find_sources(items, folder, "items.files")
    columns = [items.id, *_described(items), *items.tag_flags]
    order, titles, descriptions, tags, first = [], [], [], TagReader(items), ""
    for batch in read_batches(items, sources, columns, listen):
        found = index.find(batch, items.id)
        rows = np.flatnonzero(found >= 0)
        first = first or str(texts_of(batch, items.id)[0])
        order.append(found)
        titles.append(_titles(items, batch, rows))
        descriptions.append(_descriptions(items, batch, rows))
        tags.add(batch, rows)
    positions = np.concatenate([np.zeros(0, np.int64), *order])
    known = positions[positions >= 0]
    if not len(known):
        where = ", ".join(str(source) for source in sources)
        raise DataError(
            f"{where}: no {items.id} is an item of the log; expected the same ids, found "
            f"'{first}' here and '{index.name(0)}' there"
        )
    row_of = np.full(n, -1)
    row_of[known] = np.arange(len(known))
    of_items, names = tags.finish(row_of)
    counts = {
        "rows": len(positions),
        "rows_without_id": int((positions == NO_ID).sum()),
        "rows_not_in_log": int((positions == UNKNOWN).sum()),
        "rows_repeated": len(known) - int((row_of >= 0).sum()),
        "items_not_in_table": int((row_of < 0).sum()),
    }
    shown, described = _by_item(titles, row_of), _by_item(descriptions, row_of)
    return KnownItems(shown, described, of_items, names, positions, counts)


def _described(items: Items) -> Iterator[str]:
    return (c for c in (items.title, items.description, items.tags, items.year) if c)


def _titles(items: Items, batch: Batch, rows: Ints) -> pa.Array:
    return shown_titles(_texts(batch, items.title, rows), _texts(batch, items.year, rows))


def _descriptions(items: Items, batch: Batch, rows: Ints) -> pa.Array:
    return pc.utf8_slice_codeunits(
        _texts(batch, items.description, rows), 0, DESCRIPTION_CHARACTERS
    )


def _texts(batch: Batch, column: str | None, rows: Ints) -> pa.Array:
    """A column's texts in these rows, "" if null; a list is its texts with blanks between."""
    if column is None:
        return pa.array([""] * len(rows), pa.large_string())
    values = batch.columns[column].take(pa.array(rows))
    if pa.types.is_list(values.type) or pa.types.is_large_list(values.type):
        joined = pc.binary_join(pc.cast(values, pa.list_(pa.string())), " ")
        return pc.fill_null(joined, "").cast(pa.large_string())
    return pc.fill_null(texts_of(batch, column).take(pa.array(rows)), "")


def _by_item(parts: list[pa.Array], row_of: Ints) -> pa.LargeStringArray:
    """(items,) the texts of these rows, "" for -1."""
    every = pa.concat_arrays([*parts, pa.array([""], pa.large_string())])
    return every.take(pa.array(np.where(row_of < 0, len(every) - 1, row_of)))
