"""Findings of checks, their log and catalogue, for ``data check`` and ``submit --check`` alike."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
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


_OTHER_DATA = "not the challenge's data: "


class Log:
    """Collects the findings of a catalogue's checks, none beyond its check's worst level.

    ``challenge``: what is checked claims to be the challenge's own data. If it is not, a WARN about
    what only the challenge's data have is a SKIP.
    """

    def __init__(self, checks: Catalogue, challenge: bool = True) -> None:
        self._checks, self._challenge = checks, challenge
        self._findings: dict[str, list[Finding]] = {check: [] for check in checks}

    def fail(self, check: str, what: str, todo: str) -> None:
        self._add(Finding(check, Level.FAIL, what, todo))

    def warn(self, check: str, what: str, todo: str, challenge: bool = False) -> None:
        """A WARN; ``challenge``: other data than the challenge's may well be so."""
        if challenge and not self._challenge:
            self.skip(check, f"{_OTHER_DATA}{what}")
        else:
            self._add(Finding(check, Level.WARN, what, todo))

    def warn_if(
        self, wrong: bool, check: str, what: str, todo: str, challenge: bool = False
    ) -> None:
        """A WARN if ``wrong``, as :meth:`warn` makes it, else a PASS that says the same."""
        if wrong:
            self.warn(check, what, todo, challenge)
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
        """The findings in the catalogue's order; the SKIPs of one check become one, so do PASSes.

        A check that found anything wrong has no PASS.
        """
        out: list[Finding] = []
        for of_check in self._findings.values():
            skipped = [f for f in of_check if f.level is Level.SKIP]
            passed = [f for f in of_check if f.level is Level.PASS]
            out += [*problems(of_check), *_joined(skipped)] or _joined(passed)
        return out

    def _add(self, finding: Finding) -> None:
        limit = self._checks[finding.id].worst
        beyond = _ORDER.index(finding.level) > _ORDER.index(limit)
        if beyond and finding.level is not Level.SKIP:
            raise ValueError(f"check {finding.id} is registered as {limit} at worst")
        if finding not in self._findings[finding.id]:
            self._findings[finding.id].append(finding)


def _joined(findings: Sequence[Finding]) -> list[Finding]:
    """One finding that says what all of these do; none of none."""
    if not findings:
        return []
    texts = [findings[0].what, *(f.what.removeprefix(_OTHER_DATA) for f in findings[1:])]
    return [replace(findings[0], what="; ".join(texts))]


def worst(findings: Iterable[Finding]) -> Level:
    """The most severe level; PASS if there are no findings."""
    return max((f.level for f in findings), key=_ORDER.index, default=Level.PASS)


def problems(findings: Iterable[Finding]) -> list[Finding]:
    """The findings that somebody should look at: each WARN and FAIL."""
    return [f for f in findings if f.level in _PROBLEMS]


def brief(findings: Sequence[Finding]) -> list[Finding]:
    """The findings for a screen: the SKIPs that wait for a FAIL to be mended are one, the last."""
    waiting = [f for f in findings if f.level is Level.SKIP and f.todo]
    if len(waiting) < 2:
        return [*findings]
    what, todo = "not done, since what they need failed", f"{waiting[0].todo}; --json names them"
    one = Finding(f"{len(waiting)} checks", Level.SKIP, what, todo)
    return [*(f for f in findings if f not in waiting), one]


def summary(findings: Sequence[Finding]) -> str:
    """One line: ``1 problem: ID: ...``, or ``no problems: 34 checks passed, 2 skipped``."""
    wrong = problems(findings)
    if len(wrong) == 1:
        what = re.sub(r" \([^()]*\)$", "", wrong[0].what)  # the details stand in its own lines
        return f"1 problem: {wrong[0].id}: {what}"
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
