"""From the CSV's bytes to clean lines: encoding, line ends, separator, quotes, blank lines.

Each fault is reported and then repaired, so that the checks of the values can still run: one look
at a file should show everything that is wrong with it.
"""

import re
from dataclasses import dataclass
from itertools import islice

from mmctr_kit.audit.findings import Log
from mmctr_kit.errors import plural
from mmctr_kit.submission.reading import show

_QUOTED = re.compile(rb'(?<![^,\n])"([^",\n]*)"(?![^,\n])')
_BLANK = re.compile(rb"^[ \t]*\n", re.MULTILINE)
_MANY = 1_000
_OTHER_SEPARATORS = (b";", b"\t", b"|", b" ")
_MAX_LINE = 4_096


@dataclass(frozen=True)
class Text:
    """A header line and the rows under it: UTF-8, comma-separated, LF at the end of each row.

    ``first_line`` is the 1-based line number of the first row in the file. ``blanks``: the rows
    have blank lines between them, which whoever splits them has to skip.
    """

    header: str
    rows: bytes
    first_line: int
    blanks: bool


def read_text(raw: bytes, log: Log, id_column: str) -> Text | None:
    """The text of the CSV ``raw``, whose first name is ``id_column``; None if it is no text."""
    decoded = _encoding(raw, log, id_column)
    if decoded is None:
        return None
    clean, lead, blanks = _blank_lines(_line_ends(decoded, log), log)
    clean, comments = _comments(clean, log, id_column)
    lead += comments
    header, _, rows = clean.partition(b"\n")
    if not header:
        log.fail("csv-header", "expected a header and rows; the file is empty", "write it again")
        return None
    if len(header) > _MAX_LINE:
        what = f"expected a header; the first line has {len(header):,} bytes"
        log.fail("csv-header", what, "write it as text, one row a line")
        return None
    header, rows = _separator(header, rows, log)
    if b'"' in header or b'"' in rows:
        header, rows = _quotes(header, rows, log)
    log.passed("csv-quotes", "none")
    return Text(header.decode(), rows, lead + 2, blanks)


def _encoding(raw: bytes, log: Log, id_column: str) -> bytes | None:
    todo = "write it as UTF-8 without a byte order mark (pandas: encoding='utf-8')"
    if raw.startswith((b"\xff\xfe", b"\xfe\xff", b"\0\0\xfe\xff")):
        log.fail("csv-encoding", "expected UTF-8; the first bytes are UTF-16's or UTF-32's", todo)
        return None
    nul = raw.find(b"\0")
    if nul >= 0:
        zeros, line = raw.count(b"\0"), raw.count(b"\n", 0, nul) + 1
        why = " (UTF-16?)" if zeros > len(raw) // 4 else ""
        what = f"expected text; found {plural(zeros, 'NUL byte')}{why}, the first in line {line:,}"
        log.fail("csv-encoding", what, todo)
        return None
    if raw.startswith(b"\xef\xbb\xbf"):
        what = f"starts with a byte order mark, which becomes part of the name {id_column}"
        log.fail("csv-encoding", what, todo)
        raw = raw[3:]
    if not raw.isascii():
        try:
            raw.decode()
        except UnicodeDecodeError as e:
            line = raw.count(b"\n", 0, e.start) + 1
            what = f"expected UTF-8; line {line:,} holds the byte 0x{raw[e.start]:02x}"
            log.fail("csv-encoding", what, todo)
            raw = raw.decode("utf-8", "replace").encode()
    log.passed("csv-encoding", "UTF-8")
    return raw


def _line_ends(raw: bytes, log: Log) -> bytes:
    todo = "write every line with LF (pandas: lineterminator='\\n')"
    returns = raw.count(b"\r")
    if not returns:
        log.passed("csv-line-ends", "LF")
        return raw
    pairs, feeds = raw.count(b"\r\n"), raw.count(b"\n")
    if returns > pairs:
        at = re.search(rb"\r(?!\n)", raw)
        line = raw.count(b"\n", 0, at.start()) + 1 if at else 1
        only = " and no LF at all (old Mac)" if not feeds else ""
        bare = plural(returns - pairs, "bare CR")
        what = f"expected LF; {bare}{only}, the first in line {line:,}"
        log.fail("csv-line-ends", what, todo)
    elif feeds > pairs:
        what = f"CRLF ends {plural(pairs, 'line')}, LF {feeds - pairs:,}: two files joined?"
        log.warn("csv-line-ends", what, todo)
    log.passed("csv-line-ends", "CRLF throughout, which readers take as LF")
    return raw.replace(b"\r\r\n", b"\n").replace(b"\r\n", b"\n").replace(b"\r", b"\n")


