import json

import pytest

from mmctr_kit.audit.findings import Finding, Level, as_json, exit_code, worst
from mmctr_kit.errors import plural


def finding(level: Level) -> Finding:
    return Finding("some-check", level, "what was found", "what to do")


@pytest.mark.parametrize(
    ("levels", "expected"),
    [
        ([], Level.PASS),
        ([Level.PASS], Level.PASS),
        ([Level.WARN, Level.PASS], Level.WARN),
        ([Level.WARN, Level.FAIL, Level.PASS], Level.FAIL),
    ],
)
def test_the_worst_level_is_the_most_severe_one(levels: list[Level], expected: Level) -> None:
    assert worst(finding(x) for x in levels) is expected


@pytest.mark.parametrize(
    ("level", "plain", "strict"), [(Level.PASS, 0, 0), (Level.WARN, 0, 1), (Level.FAIL, 1, 1)]
)
def test_strict_turns_a_warning_and_nothing_else_into_exit_1(
    level: Level, plain: int, strict: int
) -> None:
    found = [finding(Level.PASS), finding(level)]
    assert (exit_code(found, strict=False), exit_code(found, strict=True)) == (plain, strict)


def test_json_holds_every_field_in_order() -> None:
    text = json.dumps(as_json([finding(Level.WARN), finding(Level.PASS)]))
    assert json.loads(text) == [
        {"id": "some-check", "level": level, "what": "what was found", "todo": "what to do"}
        for level in ("WARN", "PASS")
    ]


def test_one_of_a_thing_is_told_in_the_singular_and_none_or_many_in_the_plural() -> None:
    assert [plural(n, "row") for n in (0, 1, 2_000)] == ["0 rows", "1 row", "2,000 rows"]
    assert [plural(n, "row has", "rows have") for n in (1, 2)] == ["1 row has", "2 rows have"]
