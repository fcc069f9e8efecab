"""mmctr_kit.audit.findings: the log, the catalogue, levels and exit codes."""

import json

import pytest

from mmctr_kit.audit.findings import (
    CheckInfo,
    Finding,
    Level,
    Log,
    as_json,
    catalogue,
    exit_code,
    problems,
    summary,
    worst,
)
from mmctr_kit.errors import plural

PASS, SKIP, WARN, FAIL = Level.PASS, Level.SKIP, Level.WARN, Level.FAIL
CHECKS = catalogue(
    CheckInfo("zip-format", "it is a zip"),
    CheckInfo("csv-quotes", "no quotes", worst=WARN),
    CheckInfo("remark", "a remark", worst=PASS),
)

WHAT = "expected this; found that (in 3 places)"


def finding(level: Level) -> Finding:
    return Finding("some-check", level, WHAT, "what to do")


@pytest.mark.parametrize(
    ("levels", "expected"),
    [
        ([], PASS),
        ([PASS], PASS),
        ([SKIP, PASS], SKIP),
        ([WARN, SKIP], WARN),
        ([WARN, FAIL, PASS], FAIL),
    ],
)
def test_the_worst_level_is_the_most_severe_one(levels: list[Level], expected: Level) -> None:
    assert worst(finding(x) for x in levels) is expected


@pytest.mark.parametrize(
    ("level", "plain", "strict"), [(PASS, 0, 0), (SKIP, 0, 0), (WARN, 0, 1), (FAIL, 1, 1)]
)
def test_strict_turns_a_warning_and_nothing_else_into_exit_1(
    level: Level, plain: int, strict: int
) -> None:
    found = [finding(PASS), finding(level)]
    assert (exit_code(found, strict=False), exit_code(found, strict=True)) == (plain, strict)


@pytest.mark.parametrize(
    ("levels", "line"),
    [
        ([PASS], "no problems: 1 check passed"),
        ([PASS, PASS, SKIP], "no problems: 2 checks passed, 1 skipped"),
        ([PASS, FAIL], "1 problem: some-check: expected this; found that"),
        ([WARN, SKIP], "1 problem: some-check: expected this; found that"),
        ([WARN, FAIL, WARN, PASS, SKIP], "3 problems (1 FAIL, 2 WARN); 1 check passed, 1 skipped"),
        ([WARN, WARN], "2 problems (2 WARN); 0 checks passed"),
    ],
)
def test_one_line_sums_up(levels: list[Level], line: str) -> None:
    found = [finding(level) for level in levels]
    assert summary(found) == line
    assert [f.level for f in problems(found)] == [x for x in levels if x in (WARN, FAIL)]


def test_a_check_of_any_worst_level_can_be_skipped() -> None:
    log = Log(CHECKS)
    log.skip("remark", "it needs a file", "download it")
    assert log.findings() == [Finding("remark", SKIP, "it needs a file", "download it")]


def test_json_holds_every_field_in_order() -> None:
    text = json.dumps(as_json([finding(WARN), finding(PASS)]))
    assert json.loads(text) == [
        {
            "id": "some-check",
            "level": level,
            "what": WHAT,
            "todo": "what to do",
        }
        for level in ("WARN", "PASS")
    ]


def test_findings_come_in_the_catalogues_order_and_a_pass_only_if_nothing_is_wrong() -> None:
    log = Log(CHECKS)
    log.passed("remark", "one")
    log.warn("csv-quotes", "quotes", "remove")
    log.passed("csv-quotes", "none")
    log.passed("remark", "two")
    log.fail("zip-format", "no zip", "zip it")
    assert [(f.id, f.level, f.what) for f in log.findings()] == [
        ("zip-format", FAIL, "no zip"),
        ("csv-quotes", WARN, "quotes"),
        ("remark", PASS, "one; two"),
    ]
    assert (log.worst("csv-quotes"), log.worst("remark")) == (WARN, PASS)


def test_the_same_finding_is_reported_once() -> None:
    log = Log(CHECKS)
    for _ in range(2):
        log.warn("csv-quotes", "quotes", "remove")
    log.warn("csv-quotes", "other quotes", "remove")
    assert [f.what for f in log.findings()] == ["quotes", "other quotes"]


def test_an_unregistered_check_or_a_level_beyond_its_worst_is_a_bug() -> None:
    log = Log(CHECKS)
    with pytest.raises(ValueError, match="WARN at worst"):
        log.fail("csv-quotes", "", "")
    with pytest.raises(ValueError, match="PASS at worst"):
        log.warn("remark", "", "")
    with pytest.raises(KeyError):
        log.warn("no-such-check", "", "")


def test_one_of_a_thing_is_told_in_the_singular_and_none_or_many_in_the_plural() -> None:
    assert [plural(n, "row") for n in (0, 1, 2_000)] == ["0 rows", "1 row", "2,000 rows"]
    assert [plural(n, "row has", "rows have") for n in (1, 2)] == ["1 row has", "2 rows have"]
