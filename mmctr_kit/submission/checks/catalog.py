"""Every check of a submission by its fixed id, and the log that findings are written into."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

from mmctr_kit.audit.findings import Finding, Level


class CheckInfo(NamedTuple):
    """The worst level a check reaches, and what it looks at."""

    worst: Level
    meaning: str


_FAIL, _WARN, _PASS = Level.FAIL, Level.WARN, Level.PASS

CHECKS: Mapping[str, CheckInfo] = MappingProxyType(
    {
        "file-readable": CheckInfo(_FAIL, "FILE is a regular, readable file of sane size"),
        "zip-format": CheckInfo(_FAIL, "FILE is a zip whose directory can be read"),
        "zip-extra-bytes": CheckInfo(_FAIL, "no bytes before the zip's start or after its end"),
        "zip-members": CheckInfo(_FAIL, "the zip holds one member, and nothing beside it"),
        "zip-name": CheckInfo(_FAIL, "the member is named prediction.csv and lies at the root"),
        "zip-kind": CheckInfo(_FAIL, "the member is a regular file, no folder and no link"),
        "zip-encryption": CheckInfo(_FAIL, "the member needs no password"),
        "zip-method": CheckInfo(_FAIL, "the member is stored or deflated, what every reader opens"),
        "zip-bomb": CheckInfo(_FAIL, "the member unpacks to a sane size"),
        "zip-data": CheckInfo(_FAIL, "the member's headers, size and CRC agree with its bytes"),
        "csv-encoding": CheckInfo(_FAIL, "UTF-8 text without a byte order mark or NUL bytes"),
        "csv-line-ends": CheckInfo(_FAIL, "lines end in LF or CRLF, the same everywhere"),
        "csv-separator": CheckInfo(_FAIL, "columns are separated by commas"),
        "csv-quotes": CheckInfo(_FAIL, "no quotes around names or numbers"),
        "csv-blank-lines": CheckInfo(_FAIL, "no blank lines"),
        "csv-header": CheckInfo(_FAIL, "the first line is a header that starts with ID"),
        "csv-columns": CheckInfo(_FAIL, "beside ID only task columns, each once, at least one"),
        "csv-fields": CheckInfo(_FAIL, "every row has as many fields as the header"),
        "row-count": CheckInfo(_FAIL, "one row for each row of the test set"),
        "id-integer": CheckInfo(_FAIL, "every ID is written as a plain integer"),
        "id-unique": CheckInfo(_FAIL, "no ID occurs twice"),
        "id-complete": CheckInfo(_FAIL, "every ID of the test set is there, and no other"),
        "id-order": CheckInfo(_FAIL, "IDs ascend"),
        "score-missing": CheckInfo(_FAIL, "no value is empty or a word for 'missing'"),
        "score-number": CheckInfo(_FAIL, "every value is a plain decimal number"),
        "score-finite": CheckInfo(_FAIL, "no value is NaN or infinite"),
        "score-range": CheckInfo(_FAIL, "every value lies in [0, 1]"),
        "score-constant": CheckInfo(
            _FAIL, "a column varies; a constant one beside it is a placeholder"
        ),
        "score-hard-labels": CheckInfo(_WARN, "scores, not labels: more than the values 0 and 1"),
        "score-ties": CheckInfo(_WARN, "at most 1 % of the rows share their score with another"),
        "score-identical": CheckInfo(_PASS, "two task columns that hold the same scores: a remark"),
        "score-sorted": CheckInfo(_WARN, "scores do not rise or fall along the file"),
        "rank-correlation": CheckInfo(
            _WARN, "ranks agree with those of existing runs, along the whole file"
        ),
        "rows-aligned": CheckInfo(
            _WARN, "scores still depend on the row's item: not shuffled, nor in part, nor reversed"
        ),
    }
)
"""id -> (worst level, meaning), in the order in which a report lists them."""

_ORDER = (_PASS, _WARN, _FAIL)


class Log:
    """Collects findings; only ids of :data:`CHECKS`, at most at their worst level."""

    def __init__(self) -> None:
        self._findings: list[Finding] = []

    def fail(self, check: str, what: str, todo: str) -> None:
        self._add(check, Level.FAIL, what, todo)

    def warn(self, check: str, what: str, todo: str) -> None:
        self._add(check, Level.WARN, what, todo)

    def passed(self, check: str, what: str) -> None:
        """PASS, unless the check has already warned or failed."""
        if check not in {f.id for f in self._findings}:
            self._add(check, Level.PASS, what, "")

    def findings(self) -> list[Finding]:
        """All findings in the order of :data:`CHECKS`."""
        order = list(CHECKS)
        return sorted(self._findings, key=lambda f: order.index(f.id))

    def _add(self, check: str, level: Level, what: str, todo: str) -> None:
        registered = CHECKS[check].worst
        if _ORDER.index(level) > _ORDER.index(registered):
            raise ValueError(f"check {check} is registered as {registered} at worst")
        self._findings.append(Finding(check, level, what, todo))


def show(value: str | bytes, limit: int = 40) -> str:
    """A quoted, single-line, printable rendering of something found in a file."""
    text = value.decode("utf-8", "replace") if isinstance(value, bytes) else value
    return ascii(text if len(text) <= limit else text[: limit - 3] + "...")
