"""Rows to predict that are not of the data folder: a parquet or CSV file in its columns.

They become the test split of a copy of the data, so that whatever predicts test predicts them.
"""

import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv

from mmctr_kit.data.contract import FILES, N_LEVELS, PAD
from mmctr_kit.data.dataset import ChallengeData, Rows
from mmctr_kit.data.hashing import among, distinct
from mmctr_kit.data.packing import deduplicate, zero_after_value
from mmctr_kit.data.parquet import first_line, ints, open_parquet, ragged, to_numpy, whole_column
from mmctr_kit.data.ragged import Ragged
from mmctr_kit.data.text_lines import place_of
from mmctr_kit.errors import DataError, UsageError, plural
from mmctr_kit.metrics.ranks import Ints, earlier_equals

SUFFIXES = (".parquet", ".csv")
"""What the name of a file of rows ends in."""

_COLUMNS = {column.name: column for column in FILES["test"].columns}
_NEEDED = ("user_id", "item_seq", "item_id", "likes_level", "views_level")
_HISTORY = r"^\s*\[?\s*(?:-?\d{1,18}[\s,]+)*(?:-?\d{1,18})?\s*\]?\s*$"
"""A history in a CSV file: numbers between commas or spaces, in brackets or not."""


@dataclass(frozen=True, eq=False)
class NewRows:
    """Rows of a file, as the test split of ``data``, which is otherwise the data folder's.

    ``ids`` (rows,) int64 are the file's column ID, None if it has none; ``order`` (rows,) is the
    file's row that each test row is: rows with IDs are in the order of these. Counts of rows:
    ``new_users``, whose user has no train row; ``new_items``, whose item is the target of no train
    row; ``without_history``; ``shortened``, whose histories lost ``left_out`` items in all, which
    item_info does not have.
    """

    data: ChallengeData
    ids: Ints | None
    order: Ints
    new_users: int
    new_items: int
    without_history: int
    shortened: int
    left_out: int

    def __len__(self) -> int:
        return len(self.order)


def read_rows(source: "Path | pa.Table", data: ChallengeData) -> NewRows:
    """The rows of a parquet or CSV file, or of a table, to be predicted from what ``data`` tells.

    The columns are the challenge's: user_id, item_seq, item_id, likes_level, views_level and, if
    wanted, ID; others are ignored. Histories are left-padded with 0 or not padded, the most recent
    item last; in a CSV file they are numbers between commas or spaces, in brackets or not, such as
    "[3, 17, 5]" (quoted, if it has commas) or 3 17 5. Items that item_info does not have are left
    out of them.

    Raises UsageError if there is no such file, DataError if it holds something else; also if the
    item of a row is not one of item_info's, since nothing tells what it is, or if rows share an ID.
    """
    where = _Where(source if isinstance(source, Path) else None)
    columns = _columns(source if isinstance(source, pa.Table) else _read(source), where)
    count = len(ints(columns["user_id"]))
    _require_known(columns, where, data.n_items)
    ids = ints(columns["ID"]) if "ID" in columns else None
    if ids is not None:
        _require_distinct(ids, where)
    order = np.arange(count) if ids is None else np.argsort(ids, kind="stable")
    user, item = (ints(columns[name])[order] for name in ("user_id", "item_id"))
    histories, lost = _histories(ragged(columns["item_seq"]), where, data.n_items)
    # The folder's come first and keep their numbers; a history that it has is found there.
    whole, index = deduplicate(Ragged.concatenate([data.histories, histories.take(order)]))
    rows = Rows(
        user_id=user,
        item_id=item.astype(np.int32),
        occurrence=earlier_equals(item, user).astype(np.int32),
        likes_level=ints(columns["likes_level"])[order].astype(np.int8),
        views_level=ints(columns["views_level"])[order].astype(np.int8),
        history=index[len(data.histories) :],
        label=None,
    )
    train = data.train
    return NewRows(
        data=replace(data, rows={**data.rows, "test": rows}, histories=whole),
        ids=ids,
        order=order,
        new_users=count - int(among(user, distinct(train.user_id)).sum()),
        new_items=count - int(among(item, distinct(train.item_id.astype(np.int64))).sum()),
        without_history=int((histories.lengths == 0).sum()),
        shortened=int((lost > 0).sum()),
        left_out=int(lost.sum()),
    )


