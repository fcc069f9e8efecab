"""Reads the tables of a SPEC in batches: CSV, JSON lines, parquet; also gzipped or in a zip."""

import codecs
import csv
import glob
import gzip
import io
import json
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.csv as pacsv
import pyarrow.parquet as pq

from mmctr_kit.data.parquet import first_line
from mmctr_kit.datasets.imports.spec import Table
from mmctr_kit.errors import DataError, UsageError, did_you_mean

BATCH_ROWS = 1 << 18
_JSON_ROWS = 1 << 15
_BLOCK = 16 << 20
_STAND_IN = b"\x1f"
"""Stands for a separator of several characters, which the CSV reader does not take."""
_SUFFIXES = {
    "csv": ".csv",
    "tsv": ".tsv .tab .txt .data .dat",
    "jsonl": ".jsonl .ndjson .json",
    "parquet": ".parquet .pq",
    "atomic": ".inter .item .user",
}
_FORMATS = {suffix: kind for kind, text in _SUFFIXES.items() for suffix in text.split()}

Read = Callable[[float], None]
"""Called with the share of a table's bytes that has been read, 0 to 1."""


@dataclass(frozen=True)
class Source:
    """A file of a table: a path, or ``member`` of the zip at the path."""

    path: Path
    member: str | None = None

    def __str__(self) -> str:
        return f"{self.path}:{self.member}" if self.member else str(self.path)

    @property
    def suffix(self) -> str:
        """The suffix of its name, without that of compression."""
        name = Path(self.member or self.path.name)
        return (name.with_suffix("") if name.suffix == ".gz" else name).suffix.lower()


@dataclass(frozen=True)
class Batch:
    """Consecutive rows of a file; the first has number ``first``, counted from 1 without a header.

    The columns of text tables and of JSON lines are texts, or lists of texts in JSON; those of
    parquet have the file's types.
    """

    source: Source
    first: int
    columns: dict[str, pa.Array]

    def __len__(self) -> int:
        return len(next(iter(self.columns.values())))

    def row(self, index: int) -> str:
        """The name of a row of the batch, for errors."""
        return f"{self.source}, row {self.first + index}"


def find_sources(table: Table, folder: Path, key: str) -> list[Source]:
    """The files of ``table``, which is ``key`` in the SPEC; UsageError if one is missing."""
    sources = []
    for pattern in table.files:
        archive, colon, member = pattern.partition(".zip:")
        pattern = f"{archive}.zip" if colon else pattern
        paths = sorted(glob.glob(str(folder / pattern)))
        if not paths:
            near = did_you_mean(Path(pattern).name, _neighbours((folder / pattern).parent))
            raise UsageError(f"{key}.files: no file '{folder / pattern}'{near}")
        sources += [s for path in paths for s in _members(Path(path), member or None)]
    return sources


def _neighbours(folder: Path) -> list[str]:
    return [p.name for p in folder.iterdir()] if folder.is_dir() else []


def _members(path: Path, member: str | None) -> list[Source]:
    if path.suffix.lower() != ".zip":
        return [Source(path)]
    try:
        with zipfile.ZipFile(path) as archive:
            names = [n for n in archive.namelist() if not n.endswith("/")]
    except (zipfile.BadZipFile, OSError) as e:
        raise DataError(f"{path} is not a readable zip ({first_line(e)}); download it again") from e
    if member is None and len(names) == 1:
        member = names[0]
    if member not in names:
        wanted = f"it lacks '{member}'{did_you_mean(member, names)}" if member else "name one"
        raise UsageError(f"{path} holds {', '.join(names[:5])}; {wanted}, as in {path.name}:NAME")
    return [Source(path, member)]


def header(table: Table, source: Source) -> list[str]:
    """The names of the columns of one file; of JSON lines those of its first 100 rows."""
    kind = format_of(table, source)
    with opened(source) as (_, file):
        if kind == "parquet":
            return list(_parquet(source, file).schema_arrow.names)
        if kind == "jsonl":
            rows = [row for (_, row), _ in zip(_json_rows(source, file), range(100), strict=False)]
            return list(dict.fromkeys(name for row in rows for name in row))
        if table.columns:
            return list(table.columns)
        line = file.readline().decode(_encoding(table, source), errors="replace")
    names = _split(
        line.removeprefix("\ufeff").rstrip("\r\n"), _separator(table, kind), table.quoting
    )
    return [n.partition(":")[0].strip() if kind == "atomic" else n.strip() for n in names]


def format_of(table: Table, source: Source) -> str:
    """``csv``, ``tsv``, ``jsonl``, ``parquet`` or ``atomic``; UsageError if the name tells none."""
    if table.format != "auto":
        return table.format
    if source.suffix not in _FORMATS:
        known = ", ".join(_FORMATS)
        raise UsageError(f"{source}: no table by its name; set format, or name it {known}")
    return _FORMATS[source.suffix]


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
            parts = {"parquet": _parquet_parts, "jsonl": _json_parts}.get(kind, _text_parts)
            first = 1
            for part in parts(table, source, file, wanted):
                batch = Batch(source, first, part)
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


