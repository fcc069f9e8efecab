"""In which line of a text file a row of its table stands, as an editor numbers lines."""

from collections.abc import Iterable


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