@dataclass(frozen=True)
class _Where:
    """What errors call the rows: the ``file``, or a table in memory."""

    file: Path | None

    def __str__(self) -> str:
        return "the table of rows" if self.file is None else str(self.file)

    def row(self, index: int) -> str:
        """The place of a row: its line in a CSV file, else its number."""
        known = self.file and place_of(self.file, index)
        return f"{self}, {known or f'row {index + 1} (from 1)'}"


def require_rows_file(path: Path) -> None:
    """Raise UsageError unless there is a file of that name, and it ends as a file of rows does."""
    if not path.is_file():
        raise UsageError(f"no file of rows at '{path}'; expected parquet or CSV")
    if path.suffix.lower() not in SUFFIXES:
        raise UsageError(f"'{path}': expected a file that ends in {' or '.join(SUFFIXES)}")


def _read(path: Path) -> pa.Table:
    require_rows_file(path)
    try:
        if path.suffix.lower() == ".parquet":
            with open_parquet(path) as handle:
                names = [name for name in handle.schema_arrow.names if name in _COLUMNS]
                return handle.read(columns=names)
        _require_commas(path)
        return pacsv.read_csv(
            path,
            pacsv.ReadOptions(use_threads=False),  # else errors have no row
            parse_options=pacsv.ParseOptions(newlines_in_values=True),
            convert_options=pacsv.ConvertOptions(column_types={"item_seq": pa.string()}),
        )
    except (pa.ArrowException, OSError, UnicodeDecodeError) as e:
        why = _ROW.sub(lambda row: place_of(path, int(row[1]) - 2), first_line(e))
        if "Expected" in why and "columns, got" in why:
            why += "; put a history with commas into quotes, or use spaces"
        raise DataError(f"{path} cannot be read ({why})") from e


def _require_commas(path: Path) -> None:
    """Raise DataError if something else divides the names in a CSV file's header."""
    with path.open("rb") as file:
        header = file.readline(_HEADER_BYTES)
    other = next((s for s in (b";", b"\t", b"|") if s in header), None)
    if other is not None and b"," not in header:
        shown = "tabs" if other == b"\t" else f"'{other.decode()}'"
        raise DataError(f"{path}: the header has {shown} between columns; expected ','")


_HEADER_BYTES = 10_000
_ROW = re.compile(r"Row #(\d+)")
"""How Arrow numbers the records of a CSV file, from 1 with the header."""


def _columns(table: pa.Table, where: _Where) -> dict[str, Any]:
    """The challenge's columns of the table, as arrays."""
    present = table.column_names
    for name in _NEEDED:
        if present.count(name) != 1:
            fault = f"holds column {name} twice" if name in present else f"lacks column {name}"
            raise DataError(
                f"{where} {fault}; expected {', '.join(_NEEDED)} and perhaps ID, found "
                f"{', '.join(present) or 'none'}"
            )
    if not len(table):
        raise DataError(f"{where} has no rows; expected one for each score that is asked for")
    names = (*_NEEDED, "ID") if "ID" in present else _NEEDED
    arrays = {name: whole_column(table.column(name)) for name in names}
    histories = arrays["item_seq"]
    texts = pa.types.is_string(histories.type) or pa.types.is_large_string(histories.type)
    if texts and not histories.null_count:
        arrays["item_seq"] = _parsed(histories, where)
    for name, array in arrays.items():
        if name != "item_seq":
            _require_whole(name, array, where)
    return {n: to_numpy(array, _COLUMNS[n], f"{where}: {n}") for n, array in arrays.items()}


