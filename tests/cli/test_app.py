"""The app and its error boundary: exit codes, one-line errors, and help that fills the terminal."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from mmctr_kit import __version__
from mmctr_kit.cli.app import flowed, main
from tests.cli.conftest import mistake, run


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


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("cv", "qinn", "--data", "."), "no recipe 'qinn'"),
        (("cv", "din_demo", "din_demo_e4", "--data", ".", "--name", "x"), "--name goes with one"),
        (("cv", "din_demo", "--data", "nowhere"), "no data folder at 'nowhere'"),
        (
            ("cv", "din_demo", "--data", ".", "--set", "training.epoch=3"),
            "mean training.epochs?",
        ),
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
        (("cvv",), "no command 'cvv' (did you mean cv?)"),
        (("cv",), "RECIPE... is missing"),
        (("blend", "a"), "--name is missing"),
        (("data", "synth", "x", "--seed", "-1"), "--seed: expected"),
        (("cv", "din_demo", "--data", ".", "--devices", "tpu"), "--devices: expected"),
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


def test_a_paragraph_is_one_line_and_paragraphs_stay_apart() -> None:
    assert flowed("One\nline.\n\nAnother\none.") == "One line.\n\nAnother one."


def test_an_example_keeps_its_lines() -> None:
    text = "What it does.\n\n[bold]Examples[/bold]\n\n  mmctr-kit cv a\n\n  mmctr-kit cv b"
    assert flowed(text) == text
