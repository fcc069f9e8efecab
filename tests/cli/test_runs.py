"""``mmctr-kit runs``: the leaderboard, within 80 columns."""

import json
import shutil
from pathlib import Path

import pytest

from mmctr_kit.cli.runs.listing import _best_kept
from mmctr_kit.data.contract import Task
from mmctr_kit.submission.rules import RULES
from mmctr_kit.submission.verdicts import Breach, RuleVerdict
from tests.cli.conftest import mistake, run


@pytest.mark.usefixtures("eighty_columns")
def test_the_leaderboard_lists_runs_blend_and_oracle_within_80_columns(
    work: Path, tiny_root: Path
) -> None:
    shown = run("runs", "--runs", str(work / "runs"), "--truth", str(tiny_root / "truth"))
    assert shown.exit_code == 0
    for name in ("din_demo", "din_demo_e4", "both", "oracle", "±"):
        assert name in shown.output
    assert max(len(line) for line in shown.output.splitlines()) <= 80
    rows = json.loads(run("runs", "--runs", str(work / "runs"), "--json").stdout)
    assert {r["name"] for r in rows} == {"din_demo", "din_demo_e4", "both"}


def test_the_leaderboard_says_whose_rules_each_run_keeps(work: Path) -> None:
    root = ("--runs", str(work / "runs"))
    line = next(x for x in run("runs", *root).output.splitlines() if x.startswith(" din_demo "))
    assert " 1&2? " in line
    table = run("runs", "--rules", *root).output
    assert "given-embedding" in table
    assert "unclear: averaged" in table
    assert max(map(len, table.splitlines())) <= 80
    whole = {r["name"]: r["rules"] for r in json.loads(run("runs", "--json", *root).stdout)}
    assert whole["both"]["Task2"]["verdict"] == "breached"
    assert whole["both"]["Task1&2"]["verdict"] == "unclear"
    first = whole["both"]["Task2"]["breaches"][0]
    assert (first["rule"], first["said"]) == ("blend", True)
    assert "sources is [din_demo, din_demo_e4]" in first["what"]


def test_runs_that_keep_most_rules_come_first_and_one_task_may_be_chosen(
    work: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = ("--runs", str(work / "runs"))
    rule = RULES[0]
    verdicts = {
        name: [
            RuleVerdict(task, () if word == "kept" else (Breach(rule, task, word == "said", ()),))
            for task, word in zip(Task, words, strict=True)
        ]
        for name, words in (
            ("none", ("said", "said", "unclear")),
            ("unclear", ("said", "unclear", "unclear")),
            ("two", ("said", "kept", "kept")),
            ("all", ("kept", "kept", "kept")),
        )
    }
    assert _best_kept(verdicts) == ["all", "two", "unclear", "none"]
    of_task2 = run("runs", "--rules", "--task", "task2", *root).output
    assert of_task2.splitlines()[0].split() == ["run", "Task2"]
    code, error = mistake(capsys, "runs", "--task", "Task2", *root)
    assert (code, "--task goes with --rules" in error) == (2, True)


def test_an_unfinished_run_is_one_line(tmp_path: Path, work: Path) -> None:
    name = "qin-fit-of-length20"
    shutil.copytree(work / "runs" / "din_demo", tmp_path / name)
    (tmp_path / name / "DONE").unlink()
    (line,) = run("runs", "--runs", str(tmp_path)).output.splitlines()[1:]
    assert line.split()[:2] == [name, "cv"]
    assert "3/3 folds, not yet assembled; stopped" in " ".join(line.split())


def test_no_runs_here_points_to_those_of_the_demo_or_of_the_environment(
    work: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run("runs").output == "there is no folder 'runs' here; 'mmctr-kit cv' makes one\n"
    (tmp_path / "runs").mkdir()
    assert run("runs").output == "no runs in runs yet; make one with 'mmctr-kit cv'\n"
    (tmp_path / "demo").mkdir()
    (tmp_path / "demo" / "runs").symlink_to(work / "runs")
    shown = run("runs").output
    assert "demo/runs has some: mmctr-kit runs --runs demo/runs" in shown
    monkeypatch.setenv("MMCTR_KIT_RUNS", str(work / "runs"))
    (tmp_path / "elsewhere").mkdir()
    assert f"--runs {work / 'runs'}" in run("runs", "--runs", "elsewhere").output


def test_a_folder_of_runs_that_is_not_there_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, error = mistake(capsys, "runs", "--runs", str(tmp_path / "rnus"))
    assert code == 2
    assert f"there is no folder '{tmp_path / 'rnus'}'" in " ".join(error.split())
    code, error = mistake(capsys, "slices", "x", "--runs", str(tmp_path / "rnus"))
    assert code == 2
    assert "no run 'x': there is no folder" in error