def _require_whole(name: str, array: pa.Array, where: _Where) -> None:
    """Raise DataError, with the row, for a cell that is no whole number."""
    whole = pc.is_valid(array)
    if pa.types.is_string(array.type) or pa.types.is_large_string(array.type):
        whole = pc.match_substring_regex(array, r"^\s*[-+]?[0-9]{1,18}\s*$")
    elif pa.types.is_floating(array.type):
        whole = pc.equal(pc.floor(array), array)
    wrong = np.flatnonzero(~np.asarray(pc.fill_null(whole, False)))
    if len(wrong):
        value = array[int(wrong[0])].as_py()
        found = "is empty" if value is None else f"is {str(value)[:40]!r}"
        raise DataError(f"{where.row(int(wrong[0]))}: {name} {found}; expected a whole number")


def _parsed(texts: pa.Array, where: _Where) -> pa.Array:
    """Histories (rows,) as lists of integers, from texts."""
    wrong = np.flatnonzero(~np.asarray(pc.match_substring_regex(texts, _HISTORY)))
    if len(wrong):
        text = str(texts[int(wrong[0])].as_py())
        raise DataError(
            f"{where.row(int(wrong[0]))}: item_seq is {text[:40]!r}; expected item ids between "
            'commas or spaces, such as "[3, 17, 5]"'
        )
    plain = pc.utf8_trim_whitespace(pc.replace_substring_regex(texts, r"[\[\],\s]+", " "))
    words = pc.split_pattern(plain, " ")
    some = pc.not_equal(plain, "")
    values = pc.cast(pc.list_flatten(pc.filter(words, some)), pa.int64())
    lengths = np.where(np.asarray(some), np.asarray(pc.list_value_length(words)), 0)
    return pa.ListArray.from_arrays(np.append(0, np.cumsum(lengths)).astype(np.int32), values)


def _histories(seq: Ragged[np.int64], where: _Where, n_items: int) -> tuple[Ragged[np.int32], Ints]:
    """The known items of each history, without padding, and how many others it had, (rows,)."""
    if zero_after_value(seq).any():
        row = int(np.flatnonzero(zero_after_value(seq))[0])
        raise DataError(
            f"{where.row(row)}: item_seq has padding (0) after an item; expected it on the left "
            "only, the most recent item last"
        )
    if len(negative := np.flatnonzero(seq.values < 0)):
        row, item = int(seq.rows[negative[0]]), seq.values[negative[0]]
        raise DataError(f"{where.row(row)}: item_seq holds item {item}; expected ids from 1 on")
    real = seq.values != PAD
    known = real & (seq.values <= n_items)
    items, left = (
        np.diff(np.concatenate([[0], np.cumsum(flags)])[seq.offsets]) for flags in (real, known)
    )
    return Ragged.of(seq.values[known].astype(np.int32), left), items - left


def _require_known(columns: dict[str, Any], where: _Where, n_items: int) -> None:
    """Raise DataError if a row's item or one of its levels is none."""
    item = ints(columns["item_id"])
    wrong = np.flatnonzero((item < 1) | (item > n_items))
    if len(wrong):
        raise DataError(
            f"{where.row(int(wrong[0]))}: item_id {item[wrong[0]]} is no item of item_info, which "
            f"has 1..{n_items:,}, so nothing tells what to score; leave such rows out "
            f"({plural(len(wrong), 'row')} of {len(item):,})"
        )
    for name in ("likes_level", "views_level"):
        level = ints(columns[name])
        if len(wrong := np.flatnonzero((level < 0) | (level >= N_LEVELS))):
            row, value = int(wrong[0]), level[wrong[0]]
            raise DataError(f"{where.row(row)}: {name} {value} is outside 0..{N_LEVELS - 1}")


def _require_distinct(ids: Ints, where: _Where) -> None:
    """Raise DataError if a row has the ID of a row before it."""
    again = np.flatnonzero(earlier_equals(ids))
    if len(again):
        rows = "1 row has the ID" if len(again) == 1 else f"{len(again):,} rows have the IDs"
        raise DataError(
            f"{where.row(int(again[0]))}: ID {ids[again[0]]} occurs before; expected each ID once, "
            f"but {rows} of earlier ones; leave such rows out, or leave out the column ID"
        )
