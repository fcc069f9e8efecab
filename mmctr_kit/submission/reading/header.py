"""Reads the header line: which column is the ID, which are tasks, what a wrong name means."""

import html
import re
from dataclasses import dataclass

from mmctr_kit.audit.findings import Log
from mmctr_kit.data.contract import SUBMISSION_ID, Task
from mmctr_kit.submission.reading import show

_NUMBER = re.compile(r"\s*[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?\s*|nan|NaN|inf|")
_TASKS = {"task1": Task.TASK1, "task2": Task.TASK2, "task12": Task.BOTH}
_INDEX = ("", "unnamed0", "index")
_NAMES = ", ".join(Task)
_TODO = f"write the header {SUBMISSION_ID} and one or more of {_NAMES}, letter for letter"


@dataclass(frozen=True)
class Header:
    """The columns' positions, 0-based.

    ``scores`` maps a column's name to its position: the contract's name if that is what was
    meant, ``column N`` (1-based) if the file has no header.
    """

    width: int
    id_at: int | None
    scores: dict[str, int]
    is_data: bool


def read_header(line: str, log: Log) -> Header:
    """Checks the header ``line``; wrong names are reported, and read as what they mean."""
    names = line.split(",")
    if all(_NUMBER.fullmatch(n) for n in names):
        what = f"expected a header; the first line is data: {show(line)}"
        log.fail("csv-header", what, _TODO)
        log.passed("csv-columns", "not named")
        unnamed = {f"column {i + 1}": i for i in range(1, min(len(names), 1 + len(Task)))}
        return Header(len(names), 0, unnamed, True)
    id_at = _find_id(names, log)
    scores: dict[str, int] = {}
    for at, name in enumerate(names):
        if at != id_at:
            _task_column(at, name, scores, log)
    if not scores:
        what = f"expected one or more of {_NAMES}; found none in {show(line)}"
        log.fail("csv-columns", what, _TODO)
    log.passed("csv-header", SUBMISSION_ID + " first")
    log.passed("csv-columns", ", ".join(scores))
    return Header(len(names), id_at, scores, False)


def _find_id(names: list[str], log: Log) -> int | None:
    exact = [i for i, n in enumerate(names) if n == SUBMISSION_ID]
    meant = [i for i, n in enumerate(names) if _plain(n) == SUBMISSION_ID.casefold()]
    if not meant:
        what = f"expected {SUBMISSION_ID} as the first name; found {show(','.join(names))}"
        log.fail("csv-header", what, _TODO)
        return None if _plain(names[0]) in _TASKS else 0
    at = (exact or meant)[0]
    if not exact:
        what = f"expected {SUBMISSION_ID}; found {show(names[at])}"
        log.fail("csv-header", what, _TODO)
    if at > 1 or (at == 1 and _plain(names[0]) not in _INDEX):
        what = f"expected {SUBMISSION_ID} first; it is column {at + 1}"
        log.fail("csv-header", what, f"write {SUBMISSION_ID} as the first column")
    return at


def _task_column(at: int, name: str, scores: dict[str, int], log: Log) -> None:
    """Files column ``at`` under the task it means, and reports a name that is not the task's."""
    column, plain = f"column {at + 1}", _plain(name)
    if plain in _INDEX and at == 0:
        what = f"{column} is {show(name)}: the row index that pandas adds"
        log.fail("csv-columns", what, "write it with to_csv(..., index=False)")
    elif plain == "":
        what = f"{column} has no name (a comma at the end of the line?)"
        log.fail("csv-columns", what, _TODO)
    elif plain == SUBMISSION_ID.casefold():
        log.fail("csv-columns", f"{column} is a second {SUBMISSION_ID}", "keep one")
    elif plain not in _TASKS:
        log.fail("csv-columns", f"{column} is {show(name)}; expected one of {_NAMES}", _TODO)
    elif _TASKS[plain] in scores:
        log.fail("csv-columns", f"{column}, {show(name)}, occurs twice", "keep one")
    else:
        task = _TASKS[plain]
        scores[task] = at
        if name != task:
            log.fail("csv-columns", f"{column} is {show(name)}; {task} was meant?", _TODO)


def _plain(name: str) -> str:
    """Case, spaces, punctuation and HTML escapes aside: what decides which name was meant."""
    words = html.unescape(name).casefold().replace("and", "").replace("track", "task")
    return re.sub(r"[\W_]", "", words)