def _blank_lines(raw: bytes, log: Log) -> tuple[bytes, int, bool]:
    """Without leading and trailing blank lines; how many led; whether others are left."""
    body = raw.rstrip(b" \t\n")
    padding, _, tail = raw[len(body) :].partition(b"\n")
    trailing = tail.count(b"\n") + (not tail.endswith(b"\n") and bool(tail))
    if trailing:
        what = f"{plural(trailing, 'blank line')} after the last row"
        log.warn("csv-blank-lines", what, "end the file after the last row")
    if not body:
        return b"", 0, False
    body += padding + b"\n"
    start = body.rfind(b"\n", 0, len(body) - len(body.lstrip(b" \t\n"))) + 1
    lead, body = body.count(b"\n", 0, start), body[start:]
    # One byte is looked for far faster than two.
    spaces = [space for space in (b" ", b"\t") if space in body]
    inner = any(b"\n" + second in body for second in (b"\n", *spaces))
    starts = [m.start() for m in islice(_BLANK.finditer(body), _MANY)] if inner else []
    total = len(starts) + lead
    if total:
        first = 1 if lead else body.count(b"\n", 0, starts[0]) + 1
        least = "at least " if len(starts) == _MANY else ""
        what = (
            f"{least}{plural(total, 'blank line')} before the last row, the first is line {first:,}"
        )
        log.fail(
            "csv-blank-lines", what, "remove them; some readers take one as a row without values"
        )
    log.passed("csv-blank-lines", "none")
    return body, lead, bool(starts)


def _comments(clean: bytes, log: Log, id_column: str) -> tuple[bytes, int]:
    """Without the lines of comment above the header; how many they were."""
    lines = at = 0
    while clean.startswith(b"#", at):
        end = clean.find(b"\n", at) + 1 or len(clean)
        line = clean[at : min(end, at + _MAX_LINE)].rstrip(b"\n")
        bare = line.lstrip(b"# \t")
        if re.match(rb"%s([,;\s]|$)" % re.escape(id_column.encode()), bare, re.IGNORECASE):
            what = f"expected {id_column}; the header begins with '#': {show(line)}"
            log.fail("csv-header", what, "write it without '#' (np.savetxt: comments='')")
            return clean[at + len(line) - len(bare) :], lines
        if not lines:
            what = f"expected a header; the first line is a comment: {show(line)}"
            log.fail("csv-header", what, "begin with the header; the scorer skips no comments")
        at, lines = end, lines + 1
    return clean[at:], lines


def _separator(header: bytes, rows: bytes, log: Log) -> tuple[bytes, bytes]:
    if b"," not in header:
        for other in _OTHER_SEPARATORS:
            if other in header.strip():
                what = f"expected commas; the header is separated by {show(other)}"
                if b"," in rows[:_MAX_LINE]:
                    what += ", and rows hold commas (decimal commas?)"
                log.fail("csv-separator", what, "write it with sep=',' and decimal points")
                rows = rows.replace(b",", b".").replace(other, b",")
                return header.replace(other, b","), rows
    log.passed("csv-separator", "comma")
    return header, rows


def _quotes(header: bytes, rows: bytes, log: Log) -> tuple[bytes, bytes]:
    quotes = header.count(b'"') + rows.count(b'"')
    header, rows = _QUOTED.sub(rb"\1", header), _QUOTED.sub(rb"\1", rows)
    left = header.count(b'"') + rows.count(b'"')
    todo = "write numbers and names without quotes (pandas: quoting=csv.QUOTE_NONE)"
    if left:
        at = rows.find(b'"')
        line = 1 if b'"' in header else rows.count(b"\n", 0, at) + 2
        what = f"{plural(left, 'quote')} enclosing no whole field, the first in line {line:,}"
        log.fail("csv-quotes", what, todo)
        header, rows = header.replace(b'"', b""), rows.replace(b'"', b"")
    else:
        log.warn("csv-quotes", f"{plural(quotes // 2, 'field')} in quotes", todo)
    return header, rows
