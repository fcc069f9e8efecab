"""Progress: a bar on a terminal, plain lines elsewhere, and events for a callable."""

import os
import pty
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

import mmctr_kit
from mmctr_kit import ProgressEvent
from tests.api.conftest import SHORT

CODE = "import sys; from mmctr_kit.cli.app import main; sys.argv[0] = 'mmctr-kit'; main()"


def command(root: Path, runs: Path) -> list[str]:
    settings = ("training.epochs=3", "training.min_steps=0", "folds.count=2")
    sets = [word for setting in settings for word in ("--set", setting)]
    where = ["--data", str(root / "data"), "--runs", str(runs), "--jobs", "1", "--device", "cpu"]
    return [sys.executable, "-c", CODE, "cv", "din_demo", *where, *sets]


def on_a_terminal(arguments: list[str]) -> str:
    """What a command shows on a terminal of 100 columns."""
    ours, theirs = pty.openpty()
    environment = os.environ | {"TERM": "xterm-256color", "COLUMNS": "100"}
    process = subprocess.Popen(
        arguments, stdin=theirs, stdout=theirs, stderr=theirs, env=environment, close_fds=True
    )
    os.close(theirs)
    shown = b""
    with suppress(OSError):  # Linux raises it where the other side was closed
        while part := os.read(ours, 65536):
            shown += part
    os.close(ours)
    assert process.wait() == 0, shown
    return shown.decode()


def test_a_terminal_gets_a_bar_with_the_time_left(tiny_root: Path, tmp_path: Path) -> None:
    shown = on_a_terminal(command(tiny_root, tmp_path / "runs"))
    assert "\x1b[" in shown
    assert "din_demo fold 1 seed 0" in shown
    assert "100%" in shown
    assert "0:00:0" in shown
    assert "epoch 1/3: loss" not in shown
    assert "OOF AUC" in shown.splitlines()[-1] + shown.splitlines()[-2]


def test_a_pipe_gets_a_plain_line_for_each_epoch(tiny_root: Path, tmp_path: Path) -> None:
    done = subprocess.run(
        command(tiny_root, tmp_path / "runs"), capture_output=True, text=True, check=True
    )
    assert "\x1b" not in done.stdout + done.stderr
    lines = done.stdout.splitlines()
    assert sum("epoch" in line for line in lines) == 6
    assert sum("done in" in line for line in lines) == 2
    assert max(len(line) for line in lines if str(tmp_path) not in line) <= 80


def test_progress_true_prints_lines_if_there_is_no_terminal_and_none_prints_nothing(
    tiny_root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, progress in (("silent", None), ("shown", True)):
        mmctr_kit.cross_validate(
            "history_length_only",
            tiny_root / "data",
            name=name,
            set=SHORT,
            jobs=1,
            runs=tmp_path,
            progress=progress,
        )
        lines = capsys.readouterr().out.splitlines()
        assert sum("done in" in line for line in lines) == (2 if progress else 0)


def test_a_warning_is_pythons_own_unless_a_callable_hears_it() -> None:
    from mmctr_kit.api.progress import listening

    warning = ProgressEvent("warning", "histories are empty")
    heard: list[ProgressEvent] = []
    with listening(heard.append) as listen:
        listen(warning)
    assert heard == [warning]
    with listening(None) as listen, pytest.warns(UserWarning, match="histories are empty"):
        listen(warning)