@contextmanager
def opened(source: Source) -> Iterator[tuple[BinaryIO, BinaryIO]]:
    """The file on the disk, and its bytes without compression."""
    try:
        with source.path.open("rb") as raw:
            file: Any = raw
            if source.member:
                file = zipfile.ZipFile(raw).open(source.member)  # noqa: SIM115 (ends with raw)
            if file.peek(2)[:2] == b"\x1f\x8b":
                file = io.BufferedReader(gzip.GzipFile(fileobj=file))
            yield raw, file
    except (EOFError, zlib.error, zipfile.BadZipFile, gzip.BadGzipFile) as e:
        raise DataError(
            f"{source} cannot be read to its end ({first_line(e)}); download it again"
        ) from e


def _encoding(table: Table, source: Source) -> str:
    """UTF-8 if the whole file can be that, else Latin-1, unless the table says it."""
    if table.encoding != "auto":
        return table.encoding
    decoder = codecs.getincrementaldecoder("utf-8")()
    with opened(source) as (_, file):
        try:
            while block := file.read(_BLOCK):
                decoder.decode(block)
            decoder.decode(b"", final=True)
        except UnicodeDecodeError:
            return "latin-1"
    return "utf-8"


def _separator(table: Table, kind: str) -> str:
    return table.separator or ("," if kind == "csv" else "\t")


def _split(line: str, separator: str, quoting: bool) -> list[str]:
    if len(separator) > 1 or not quoting:
        return line.split(separator)
    return next(csv.reader([line], delimiter=separator), [])


class _Replaced(io.RawIOBase):
    """A stream in which ``old`` is one byte: the CSV reader takes no longer separator."""

    def __init__(self, file: BinaryIO, old: str) -> None:
        self._file, self._old, self._rest = file, old.encode(), b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        # Whole lines, so that no separator lies across two blocks.
        block = self._rest or self._file.read(len(buffer)) + self._file.readline()
        block = block.replace(self._old, _STAND_IN)
        now, self._rest = block[: len(buffer)], block[len(buffer) :]
        buffer[: len(now)] = now
        return len(now)


def _text_parts(
    table: Table, source: Source, file: BinaryIO, wanted: Sequence[str]
) -> Iterator[dict[str, pa.Array]]:
    kind = format_of(table, source)
    separator, names = _separator(table, kind), header(table, source)
    if len(separator) > 1:
        file, separator = io.BufferedReader(_Replaced(file, separator)), _STAND_IN.decode()
    quote = '"' if table.quoting and kind != "atomic" else False
    bad: list[Any] = []

    def keep(row: Any) -> str:
        bad.append(row)
        return "error"

    skipped = 0 if table.columns else 1
    try:
        reader = pacsv.open_csv(
            pa.PythonFile(file, "r"),
            pacsv.ReadOptions(
                use_threads=False,
                block_size=_BLOCK,
                column_names=names,
                skip_rows=skipped,
                encoding=_encoding(table, source),
            ),
            pacsv.ParseOptions(
                delimiter=separator,
                quote_char=quote,
                newlines_in_values=bool(quote),
                invalid_row_handler=keep,
            ),
            pacsv.ConvertOptions(
                column_types=dict.fromkeys(names, pa.large_string()),
                include_columns=list(wanted),
                strings_can_be_null=False,
                check_utf8=True,
            ),
        )
        for batch in reader:
            if len(batch):
                yield {name: batch.column(name) for name in wanted}
    except pa.ArrowInvalid as e:
        if bad:
            row, line = bad[0], str(bad[0].text)[:60]
            number = f", row {row.number - skipped}" if row.number else ""
            raise DataError(
                f"{source}{number}: expected {row.expected_columns} fields separated by "
                f"{separator!r}, found {row.actual_columns} in {line!r}"
            ) from e
        if "Empty CSV file" in str(e):
            raise DataError(f"{source} holds no row; expected one an interaction or item") from e
        raise DataError(f"{source} is no {kind} table ({first_line(e)})") from e


def _parquet(source: Source, file: BinaryIO) -> pq.ParquetFile:
    try:
        return pq.ParquetFile(io.BytesIO(file.read()) if source.member else source.path)
    except pa.ArrowException as e:
        raise DataError(f"{source} is no readable parquet file ({first_line(e)})") from e


def _parquet_parts(
    _table: Table, source: Source, file: BinaryIO, wanted: Sequence[str]
) -> Iterator[dict[str, pa.Array]]:
    with _parquet(source, file) as handle:
        try:
            for batch in handle.iter_batches(BATCH_ROWS, columns=list(wanted)):
                if len(batch):
                    yield {name: batch.column(name) for name in wanted}
        except (pa.ArrowException, OSError) as e:
            raise DataError(f"{source} cannot be read to its end ({first_line(e)})") from e


def _json_rows(source: Source, file: BinaryIO) -> Iterator[tuple[int, dict[str, Any]]]:
    """The number and the keys of every line that is not empty."""
    for number, line in enumerate(file, 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
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
