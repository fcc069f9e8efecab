"""Findings of checks, their log and catalogue, for ``data check`` and ``submit --check`` alike."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import TypeVar

from mmctr_kit.errors import plural


class Level(StrEnum):
    """How a check ended.

    PASS: as expected. SKIP: not done, since something that it needs is not there. WARN: usable, but
    look at it. FAIL: later stages would go wrong.
    """

    PASS = "PASS"
    SKIP = "SKIP"
    WARN = "WARN"
    FAIL = "FAIL"


_ORDER = (Level.PASS, Level.SKIP, Level.WARN, Level.FAIL)
_PROBLEMS = (Level.WARN, Level.FAIL)


@dataclass(frozen=True)
class Finding:
    """One line of a report: the check, its level, what was seen, and what to do ("" for a PASS)."""

    id: str
    level: Level
    what: str
    todo: str


@dataclass(frozen=True)
class CheckInfo:
    """One entry of a catalogue of checks.

    ``id`` is a fixed kebab-case name, ``promise`` a sentence that holds if the check passes,
    ``worst`` the highest level that it reaches, and ``reads`` the files it needs.
    """

    id: str
    promise: str
    worst: Level = field(default=Level.FAIL, kw_only=True)
    reads: tuple[str, ...] = field(default=(), kw_only=True)


Catalogue = Mapping[str, CheckInfo]
Info = TypeVar("Info", bound=CheckInfo)


def catalogue(*checks: Info) -> Mapping[str, Info]:
    """The checks by id, in the order in which reports list them."""
    return MappingProxyType({check.id: check for check in checks})


class Log:
    """Collects the findings of a catalogue's checks, none beyond its check's worst level."""

    def __init__(self, checks: Catalogue) -> None:
        self._checks = checks
        self._findings: dict[str, list[Finding]] = {check: [] for check in checks}

    def fail(self, check: str, what: str, todo: str) -> None:
        self._add(Finding(check, Level.FAIL, what, todo))

    def warn(self, check: str, what: str, todo: str) -> None:
        self._add(Finding(check, Level.WARN, what, todo))

    def warn_if(self, wrong: bool, check: str, what: str, todo: str) -> None:
        """A WARN if ``wrong``, else a PASS that says the same."""
        if wrong:
            self.warn(check, what, todo)
        else:
            self.passed(check, what)

    def skip(self, check: str, what: str, todo: str = "") -> None:
        """Records that the check was not done; ``what`` says what it needs."""
        self._add(Finding(check, Level.SKIP, what, todo))

    def passed(self, check: str, what: str) -> None:
        """Records a PASS, which is reported only if the check has no other finding."""
        self._add(Finding(check, Level.PASS, what, ""))

    def worst(self, check: str) -> Level:
        """The most severe level of the check so far; PASS if it has no finding."""
        return worst(self._findings[check])

    def findings(self) -> list[Finding]:
        """The findings in the catalogue's order; the PASSes of one check become one."""
        out: list[Finding] = []
        for check, all_of_it in self._findings.items():
            wrong = [f for f in all_of_it if f.level is not Level.PASS]
            passed = Finding(check, Level.PASS, "; ".join(f.what for f in all_of_it), "")
            out += wrong or ([passed] if all_of_it else [])
        return out

    def _add(self, finding: Finding) -> None:
        limit = self._checks[finding.id].worst
        beyond = _ORDER.index(finding.level) > _ORDER.index(limit)
        if beyond and finding.level is not Level.SKIP:
            raise ValueError(f"check {finding.id} is registered as {limit} at worst")
        if finding not in self._findings[finding.id]:
            self._findings[finding.id].append(finding)


def worst(findings: Iterable[Finding]) -> Level:
    """The most severe level; PASS if there are no findings."""
    return max((f.level for f in findings), key=_ORDER.index, default=Level.PASS)


def problems(findings: Iterable[Finding]) -> list[Finding]:
    """The findings that somebody should look at: each WARN and FAIL."""
    return [f for f in findings if f.level in _PROBLEMS]


def summary(findings: Sequence[Finding]) -> str:
    """One line: ``1 problem: ...``, or ``no problems: 34 checks passed, 2 skipped``."""
    wrong = problems(findings)
    if len(wrong) == 1:
        what = wrong[0].what.partition("; ")[0]
        return f"1 problem: {what if what.count('(') == what.count(')') else wrong[0].what}"
    done = {level: sum(f.level is level for f in findings) for level in Level}
    rest = f"{plural(done[Level.PASS], 'check')} passed"
    rest += f", {done[Level.SKIP]} skipped" if done[Level.SKIP] else ""
    if not wrong:
        return f"no problems: {rest}"
    levels = ", ".join(f"{done[level]} {level}" for level in reversed(_PROBLEMS) if done[level])
    return f"{len(wrong)} problems ({levels}); {rest}"


def exit_code(findings: Iterable[Finding], strict: bool) -> int:
    """1 if anything failed or, with ``strict``, warned; else 0."""
    level = worst(findings)
    return int(level is Level.FAIL or (strict and level is Level.WARN))


def as_json(findings: Iterable[Finding]) -> list[dict[str, str]]:
    """The findings as plain objects, in order: keys ``id``, ``level``, ``what``, ``todo``."""
    return [{"id": f.id, "level": f.level.value, "what": f.what, "todo": f.todo} for f in findings]
