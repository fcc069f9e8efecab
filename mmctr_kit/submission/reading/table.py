"""From clean lines to columns: a fast reader for good files, a careful one that names faults.

The careful reader defines what is accepted; the fast one (Arrow's, behind an alphabet in which
Arrow, pandas and Python read every number alike) accepts a subset, so the two cannot disagree.
"""

import io
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mmctr_kit.audit.findings import Log
from mmctr_kit.errors import plural
from mmctr_kit.submission.reading import show
from mmctr_kit.submission.reading.cells import CellFaults, read_id, read_score
from mmctr_kit.submission.reading.header import Header
from mmctr_kit.submission.reading.text import Text
from mmctr_kit.submission.spec import IdsSpec

_ALPHABET = b"0123456789.,eE+-\n"
_MAX_LINE = 4_096


@dataclass(frozen=True)
class SubmissionTable:
    """The rows as read. Row ``i`` of every array is line ``lines[i]`` of the file.

    ``ids`` (rows,) int64, None if one could not be read, numbers as in
    :class:`~mmctr_kit.submission.spec.IdsSpec`, whose texts are ``texts``: those of the spec and,
    after them, unknown ones; ``columns`` name -> (rows,) float64,
    NaN if a value could not be read (it is reported) or is NaN; ``lines`` (rows,) int64;
    ``n_rows`` the number of rows in the file, more than ``rows`` if reading was cut off.
    """

    ids: NDArray[np.int64] | None
    columns: dict[str, NDArray[np.float64]]
    lines: NDArray[np.int64]
    n_rows: int
    texts: tuple[bytes, ...] = ()

    def shown(self, number: int) -> str:
        """An ID for a message."""
        return show(self.texts[number]) if self.texts else str(number)


def read_table(
    text: Text, header: Header, log: Log, max_rows: int, spec: IdsSpec
) -> SubmissionTable:
    """The table under ``header``; a faulty one is diagnosed up to ``max_rows`` lines."""
    rows, first = text.rows, text.first_line
    if header.is_data:
        rows, first = text.header.encode() + b"\n" + rows, first - 1
    table = None
    if not text.blanks and not rows.translate(None, _ALPHABET):
        table = _read_fast(rows, first, header, spec)
    if table is None:
        table = _read_carefully(rows, first, header, log, max_rows, spec)
    if table.n_rows:
        log.passed("csv-fields", f"{header.width} in every row")
    if table.ids is not None:
        integers = spec.like is None
        log.passed("id-integer", "all" if integers else f"IDs are texts, as in {spec.taken_from}")
    if table.columns:
        for check in ("score-missing", "score-number", "score-finite"):
            log.passed(check, "none" if check == "score-missing" else "all")
    return table


def _read_fast(rows: bytes, first: int, header: Header, spec: IdsSpec) -> SubmissionTable | None:
    """The table if every cell is plain; None means that the careful reader must look."""
    import pyarrow as pa
    from pyarrow import csv

    names = [str(i) for i in range(header.width)]
    kinds = {n: pa.float64() if int(n) in header.scores.values() else pa.string() for n in names}
    if header.id_at is not None and spec.like is None:
        kinds[str(header.id_at)] = pa.int64()
    try:
        read = csv.read_csv(
            io.BytesIO(rows),
            read_options=csv.ReadOptions(column_names=names),
            parse_options=csv.ParseOptions(
                quote_char=False, escape_char=False, ignore_empty_lines=False
            ),
            convert_options=csv.ConvertOptions(column_types=kinds, null_values=[]),
        )
    except (pa.ArrowException, OSError, UnicodeDecodeError):
        return None

    def column(at: int) -> NDArray[np.generic]:
        # to_numpy would import pandas, which takes longer than the whole check
        return np.concatenate([np.from_dlpack(c) for c in read.column(str(at)).chunks])

    columns = {n: column(at).astype(np.float64) for n, at in header.scores.items()}
    if not all(np.isfinite(c).all() for c in columns.values()):
        return None
    n = read.num_rows
    lines = np.arange(first, first + n, dtype=np.int64)
    if header.id_at is None:
        return SubmissionTable(None, columns, lines, n)
    if spec.numbers is None:
        return SubmissionTable(column(header.id_at).astype(np.int64), columns, lines, n)
    cells = (text.encode() for text in read.column(str(header.id_at)).to_pylist())
    ids, texts = _number(cells, spec.numbers)
    return SubmissionTable(ids, columns, lines, n, texts)


def _read_carefully(
    rows: bytes, first: int, header: Header, log: Log, max_rows: int, spec: IdsSpec
) -> SubmissionTable:
    split = rows.split(b"\n", max_rows)
    rest = split.pop()
    numbered = [(first + i, line) for i, line in enumerate(split) if line.strip()]
    faults = CellFaults()
    ragged: list[tuple[int, bytes]] = []
    ids = np.zeros(len(numbered), np.int64)
    id_cells: list[bytes] = []
    readable = header.id_at is not None
    columns = {name: np.full(len(numbered), np.nan) for name in header.scores}
    for row, (number, line) in enumerate(numbered):
        cells = line.split(b",") if len(line) <= _MAX_LINE else []
        if header.id_at is not None and header.id_at < len(cells):
            cell = cells[header.id_at]
            id_cells.append(cell)
            value = 0 if spec.like else read_id(cell, spec.column, number, faults)
            readable = readable and value is not None
            ids[row] = 0 if value is None else value
        else:
            readable = False
        if len(cells) != header.width:
            ragged.append((number, line))
            continue
        for name, at in header.scores.items():
            columns[name][row] = read_score(cells[at], name, number, faults)
    if ragged:
        _report_ragged(ragged, header.width, log)
    faults.report(log)
    lines = np.array([number for number, _ in numbered], np.int64)
    texts: tuple[bytes, ...] = ()
    if readable and spec.numbers is not None:
        ids, texts = _number(id_cells, spec.numbers)
    n = len(numbered) + rest.count(b"\n")
    return SubmissionTable(ids if readable else None, columns, lines, n, texts)


def _number(
    cells: Iterable[bytes], known: Mapping[bytes, int]
) -> tuple[NDArray[np.int64], tuple[bytes, ...]]:
    """The number of each ID's text, and the texts by number; unknown ones get the next numbers."""
    numbers = dict(known)
    ids = [numbers.setdefault(cell, len(numbers)) for cell in cells]
    return np.array(ids, np.int64), tuple(numbers)


def _report_ragged(ragged: list[tuple[int, bytes]], width: int, log: Log) -> None:
    number, line = ragged[0]
    if len(line) > _MAX_LINE:
        first = f"line {number:,} has {len(line):,} bytes"
    else:
        first = f"line {number:,} has {line.count(b',') + 1}"
    todo = "write every row with the header's columns"
    if line.count(b",") + 1 < width:
        todo += "; a cut-off last row means an unfinished write"
    if line.endswith(b",") and line.count(b",") == width:
        todo = "remove the comma at the end of the lines"
    elif line.count(b",") == 2 * (width - 1) and b"." not in line:
        todo = "write decimal points, not decimal commas"
    what = f"expected {width} fields in every row; {plural(len(ragged), 'row')} without, {first}"
    log.fail("csv-fields", what, todo)
