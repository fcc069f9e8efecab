"""What tests of several commands share: run one, read its mistake, and finished work."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from mmctr_kit.cli.app import app, main

TRAIN = ("--set", "training.epochs=2", "--set", "training.batch_size=256", "--devices", "cpu")


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, list(arguments))


def mistake(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str]:
    """Exit code and standard error of a command with a user's mistake."""
    code, error = command(capsys, *arguments)
    assert "Traceback" not in error
    return code, error


def command(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str]:
    """Exit code and standard error of a command put through the error boundary."""
    before = sys.argv
    sys.argv = ["mmctr-kit", *arguments]
    try:
        with pytest.raises(SystemExit) as stopped:
            main()
    finally:
        sys.argv = before
    return int(stopped.value.code or 0), capsys.readouterr().err


@pytest.fixture(autouse=True, scope="session")
def one_core() -> Iterator[None]:
    """A command trains in its own process unless told otherwise: each worker loads torch."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("mmctr_kit.cv.executors.local.available_cores", lambda: 1)
        yield


@pytest.fixture
def eighty_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tables have the room of a terminal of 80 columns; in a pipe they take what they need."""
    monkeypatch.setattr("mmctr_kit.cli.output.room", lambda: 80.0)


@pytest.fixture(scope="session")
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
