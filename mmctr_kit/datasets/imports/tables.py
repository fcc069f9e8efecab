"""Reads the tables of a SPEC in batches: CSV, JSON lines, parquet; also gzipped or in a zip."""

import io
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from mmctr_kit.data.parquet import first_line
from mmctr_kit.data.text_lines import line_of
from mmctr_kit.datasets.imports.sources import Source, format_of, opened
from mmctr_kit.datasets.imports.spec import Table
from mmctr_kit.datasets.imports.text_table import text_header, text_line, text_parts
from mmctr_kit.errors import DataError, did_you_mean

BATCH_ROWS = 1 << 18
_JSON_ROWS = 1 << 15

Read = Callable[[float], None]
"""Called with the share of a table's bytes that has been read, 0 to 1."""


@dataclass(frozen=True)
class Batch:
    """Consecutive rows of a file; the first has number ``first``, counted from 1 without a header.

    ``place`` names the place of a row of that number in the file.

    The columns of text tables and of JSON lines are texts, or lists of texts in JSON; those of
    parquet have the file's types.
    """

    source: Source
    first: int
    columns: dict[str, pa.Array]
    place: Callable[[int], str] = "row {}".format

    def __len__(self) -> int:
        return len(next(iter(self.columns.values())))

    def row(self, index: int) -> str:
        """The file and the place of a row of the batch, for errors."""
        return f"{self.source}, {self.place(self.first + index)}"


def place(table: Table, source: Source, row: int) -> str:
    """Where a row, from 1, is: the line of a text file, from 1, else the row's number."""
    kind = format_of(table, source)
    if kind == "parquet":
        return f"row {row} (from 1)"
    with opened(source) as (_, file):
        if kind == "jsonl":
            line = line_of((text.strip() for text in file), row, b"")
        else:
            line = text_line(table, source, file, row)
    return f"line {line}"


def header(table: Table, source: Source) -> list[str]:
    """The names of the columns of one file; of JSON lines those of its first 100 rows."""
    kind = format_of(table, source)
    if kind not in ("parquet", "jsonl"):
        return text_header(table, source)
    with opened(source) as (_, file):
        if kind == "parquet":
            return list(_parquet(source, file).schema_arrow.names)
        rows = [row for (_, row), _ in zip(_json_rows(source, file), range(100), strict=False)]
    return list(dict.fromkeys(name for row in rows for name in row))


def read_batches(
    table: Table, sources: Sequence[Source], columns: Sequence[str], read: Read = lambda _: None
) -> Iterator[Batch]:
    """The named columns of all files, in order, each name once.

    Raises DataError, with the file and row, for a column that is missing and for what cannot be
    read.
    """
    wanted = list(dict.fromkeys(columns))
    sizes = [source.path.stat().st_size for source in sources]
    done, total = 0, max(1, sum(sizes))
    for source, size in zip(sources, sizes, strict=True):
        kind = format_of(table, source)
        _require_columns(source, header(table, source), wanted)
        with opened(source) as (raw, file):
            parts = {"parquet": _parquet_parts, "jsonl": _json_parts}.get(kind, text_parts)
            first = 1
            for part in parts(table, source, file, wanted):
                batch = Batch(source, first, part, partial(place, table, source))
                yield batch
                first += len(batch)
                read(min(1.0, (done + min(size, raw.tell())) / total))
        done += size


def _require_columns(source: Source, present: Sequence[str], wanted: Sequence[str]) -> None:
    for name in wanted:
        if present.count(name) > 1:
            raise DataError(f"{source} has column {name} twice; expected it once")
        if name not in present:
            shown = ", ".join(present[:12]) or "nothing"
            hint = did_you_mean(name, present)
            raise DataError(f"{source} has no column '{name}'{hint}; its columns: {shown}")


def _parquet(source: Source, file: BinaryIO) -> pq.ParquetFile:
    try:
        return pq.ParquetFile(io.BytesIO(file.read()) if source.member else source.path)
    except (pa.ArrowException, UnicodeDecodeError) as e:
        raise DataError(f"{source} is no readable parquet file ({first_line(e)})") from e


def _parquet_parts(
    _table: Table, source: Source, file: BinaryIO, wanted: Sequence[str]
) -> Iterator[dict[str, pa.Array]]:
    with _parquet(source, file) as handle:
        try:
            for batch in handle.iter_batches(BATCH_ROWS, columns=list(wanted)):
                if len(batch):
                    yield {name: batch.column(name) for name in wanted}
        except (pa.ArrowException, OSError, UnicodeDecodeError) as e:
            raise DataError(f"{source} cannot be read to its end ({first_line(e)})") from e


def _json_rows(source: Source, file: BinaryIO) -> Iterator[tuple[int, dict[str, Any]]]:
    """The number and the keys of every line that is not empty."""
    for number, line in enumerate(file, 1):
        if not line.strip():
            continue
        try:
            # Floats as written, since they would round an id; NaN is null, as in parquet.
            row = json.loads(line, parse_float=str, parse_constant=lambda _: None)
        except ValueError as e:
            why = "the whole file is one list" if line.lstrip()[:1] == b"[" else first_line(e)
            raise DataError(
                f"{source}, line {number} is no JSON ({why}); expected an object a line"
            ) from e
        if not isinstance(row, dict):
            raise DataError(
                f"{source}, line {number}: expected an object in braces, found {line[:60]!r}"
            )
        yield number, row


def _json_parts(
    _table: Table, source: Source, file: BinaryIO, wanted: Sequence[str]
) -> Iterator[dict[str, pa.Array]]:
    rows = (row for _, row in _json_rows(source, file))
    while part := list(islice(rows, _JSON_ROWS)):
        yield {name: _json_column([row.get(name) for row in part]) for name in wanted}


def _json_column(values: list[Any]) -> pa.Array:
    """Texts, or lists of texts if one of the values is a list; null where a row has none."""
    if any(isinstance(v, list) for v in values):
        lists = [v if isinstance(v, list | None) else [v] for v in values]
        flat = [None if v is None else [_json_text(x) for x in _leaves(v)] for v in lists]
        return pa.array(flat, pa.large_list(pa.large_string()))
    return pa.array([None if v is None else _json_text(v) for v in values], pa.large_string())


def _leaves(value: Any) -> Iterator[Any]:
    """The values of lists in lists."""
    for part in value:
        yield from _leaves(part) if isinstance(part, list) else (part,)


def _json_text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)
