"""``mmctr-kit submit`` and ``score``: a submission passes its check, and scores like its run."""

import json
from pathlib import Path

import pytest

from mmctr_kit.yaml_files import parse_yaml
from tests.cli.conftest import mistake, run


def test_the_whole_path_ends_in_a_submission_that_its_own_check_passes(
    work: Path, tiny_root: Path
) -> None:
    data = str(tiny_root / "data")
    checked = run("submit", "--check", str(work / "s.zip"), "--data", data, "--json")
    assert checked.exit_code == 0, checked.output
    assert {f["level"] for f in json.loads(checked.stdout)} <= {"PASS", "WARN"}


def test_the_help_says_when_the_task_is_needed() -> None:
    shown = " ".join(run("submit", "--help").output.split())
    assert "submit [OPTIONS] RUN|FILE" in shown
    assert "Column to write; needed without --check." in shown


SPEC = """
container: csv
ids: {column: id, like: sample.csv, order: any}
columns: {required: [target]}
"""


def test_a_file_for_another_contest_is_checked_under_its_spec(
    work: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "kaggle.yaml").write_text(SPEC)
    (tmp_path / "sample.csv").write_text("id,target\nx,0\ny,0\n")
    (tmp_path / "mine.csv").write_text("id,target\ny,-7.25\nx,12.5\n")
    file, spec, runs = (
        str(tmp_path / "mine.csv"),
        str(tmp_path / "kaggle.yaml"),
        str(work / "runs"),
    )
    checked = run("submit", "--check", file, "--spec", spec, "--runs", runs, "--json")
    assert checked.exit_code == 0, checked.output
    findings = {f["id"]: f for f in json.loads(checked.stdout)}
    assert {f["level"] for f in findings.values()} == {"PASS", "SKIP"}
    assert findings["rank-correlation"]["what"].startswith("it and rows-aligned need --data")
    (tmp_path / "mine.csv").write_text("id,target\ny,-7.25\nz,12.5\n")
    assert run("submit", "--check", file, "--spec", spec, "--runs", runs).exit_code == 1
    (tmp_path / "kaggle.yaml").write_text(SPEC + "membr: a.csv")
    code, error = mistake(capsys, "submit", "--check", file, "--spec", spec)
    assert (code, error.count("\n")) == (2, 1)
    assert "unknown key membr (did you mean member?)" in error
    code, error = mistake(capsys, "submit", "both", "--task", "Task2", "--spec", spec)
    assert (code, error.count("\n")) == (2, 1)
    assert "--spec goes with --check" in error


def test_the_example_spec_is_printed_whole_and_loads(tmp_path: Path) -> None:
    from mmctr_kit.submission.spec import SHIPPED, challenge, load_spec

    shown = run("submit", "--spec-example")
    assert (shown.exit_code, shown.output) == (0, SHIPPED.read_text())
    told = run("submit", "--spec-example", "--json")
    assert json.loads(told.stdout) == parse_yaml(shown.output)
    (tmp_path / "mine.yaml").write_text(shown.output)
    assert load_spec(tmp_path / "mine.yaml") == challenge()


@pytest.mark.parametrize("order", [1, -1], ids=["list first", "spec first"])
def test_the_list_leaves_out_what_does_not_apply_to_a_spec(tmp_path: Path, order: int) -> None:
    (tmp_path / "kaggle.yaml").write_text(SPEC)
    (tmp_path / "sample.csv").write_text("id,target\nx,0\ny,0\n")
    options = [("--list",), ("--spec", str(tmp_path / "kaggle.yaml"))][::order]
    shown = run("submit", *options[0], *options[1]).output
    for absent in ("zip-", "id-order", "id-integer", "score-range", "rule-", "prediction.csv"):
        assert absent not in shown
    for word in ("score-ties", "id-unique", "under another spec neither is checked"):
        assert word in shown
    assert "as it was read on 2026-11-28" in run("submit", "--list").output


def test_a_copy_of_the_challenges_spec_checks_like_none(work: Path, tiny_root: Path) -> None:
    from mmctr_kit.submission.spec import SHIPPED

    command = ("submit", "--check", str(work / "s.zip"), "--data", str(tiny_root / "data"))
    with_spec = run(*command, "--runs", str(work / "runs"), "--spec", str(SHIPPED), "--json")
    assert with_spec.output == run(*command, "--runs", str(work / "runs"), "--json").output


def test_a_score_is_the_same_from_the_file_and_from_the_run(work: Path, tiny_root: Path) -> None:
    labels, data = str(tiny_root / "truth" / "test_labels.parquet"), str(tiny_root / "data")
    of_file = run("score", str(work / "s.zip"), "--labels", labels, "--data", data, "--json")
    of_run = run("score", "both", "--labels", labels, "--runs", str(work / "runs"), "--json")
    first, second = json.loads(of_file.stdout), json.loads(of_run.stdout)
    assert first == pytest.approx(second)
    assert set(first) == {"auc", "se", "n"}
    assert first["n"] == 400


def test_a_score_whose_error_the_labels_cannot_tell_is_null_in_json(
    work: Path, tmp_path: Path
) -> None:
    labels = tmp_path / "labels.csv"
    labels.write_text("ID,label\n0,0\n1,1\n")  # one positive: no variance between them
    found = run("score", str(work / "s.zip"), "--labels", str(labels), "--json")
    assert found.exit_code == 0, found.output
    assert json.loads(found.stdout, parse_constant=pytest.fail)["se"] is None


def test_score_takes_no_task_of_a_run(
    capsys: pytest.CaptureFixture[str], work: Path, tiny_root: Path
) -> None:
    labels, runs = str(tiny_root / "truth" / "test_labels.parquet"), str(work / "runs")
    code, error = mistake(
        capsys, "score", "both", "--labels", labels, "--runs", runs, "--task", "Task1"
    )
    assert code == 2
    assert "a run has one score" in error
    assert error.count("\n") == 1


def test_labels_of_a_part_of_the_rows_are_said_to_be_that(
    work: Path, tiny_root: Path, tmp_path: Path
) -> None:
    import pandas as pd

    labels = pd.read_parquet(tiny_root / "truth" / "test_labels.parquet").head(100)
    labels.to_csv(tmp_path / "some.csv", index=False)
    file = str(tmp_path / "some.csv")
    shown = run("score", "both", "--labels", file, "--runs", str(work / "runs"))
    assert "300 scores have no label" in shown.output
