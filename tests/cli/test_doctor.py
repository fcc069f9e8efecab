"""mmctr-kit doctor: the findings as text or JSON, and the exit code."""

import json
from pathlib import Path

import pytest

from mmctr_kit.audit.findings import Finding, Level
from mmctr_kit.bench import doctor
from tests.cli.conftest import run

PASS = Finding("gpu", Level.PASS, "cuda:0: H100", "")
WARN = Finding("triton", Level.WARN, "there is no C compiler", "install gcc")
FAIL = Finding("self-test", Level.FAIL, "cuda:0 computes wrongly", "report it")


@pytest.mark.parametrize(
    ("findings", "options", "code"),
    [
        ([PASS], [], 0),
        ([PASS, WARN], [], 0),
        ([PASS, WARN], ["--strict"], 1),
        ([PASS, FAIL], [], 1),
    ],
)
def test_only_a_fail_is_a_failure(
    monkeypatch: pytest.MonkeyPatch,
    findings: list[Finding],
    options: list[str],
    code: int,
) -> None:
    asked: list[tuple[Path, bool]] = []

    def diagnose(runs: Path, self_test: bool) -> list[Finding]:
        asked.append((runs, self_test))
        return findings

    monkeypatch.setattr(doctor, "diagnose", diagnose)
    assert run("doctor", "--json", *options).exit_code == code
    there = run("doctor", "--no-self-test", "--runs", "there", *options)
    assert there.exit_code == code
    assert all(each.what in there.output for each in findings)
    assert asked == [(Path("runs"), True), (Path("there"), False)]


def test_json_is_a_list_of_findings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "diagnose", lambda *_: [PASS, WARN])
    out = run("doctor", "--json").stdout
    assert [each["level"] for each in json.loads(out)] == ["PASS", "WARN"]
