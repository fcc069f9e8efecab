"""In which line of a text file a row of its table stands, as an editor numbers lines."""

from collections.abc import Iterable
from pathlib import Path


def line_of(lines: Iterable[bytes], record: int, quote: bytes = b'"') -> int | None:
    """The line, from 1, in which a record of a text table begins; None if there are fewer.

    Records count from 1, and a header is one. An empty line is no record, and a line that ends
    inside quotes ends none; an empty ``quote`` says that there are none.

    >>> line_of([b"id,title\\n", b"\\n", b'1,"two\\n', b'lines"\\n', b"2,one\\n"], 3)
    5
    """
    records, inside = 0, False
    for number, line in enumerate(lines, 1):
        if not inside and line.strip(b"\r\n"):
            records += 1
            if records == record:
                return number
        if quote and line.count(quote) % 2:
            inside = not inside
    return None


def place_of(file: Path, index: int) -> str:
    """Where a row, from 0, of a CSV file with a header or of a parquet file is, for errors.

    The line in the CSV file, where the header is line 1; the row's number, from 1, in parquet.
    """
    if file.suffix.lower() == ".parquet":
        return f"row {index + 1} (from 1)"
    with file.open("rb") as lines:
        return f"line {line_of(lines, index + 2)}"
