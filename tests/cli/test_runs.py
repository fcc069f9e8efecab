"""``mmctr-kit runs``: the leaderboard, within 80 columns."""

import json
from pathlib import Path

import pytest

from tests.cli.conftest import run


def test_the_leaderboard_lists_runs_blend_and_oracle_within_80_columns(
    work: Path, tiny_root: Path
) -> None:
    shown = run("runs", "--runs", str(work / "runs"), "--truth", str(tiny_root / "truth"))
    assert shown.exit_code == 0
    for name in ("din_demo", "din_demo_e4", "both", "oracle", "±"):
        assert name in shown.output
    assert max(len(line) for line in shown.output.splitlines()) <= 80
    rows = json.loads(run("runs", "--runs", str(work / "runs"), "--json").output)
    assert {r["name"] for r in rows} == {"din_demo", "din_demo_e4", "both"}


def test_the_leaderboard_says_whose_rules_each_run_keeps(work: Path) -> None:
    root = ("--runs", str(work / "runs"))
    line = next(x for x in run("runs", *root).output.splitlines() if x.startswith(" din_demo "))
    assert line.rstrip().endswith(" 1&2?")
    table = run("runs", "--rules", *root).output
    assert "given-embedding" in table
    assert "unclear: averaged" in table
    assert max(map(len, table.splitlines())) <= 80
    whole = {r["name"]: r["rules"] for r in json.loads(run("runs", "--json", *root).output)}
    assert whole["both"]["Task2"]["verdict"] == "breached"
    assert whole["both"]["Task1&2"]["verdict"] == "unclear"
    first = whole["both"]["Task2"]["breaches"][0]
    assert (first["rule"], first["said"]) == ("blend", True)
    assert "sources is [din_demo, din_demo_e4]" in first["what"]


def test_no_runs_here_points_to_those_of_the_demo_or_of_the_environment(
    work: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run("runs").output == "no runs in runs yet; make one with 'mmctr-kit cv'\n"
    (tmp_path / "demo").mkdir()
    (tmp_path / "demo" / "runs").symlink_to(work / "runs")
    shown = run("runs").output
    assert "demo/runs has some: mmctr-kit runs --runs demo/runs" in shown
    monkeypatch.setenv("MMCTR_KIT_RUNS", str(work / "runs"))
    assert f"--runs {work / 'runs'}" in run("runs", "--runs", "elsewhere").output
