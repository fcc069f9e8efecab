"""Reads the header line: which column is the ID, which are scores, what a wrong name means."""

import html
import re
from dataclasses import dataclass

from mmctr_kit.audit.findings import Log
from mmctr_kit.submission.reading import show
from mmctr_kit.submission.spec import Spec

_NUMBER = re.compile(r"\s*[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?\s*|nan|NaN|inf|")
_INDEX = ("", "unnamed0", "index")


def _todo(spec: Spec) -> str:
    return f"write the header {spec.header}, letter for letter"


@dataclass(frozen=True)
class Header:
    """The columns' positions, 0-based.

    ``scores`` maps a column's name to its position: the spec's name if that is what was
    meant, ``column N`` (1-based) if the file has no header.
    """

    width: int
    id_at: int | None
    scores: dict[str, int]
    is_data: bool


def read_header(line: str, log: Log, spec: Spec) -> Header:
    """Checks the header ``line``; wrong names are reported, and read as what they mean."""
    names = line.split(",")
    if all(_NUMBER.fullmatch(n) for n in names):
        what = f"expected a header; the first line is data: {show(line)}"
        log.fail("csv-header", what, _todo(spec))
        log.passed("csv-columns", "not named")
        unnamed = {
            f"column {i + 1}": i for i in range(1, min(len(names), 1 + len(spec.columns.names)))
        }
        return Header(len(names), 0, unnamed, True)
    id_at = _find_id(names, log, spec)
    scores: dict[str, int] = {}
    for at, name in enumerate(names):
        if at != id_at:
            _score_column(at, name, scores, log, spec)
    optional = spec.columns.optional
    if spec.columns.needs_optional and not scores.keys() & set(optional):
        what = f"expected one or more of {', '.join(optional)}; found none in {show(line)}"
        log.fail("csv-columns", what, _todo(spec))
    for name in spec.columns.required:
        if name not in scores:
            log.fail("csv-columns", f"expected {name}; it is not in {show(line)}", _todo(spec))
    log.passed("csv-header", spec.ids.column + " first")
    log.passed("csv-columns", ", ".join(scores))
    return Header(len(names), id_at, scores, False)


def _find_id(names: list[str], log: Log, spec: Spec) -> int | None:
    wanted, scores = spec.ids.column, {_plain(n) for n in spec.columns.names}
    exact = [i for i, n in enumerate(names) if n == wanted]
    meant = [i for i, n in enumerate(names) if _plain(n) == _plain(wanted)]
    if not meant:
        what = f"expected {wanted} as the first name; found {show(','.join(names))}"
        log.fail("csv-header", what, _todo(spec))
        return None if _plain(names[0]) in scores else 0
    at = (exact or meant)[0]
    if not exact:
        what = f"expected {wanted}; found {show(names[at])}"
        log.fail("csv-header", what, _todo(spec))
    if at > 1 or (at == 1 and _plain(names[0]) not in _INDEX):
        what = f"expected {wanted} first; it is column {at + 1}"
        log.fail("csv-header", what, f"write {wanted} as the first column")
    return at


def _score_column(at: int, name: str, scores: dict[str, int], log: Log, spec: Spec) -> None:
    """Files column ``at`` under the score it means, and reports a name that is not the spec's."""
    column, plain, known = f"column {at + 1}", _plain(name), spec.columns.names
    meant = name if name in known else {_plain(n): n for n in known}.get(plain)
    if meant is None and plain in _INDEX and at == 0:
        what = f"{column} is {show(name)}: the row index that pandas adds"
        log.fail("csv-columns", what, "write it with to_csv(..., index=False)")
    elif meant is None and plain == "":
        what = f"{column} has no name (a comma at the end of the line?)"
        log.fail("csv-columns", what, _todo(spec))
    elif meant is None and plain == _plain(spec.ids.column):
        log.fail("csv-columns", f"{column} is a second {spec.ids.column}", "keep one")
    elif meant is None:
        what = f"{column} is {show(name)}; expected {'one of ' * (len(known) > 1)}"
        log.fail("csv-columns", what + ", ".join(known), _todo(spec))
    elif meant in scores:
        log.fail("csv-columns", f"{column}, {show(name)}, occurs twice", "keep one")
    else:
        scores[meant] = at
        if name != meant:
            what = f"{column} is {show(name)}; {meant} was meant?"
            log.fail("csv-columns", what, _todo(spec))


def _plain(name: str) -> str:
    """Case, spaces, punctuation and HTML escapes aside: what decides which name was meant."""
    words = html.unescape(name).casefold().replace("and", "").replace("track", "task")
    return re.sub(r"[\W_]", "", words)
