"""The command line as a user types it: exit codes, one-line errors, and the whole path."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from mmctr_kit import __version__
from mmctr_kit.cli.app import app, main
from mmctr_kit.errors import UsageError

TRAIN = ("--set", "training.epochs=2", "--set", "training.batch_size=256", "--devices", "cpu")


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, list(arguments))


def mistake(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str]:
    """Exit code and standard error of a command put through the error boundary."""
    before = sys.argv
    sys.argv = ["mmctr-kit", *arguments]
    try:
        with pytest.raises(SystemExit) as stopped:
            main()
    finally:
        sys.argv = before
    error = capsys.readouterr().err
    assert "Traceback" not in error
    return int(stopped.value.code or 0), error


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory, tiny_root: Path) -> Path:
    """A folder with two runs, a blend and a submission of the tiny data set."""
    folder = tmp_path_factory.mktemp("work")
    data, runs = str(tiny_root / "data"), str(folder / "runs")
    done = run("cv", "din_demo", "din_demo_e4", "--data", data, "--runs", runs, *TRAIN)
    assert done.exit_code == 0, done.output
    done = run("blend", "din_demo", "din_demo_e4", "--name", "both", "--runs", runs)
    assert done.exit_code == 0, done.output
    file = str(folder / "s.zip")
    done = run("submit", "both", "--task", "Task2", "--out", file, "--runs", runs)
    assert done.exit_code == 0, done.output
    return folder


def test_version_and_help_answer() -> None:
    assert run("--version").output.strip() == f"mmctr-kit {__version__}"
    listing = run("--help").output
    for command in ("data", "cv", "runs", "blend", "submit", "score", "import-predictions", "demo"):
        assert command in listing


def test_no_command_at_all_is_the_help(capsys: pytest.CaptureFixture[str]) -> None:
    before = sys.argv
    sys.argv = ["mmctr-kit"]
    try:
        with pytest.raises(SystemExit):
            main()
    finally:
        sys.argv = before
    shown = capsys.readouterr()
    assert "import-predictions" in shown.out + shown.err
    assert "error" not in shown.err


def test_the_whole_path_ends_in_a_submission_that_its_own_check_passes(
    work: Path, tiny_root: Path
) -> None:
    data = str(tiny_root / "data")
    checked = run("submit", "--check", str(work / "s.zip"), "--data", data, "--json")
    assert checked.exit_code == 0, checked.output
    assert {f["level"] for f in json.loads(checked.output)} <= {"PASS", "WARN"}


def test_a_score_is_the_same_from_the_file_and_from_the_run(work: Path, tiny_root: Path) -> None:
    labels, data = str(tiny_root / "truth" / "test_labels.parquet"), str(tiny_root / "data")
    of_file = run("score", str(work / "s.zip"), "--labels", labels, "--data", data, "--json")
    of_run = run("score", "both", "--labels", labels, "--runs", str(work / "runs"), "--json")
    first, second = json.loads(of_file.output), json.loads(of_run.output)
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
    assert json.loads(found.output, parse_constant=pytest.fail)["se"] is None


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


def test_a_finished_blend_is_the_same_json_again(work: Path) -> None:
    runs = str(work / "runs")
    blend = ("blend", "din_demo", "--name", "one", "--runs", runs)
    first, again = (run(*blend, "--json") for _ in range(2))
    shutil.rmtree(work / "runs" / "one")
    assert first.exit_code == again.exit_code == 0
    assert json.loads(first.output) == json.loads(again.output)
    assert json.loads(first.output).keys() >= {"method", "reason", "weights", "metrics"}


def test_a_submission_alone_becomes_a_run_that_can_be_blended(
    work: Path, tmp_path: Path, tiny_root: Path
) -> None:
    where = ("--runs", str(tmp_path / "runs"))
    data, file = str(tiny_root / "data"), str(work / "s.zip")
    made = run("import-predictions", file, "--name", "theirs", "--data", data, *where)
    assert made.exit_code == 0, made.output
    assert re.search(r"theirs:?\s+imported 400 test predictions", made.output)
    ours = str(work / "runs" / "din_demo")
    blended = run("blend", "theirs", ours, "--name", "all", *where)
    assert blended.exit_code == 0, blended.output
    assert "no valid AUC, since a run has no valid rows" in blended.output
    assert run("runs", *where).exit_code == 0


@pytest.mark.parametrize("seed", ["-1", str(2**31), "9" * 30])
@pytest.mark.parametrize(
    "command",
    [("blend", "a", "--name", "b"), ("data", "synth", "out"), ("data", "movielens", "in", "out")],
    ids=" ".join,
)
def test_a_seed_out_of_range_is_wrong_usage(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, command: tuple[str, ...], seed: str
) -> None:
    monkeypatch.chdir(tmp_path)
    done = run(*command, "--seed", seed)
    assert done.exit_code == 2
    assert "Invalid value for '--seed'" in done.output
    assert not list(tmp_path.iterdir())


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


def test_a_finished_run_is_left_alone_and_says_so(work: Path, tiny_root: Path) -> None:
    again = run(
        "cv", "din_demo", "--data", str(tiny_root / "data"), "--runs", str(work / "runs"), *TRAIN
    )
    assert again.exit_code == 0
    assert "finished already" in again.output


def test_epochs_that_min_steps_raises_are_said_before_and_while_training(
    tmp_path: Path, tiny_root: Path
) -> None:
    steps = ("--set", "training.epochs=1", "--set", "training.min_steps=20")
    arguments = (
        *("cv", "din_demo", "--data", str(tiny_root / "data"), "--runs", str(tmp_path / "runs")),
        *("--set", "folds.count=2", "--devices", "cpu"),
    )
    for more in (("--dry-run",), ()):
        done = run(*arguments, *steps, *more)
        assert done.exit_code == 0, done.output
        assert done.output.count("training.epochs 1 raised to ") == 1
        assert "by training.min_steps 20" in done.output
    done = run(*arguments, "--set", "training.min_steps=0", "--dry-run", "--name", "y")
    assert "raised" not in done.output


def test_an_empty_name_is_no_name(tiny_root: Path) -> None:
    done = run("cv", "din_demo", "--data", str(tiny_root / "data"), "--name", "")
    assert isinstance(done.exception, UsageError)
    assert str(done.exception).startswith("--name '': expected letters")


def test_a_dry_run_prints_the_plan_and_makes_nothing(tmp_path: Path, tiny_root: Path) -> None:
    runs = tmp_path / "runs"
    shown = run(
        "cv", "din_demo", "--data", str(tiny_root / "data"), "--runs", str(runs), "--dry-run"
    )
    assert shown.exit_code == 0, shown.output
    assert re.search(r"rows train / valid / test\s+2,000 / 400 / 400", shown.output)
    assert "steps a fold model" in shown.output
    assert re.search(r"training data kept in\s+CPU memory", shown.output)
    assert not runs.exists()


def test_data_check_passes_clean_data_and_fails_a_broken_folder(
    tiny_root: Path, tmp_path: Path
) -> None:
    assert run("data", "check", str(tiny_root / "data")).exit_code == 0
    broken = run("data", "check", str(tmp_path), "--json")
    assert broken.exit_code == 1
    assert "FAIL" in {f["level"] for f in json.loads(broken.output)}


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("cv", "qinn", "--data", "."), "no recipe 'qinn'"),
        (("cv", "din_demo", "din_demo_e4", "--data", ".", "--name", "x"), "--name goes with one"),
        (("cv", "din_demo", "--data", "nowhere"), "no data folder at 'nowhere'"),
        (("cv", "din_demo", "--data", ".", "--set", "training.epoch=3"), "did you mean epochs?"),
        (("cv", "din_demo", "--data", ".", "--set", "model.width=3"), "unknown key model.width"),
        (("cv", "din_demo", "--data", ".", "--name", "../x"), "expected letters"),
        (("blend", "nothing", "--name", "x"), "no run 'nothing'"),
        (("submit", "nothing", "--task", "Task1"), "no run 'nothing'"),
        (("submit", "nothing"), "--task is missing"),
        (("submit", __file__), "add --check"),
        (("submit", "nothing", "--task", "Task1", "--data", "x"), "--data goes with --check"),
        (("submit", "--check", "nowhere.zip"), "nowhere.zip"),
        (("score", "nothing", "--labels", "nowhere.csv"), "no labels file"),
        (("score", "nothing.zip", "--labels", "nowhere.csv"), "no file 'nothing.zip'"),
        (("submit", "nothing.zip", "--task", "Task1"), "no file 'nothing.zip'"),
        (("data", "check", "nowhere"), "no data folder"),
        (("data", "synth", "x", "--preset", "huge"), "no preset 'huge'"),
        (("demo", "--out", "x", "--preset", "tyni"), "no preset 'tyni' (did you mean tiny?)"),
        (("data", "movielens", "nowhere", "x"), "nowhere"),
        (("recipes", "qinn"), "no recipe 'qinn'"),
        (("cvv",), "No such command 'cvv'"),
        (("cv",), "Missing argument"),
        (("blend", "a"), "Missing option '--name'"),
        (("data", "synth", "x", "--seed", "-1"), "'--seed'"),
        (("cv", "din_demo", "--data", ".", "--devices", "tpu"), "'--devices'"),
        (("import-checkpoint", "x.pt", "--recipe", "qin", "--name", "x", "--data", "."), "x.pt"),
    ],
    ids=lambda v: " ".join(v) if isinstance(v, tuple) else "",
)
def test_a_wrong_command_is_one_line_and_exit_2(
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    arguments: tuple[str, ...],
    says: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    code, error = mistake(capsys, *arguments)
    assert code == 2
    assert says in error
    assert error.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_a_failed_operation_is_one_line_and_exit_1(
    capsys: pytest.CaptureFixture[str], work: Path, tiny_root: Path
) -> None:
    data, runs = str(tiny_root / "data"), str(work / "runs")
    settings = ("--set", "training.learning_rate=0.1", "--devices", "cpu")
    code, error = mistake(capsys, "cv", "din_demo", "--data", data, "--runs", runs, *settings)
    assert code == 1
    assert "differs in recipe" in error
    assert error.count("\n") == 1


def test_an_absent_gpu_that_was_asked_for_is_exit_2(
    capsys: pytest.CaptureFixture[str], tiny_root: Path
) -> None:
    import torch

    if torch.cuda.is_available():
        pytest.skip("there is a GPU here")
    data = str(tiny_root / "data")
    code, error = mistake(capsys, "cv", "din_demo", "--data", data, "--devices", "cuda")
    assert code == 2
    assert "no GPU here" in error


def test_debug_shows_the_traceback(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "mmctr_kit", "--debug", "data", "check", "nowhere"],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env=os.environ.copy(),
    )
    assert done.returncode != 0
    assert "Traceback" in done.stderr


def test_a_generated_folder_named_one_level_too_high_is_recognised(
    capsys: pytest.CaptureFixture[str], tiny_root: Path
) -> None:
    for folder in (tiny_root, tiny_root / "data" / "MicroLens_1M_x1"):
        for command in (("cv", "din_demo", "--data"), ("data", "check"), ("data", "profile")):
            code, error = mistake(capsys, *command, str(folder))
            assert code == 2
            assert f"'{folder}' is not a data folder, but '{tiny_root / 'data'}' is" in error


def test_a_demo_of_another_data_set_is_refused_before_its_first_step(
    capsys: pytest.CaptureFixture[str], tiny_root: Path
) -> None:
    code, error = mistake(capsys, "demo", "--out", str(tiny_root), "--preset", "demo")
    assert code == 2
    assert "holds preset tiny, seed 0" in error


def test_a_demo_into_a_folder_of_something_else_is_refused_before_its_first_step(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "mine.txt").write_text("x")
    for out in (tmp_path, tmp_path / "mine.txt"):
        code, error = mistake(capsys, "demo", "--out", str(out), "--preset", "tiny")
        assert code == 2
        assert "is neither a demo's folder nor an empty one" in error
        assert error.count("\n") == 1
    assert [p.name for p in tmp_path.iterdir()] == ["mine.txt"]


def test_labels_of_a_part_of_the_rows_are_said_to_be_that(
    work: Path, tiny_root: Path, tmp_path: Path
) -> None:
    import pandas as pd

    labels = pd.read_parquet(tiny_root / "truth" / "test_labels.parquet").head(100)
    labels.to_csv(tmp_path / "some.csv", index=False)
    file = str(tmp_path / "some.csv")
    shown = run("score", "both", "--labels", file, "--runs", str(work / "runs"))
    assert "300 scores have no label" in shown.output


def test_an_exported_item_info_serves_as_an_item_file(work: Path, tiny_root: Path) -> None:
    data, out = str(tiny_root / "data"), str(work / "export.parquet")
    done = run("items", "export", "din_demo_e4", "--data", data, "--out", out)
    assert done.exit_code == 0, done.output
    shown = run(
        "cv",
        "din_demo",
        "--data",
        data,
        "--dry-run",
        "--devices",
        "cpu",
        "--runs",
        str(work / "x"),
        "--set",
        "items.embedding=file",
        "--set",
        f"items.file={out}",
    )
    assert shown.exit_code == 0, shown.output
