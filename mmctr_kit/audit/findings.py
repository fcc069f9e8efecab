"""What a check says: an id, a level, what was found (and how often), and what to do about it.

Shared by ``data check`` and ``submit --check``; knows nothing of either.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum


class Level(StrEnum):
    """PASS: as expected. WARN: usable, but look. FAIL: later stages would go wrong."""

    PASS = "PASS"
    WARN = "WARN"
    FAIL = "FAIL"


_ORDER = (Level.PASS, Level.WARN, Level.FAIL)


@dataclass(frozen=True)
class Finding:
    """One line of a check's report.

    ``id`` is the check's fixed kebab-case name; ``what`` says what was found; ``todo`` what to do
    about it, empty where there is nothing to do.
    """

    id: str
    level: Level
    what: str
    todo: str


def worst(findings: Iterable[Finding]) -> Level:
    """The most severe level; PASS where there are no findings."""
    return max((f.level for f in findings), key=_ORDER.index, default=Level.PASS)


def exit_code(findings: Iterable[Finding], strict: bool) -> int:
    """1 where anything failed, or, if ``strict``, where anything warned; else 0."""
    level = worst(findings)
    return int(level is Level.FAIL or (strict and level is Level.WARN))


def as_json(findings: Iterable[Finding]) -> list[dict[str, str]]:
    """The findings as plain objects, in order: keys ``id``, ``level``, ``what``, ``todo``."""
    return [{"id": f.id, "level": f.level.value, "what": f.what, "todo": f.todo} for f in findings]
