"""Text tables, CSV and its kin: the header, and the columns in batches of texts."""

import codecs
import csv
import io
import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.csv as pacsv

from mmctr_kit.data.parquet import first_line
from mmctr_kit.data.text_lines import line_of
from mmctr_kit.datasets.imports.sources import Source, format_of, opened
from mmctr_kit.datasets.imports.spec import Table
from mmctr_kit.errors import DataError

_BLOCK = 16 << 20
_UNEVEN = re.compile(r"Row #(\d+): Expected (\d+) columns, got (\d+): (.*)")
"""What Arrow says of a record that has too many fields or too few; a header is a record."""
_STAND_IN = b"\x1f"
"""Stands for a separator of several characters, which the CSV reader does not take."""


def text_header(table: Table, source: Source) -> list[str]:
    """The names of the columns; those of RecBole's atomic files without their types."""
    if table.columns:
        return list(table.columns)
    kind = format_of(table, source)
    with opened(source) as (_, file):
        line = file.readline()
    if line.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise DataError(f"{source} is in UTF-16; save it as UTF-8 (iconv -f utf-16 -t utf-8)")
    try:
        text = line.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = line.decode("latin-1")
    separator = _separator(table, kind)
    if _quote(table, kind):
        try:
            names = next(csv.reader([text.rstrip("\r\n")], delimiter=separator), [])
        except csv.Error as e:
            raise DataError(f"{source}: its first line is no header of a table ({e})") from e
    else:
        names = text.rstrip("\r\n").split(separator)
    return [n.partition(":")[0].strip() if kind == "atomic" else n.strip() for n in names]


def text_parts(
    table: Table, source: Source, file: BinaryIO, wanted: Sequence[str]
) -> Iterator[dict[str, pa.Array]]:
    """The columns of an opened text table, part after part; DataError, with row, for a fault."""
    kind, names = format_of(table, source), text_header(table, source)
    separator, quote = _separator(table, kind), _quote(table, kind)
    stream = _Stream(file, separator)
    if len(separator) > 1:
        separator = _STAND_IN.decode()
    skipped, reader = 0 if table.columns else 1, None
    try:
        reader = pacsv.open_csv(
            pa.PythonFile(io.BufferedReader(stream, _BLOCK), "r"),
            pacsv.ReadOptions(
                use_threads=False,
                block_size=_BLOCK,
                column_names=names,
                skip_rows=skipped,
                encoding=_encoding(table, source),
            ),
            pacsv.ParseOptions(
                delimiter=separator,
                quote_char=quote or False,
                newlines_in_values=bool(quote),
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
        if bad := _UNEVEN.search(str(e)):
            record, expected, fields, text = bad.groups()
            given = _separator(table, kind)
            with opened(source) as (_, again):
                line = text_line(table, source, again, int(record) - skipped)
            enclosed = f", with quotes around a field that holds {given!r}," if quote else ""
            raise DataError(
                f"{source}, line {line}: expected {expected} fields separated by {given!r}, "
                f"found {fields} in {text.replace(separator, given)[:60]!r}; mend the line"
                f"{enclosed} or remove it; faults of other kinds are looked for only then"
            ) from e
        if "Empty CSV file" in str(e):
            raise DataError(f"{source} holds no row; expected one an interaction or item") from e
        raise DataError(f"{source} does not parse as {kind} ({first_line(e)})") from e
    finally:
        stream.stop()
        with suppress(pa.ArrowInvalid):  # reported already
            for _ in reader or ():
                pass


def text_line(table: Table, source: Source, file: BinaryIO, row: int) -> int | None:
    """The line, from 1, in which a row, from 1, of an opened text table begins."""
    header = 0 if table.columns else 1
    return line_of(file, row + header, _quote(table, format_of(table, source)).encode())


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


def _quote(table: Table, kind: str) -> str:
    """The quote character; empty if quotes are text, as by default in all but CSV."""
    usual = kind == "csv" and len(_separator(table, kind)) == 1
    quoted = usual if table.quoting is None else table.quoting
    return '"' if quoted else ""


class _Stream(io.RawIOBase):
    """The bytes of a file, with a separator of several characters replaced by one byte.

    The CSV reader takes no longer separator. It also reads ahead in a thread, which must have ended
    when Python does: after :meth:`stop` the file is at its end.
    """

    def __init__(self, file: BinaryIO, separator: str) -> None:
        self._file, self._old, self._rest = file, separator.encode(), b""
        self._stopped = False

    def readable(self) -> bool:
        return True

    def stop(self) -> None:
        """End the file here."""
        self._stopped = True

    def readinto(self, buffer: Any) -> int:
        if self._stopped:
            return 0
        if len(self._old) == 1:
            block = self._file.read(len(buffer))
        else:  # whole lines, so that no separator lies across two blocks
            block = self._rest or self._file.read(len(buffer)) + self._file.readline()
            block = block.replace(self._old, _STAND_IN)
            block, self._rest = block[: len(buffer)], block[len(buffer) :]
        buffer[: len(block)] = block
        return len(block)
