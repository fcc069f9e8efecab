"""Lines, headers and fields of MovieLens files, and the errors that name a line."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from mmctr_kit.errors import DataError


def text_lines(path: Path) -> Iterator[tuple[int, str]]:
    """Lines that are not empty: UTF-8 (ml-10m and later), else Latin-1 (ml-100k and ml-1m)."""
    raw = path.read_bytes()
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = raw.decode("latin-1")
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            yield number, line.rstrip("\r")


def column_names(line: str, separator: str) -> list[str]:
    """The header's columns without RecBole's types (``rating:float``)."""
    return [name.partition(":")[0].strip() for name in line.rstrip("\r\n").split(separator)]


def column_index(path: Path, columns: Sequence[str], name: str) -> int:
    """The index of column ``name``; DataError if the header lacks it."""
    index = find_column(columns, (name,))
    if index is None:
        header = ", ".join(columns)[:120] or "nothing"
        raise DataError(f"{path}, line 1: no {name} column; found {header}")
    return index


def find_column(columns: Sequence[str], names: Sequence[str]) -> int | None:
    """The index of the first of ``names`` that is a column; None if none is."""
    return next((columns.index(n) for n in names if n in columns), None)


def wrong_width(path: Path, number: int, wanted: int, found: int, line: str) -> DataError:
    """The error of a line that splits into too few or too many fields."""
    return DataError(
        f"{path}, line {number}: expected {wanted} fields, found {found} in {line.rstrip()[:60]!r}"
    )


def is_whole(token: str) -> bool:
    """Whether ``token`` is a whole number that fits an int64."""
    return token.isascii() and token.isdigit() and len(token) <= 18
