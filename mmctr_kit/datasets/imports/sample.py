"""The first rows of a table of unknown form: its separator and header, and what columns hold."""

import csv
import glob
import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, Literal

from mmctr_kit.datasets.imports.sources import Source, find_table, opened
from mmctr_kit.datasets.imports.spec import Table
from mmctr_kit.datasets.imports.tables import header, place, read_batches
from mmctr_kit.datasets.imports.values import texts
from mmctr_kit.errors import DataError, plural

ROWS = 5000
_LINES = 100
_ODD = 0.05
"""A column is one of numbers, or dates, if at most this share of its values are none."""
_OF_ITS_OWN = (".parquet", ".pq", ".jsonl", ".ndjson", ".json")
_SEPARATORS = ("::", "\t", "|", ";", ",")
_NUMBER = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?")
_ISO = re.compile(r"\d{4}-\d\d-\d\d([T ]\d\d:\d\d.*)?")

Kind = Literal["empty", "flag", "number", "iso", "address", "list", "structure", "text"]


@dataclass(frozen=True)
class Column:
    """A column's name, its first values, without null and empty ones, and what they are.

    The values are texts; of kind ``list`` the texts of the lists, and of ``structure`` none. Those
    of a ``number`` are numbers, of ``iso`` dates; ``odd`` says what a few others are and where;
    ``empty`` says in how many of the first rows the column is empty and where, else it is "".
    """

    name: str
    values: list[str]
    kind: Kind
    odd: str = ""
    empty: str = ""

    def numbers(self) -> list[float]:
        """The values as numbers; the kind is number."""
        return [float(v) for v in self.values]


@dataclass(frozen=True)
class Sample:
    """The first rows of a file; ``table`` reads it, and has names if the file has none."""

    path: Path
    table: Table
    columns: list[Column]

    @property
    def has_header(self) -> bool:
        return self.table.columns is None


def take_sample(path: Path) -> Sample:
    """Read the first rows of ``path``.

    Raises UsageError for a file that is absent, DataError for one that is no table.
    """
    files = (glob.escape(str(path)),)
    source = find_table(path, "the tables")
    form = _form(source)
    # Latin-1 takes every byte, so that the file need not be read to its end to know.
    tries = [
        {"encoding": encoding, "quoting": quoting}
        for quoting in (True, False)
        for encoding in ("utf-8", "latin-1")
    ]
    if "quoting" in form or source.suffix in _OF_ITS_OWN:
        tries = [{"encoding": "utf-8"}, {"encoding": "latin-1"}]
    failure: DataError | None = None
    for extra in tries:
        try:
            columns = _columns(Table.model_validate({"files": files, **extra, **form}), source)
        except DataError as e:
            failure = failure or e
            continue
        if not extra.get("quoting", True):
            form["quoting"] = False
        return Sample(path, Table.model_validate({"files": files, **form}), columns)
    assert failure is not None
    raise failure


def _form(source: Source) -> dict[str, Any]:
    """The keys of a Table that reads the file."""
    suffix = source.suffix
    if suffix in _OF_ITS_OWN:
        return {}
    lines = _first_lines(source)
    if not lines:
        raise DataError(f"{source} holds no row; expected a table")
    if lines[0].lstrip()[:1] == "{":
        return {"format": "jsonl"}
    separator = _separator(lines)
    first = _fields(lines[0], separator)
    named = len(set(first)) == len(first) and not any(_is_number(f) or not f for f in first)
    form: dict[str, Any] = {}
    if suffix in (".inter", ".item", ".user") and separator == "\t" and named:
        return form
    usual = {".csv": ",", ".tsv": "\t", ".tab": "\t", ".txt": "\t", ".data": "\t", ".dat": "\t"}
    if suffix not in usual:
        form["format"] = "csv"
    if usual.get(suffix) != separator:
        form["separator"] = separator
    if not named:
        form["columns"] = [f"column{i}" for i in range(1, len(first) + 1)]
    if len(separator) > 1 or (
        separator in "\t|" and any(_stray_quote(f, separator) for f in lines)
    ):
        form["quoting"] = False
    return form


def _stray_quote(line: str, separator: str) -> bool:
    """Whether a field begins or ends with a quote, but not both."""
    return any(f.startswith('"') != f.endswith('"') for f in line.split(separator))


def _first_lines(source: Source) -> list[str]:
    """The first lines that are not empty: UTF-8, else Latin-1."""
    with opened(source) as (_, file):
        raw = b"".join(islice(file, _LINES))
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = raw.decode("latin-1")
    return [line.rstrip("\r") for line in text.split("\n") if line.strip()]


def _separator(lines: Sequence[str]) -> str:
    """The one that divides most lines into equally many fields, the first if several do.

    A comma if none does, as for a table of one column.
    """

    def alike(separator: str) -> int:
        widths = Counter(len(_fields(line, separator)) for line in lines)
        width, count = widths.most_common(1)[0]
        return count if width > 1 else 0

    best = max(_SEPARATORS, key=alike)
    return best if alike(best) else ","


def _fields(line: str, separator: str) -> list[str]:
    if len(separator) > 1:
        return line.split(separator)
    try:
        return next(csv.reader([line], delimiter=separator), [])
    except csv.Error:  # a CR within, say: whoever reads the whole file says what is wrong
        return line.split(separator)


def _columns(table: Table, source: Source) -> list[Column]:
    names = header(table, source)
    values: dict[str, list[Any]] = {name: [] for name in names}
    rows = 0
    for batch in read_batches(table, [source], names):
        for name, array in batch.columns.items():
            values[name] += _plain(array.slice(0, ROWS - rows))
        rows += len(batch)
        if rows >= ROWS:
            break
    return [_column(name, values[name], partial(place, table, source)) for name in names]


def _plain(array: Any) -> list[Any]:
    try:
        return list(texts(array).to_pylist())
    except DataError:  # lists and structures
        return list(array.to_pylist())


def _column(name: str, values: list[Any], place_of: Callable[[int], str]) -> Column:
    """A column of these values; ``place_of`` names the place of a row, from 1."""
    filled = [v for v in values if v is not None and v != ""]
    if any(isinstance(v, list) for v in filled):
        flat = [x for v in filled for x in (v if isinstance(v, list) else [v])]
        if any(isinstance(x, dict) for x in flat):
            return Column(name, [], "structure")
        return Column(name, [str(x) for x in islice(flat, ROWS) if x is not None], "list")
    if any(isinstance(v, dict) for v in filled):
        return Column(name, [], "structure")
    kind = _kind(filled)
    empty = _where([v for v in values if v is None or v == ""], values, place_of)
    kinds: tuple[tuple[Kind, Callable[[str], object]], ...] = (
        ("number", _NUMBER.fullmatch),
        ("iso", _ISO.fullmatch),
    )
    for of_kind, fits in kinds if kind == "text" else ():
        odd = [v for v in filled if not fits(v)]
        if len(odd) <= _ODD * len(filled):
            few = _where(odd, values, place_of)
            return Column(name, [v for v in filled if fits(v)], of_kind, few, empty)
    return Column(name, filled, kind, empty=empty)


def _where(some: list[Any], values: list[Any], place_of: Callable[[int], str]) -> str:
    """How many values these are, or empty rows, and the first with its place; "" for none."""
    if not some:
        return ""
    first = f"{some[0][:40]!r} in " if some[0] else ""
    where = f"{first}{place_of(1 + values.index(some[0]))}"
    what = plural(len(some), "value" if some[0] else "row")
    return f"{what} ({'the first is ' * (len(some) > 1)}{where})"


def _kind(values: Sequence[str]) -> Kind:
    if not values:
        return "empty"
    if set(values) <= {"0", "1", "true", "false", "True", "False"}:
        return "flag"
    if all(_is_number(v) for v in values):
        return "number"
    if all(_ISO.fullmatch(v) for v in values):
        return "iso"
    if "://" in values[0]:
        return "address"
    return "text"


def _is_number(text: str) -> bool:
    return _NUMBER.fullmatch(text) is not None
