"""Progress: on standard error a bar or plain lines, and events for a callable."""

import fcntl
import json
import os
import pty
import re
import subprocess
import sys
import termios
import time
from pathlib import Path

import pytest

import mmctr_kit
from mmctr_kit import ProgressEvent
from tests.api.conftest import SHORT
from tests.cli.test_terminated import ended

CODE = "import sys; from mmctr_kit.cli.app import main; sys.argv[0] = 'mmctr-kit'; main()"


def command(root: Path, runs: Path) -> list[str]:
    settings = ("training.epochs=3", "training.min_steps=0", "folds.count=2")
    sets = [word for setting in settings for word in ("--set", setting)]
    where = ["--data", str(root / "data"), "--runs", str(runs), "--jobs", "1", "--device", "cpu"]
    return [sys.executable, "-c", CODE, "cv", "din_demo", *where, *sets]


class Terminal:
    """A command on a pseudo-terminal of ``columns`` columns, with all that it shows."""

    def __init__(self, arguments: list[str], columns: int = 100, stdout: int | None = None) -> None:
        self.ours, theirs = pty.openpty()
        environment = os.environ | {"TERM": "xterm-256color", "COLUMNS": str(columns)}
        environment |= {"PYTHONIOENCODING": "utf-8"}
        self.began = time.monotonic()
        self.process = subprocess.Popen(
            arguments,
            stdin=theirs,
            stdout=theirs if stdout is None else stdout,
            stderr=theirs,
            env=environment,
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(2, termios.TIOCSCTTY, 0),
        )
        os.close(theirs)
        self.shown, self.times = b"", list[float]()

    def read(self, until: bytes = b"") -> str:
        """Read until what is shown matches ``until``, or to the end."""
        while not until or not re.search(until, self.shown):
            try:
                part = os.read(self.ours, 65536)
            except OSError:  # Linux raises it if the other side was closed
                break
            self.shown += part
            self.times.append(time.monotonic() - self.began)
        return self.shown.decode(errors="replace")

    def press(self, key: bytes) -> None:
        os.write(self.ours, key)

    def end(self) -> int:
        self.read()
        os.close(self.ours)
        return self.process.wait()


@pytest.mark.slow
def test_a_terminal_shows_what_is_done_from_the_start_and_a_bar_with_the_time_left(
    tiny_root: Path, tmp_path: Path
) -> None:
    long = ("--set", "training.batch_size=8")
    terminal = Terminal([*command(tiny_root, tmp_path / "runs"), *long], columns=60)
    assert terminal.end() == 0, terminal.shown
    shown = terminal.read()
    assert "\x1b[" in shown
    assert shown.index("starting") < shown.index("loading") < shown.index("epoch")
    assert "din_demo fold 1 seed 0: epoch" in shown
    assert "rows/s" in shown
    assert re.search(r"0:00:\d\d left", shown)
    assert "epoch 1/3: loss" not in shown
    assert "OOF AUC" in shown[shown.rindex("epoch") :]
    gaps = [b - a for a, b in zip(terminal.times, terminal.times[1:], strict=False)]
    assert max(gaps) < 10  # it is 1 s unless the machine is busy with other tests


@pytest.mark.slow
def test_ctrl_c_leaves_one_line_the_cursor_and_no_worker(tiny_root: Path, tmp_path: Path) -> None:
    line = command(tiny_root, tmp_path / "runs")
    line[line.index("--jobs") + 1] = "2"
    terminal = Terminal([*line, "--set", "training.epochs=400"])
    terminal.read(rb": epoch \d+/400")
    terminal.press(b"\x03")
    assert terminal.end() == 130, terminal.shown
    shown = terminal.read()
    plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", shown)
    assert plain.count("error: interrupted; the same command goes on from the last") == 1
    assert "Traceback" not in shown
    assert shown.rindex("\x1b[?25h") > shown.rindex("\x1b[?25l")
    # Nothing of the bar is left behind the last time that its lines were cleared.
    left = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", shown[shown.rindex("\x1b[2K") :])
    assert (
        left.strip() == "error: interrupted; the same command goes on from the last finished epoch"
    )
    assert ended(terminal.process.pid)


@pytest.mark.slow
def test_a_pipe_for_the_results_gets_nothing_else_while_the_terminal_shows_progress(
    tiny_root: Path, tmp_path: Path
) -> None:
    with (tmp_path / "out.json").open("w") as out:
        line = [*command(tiny_root, tmp_path / "runs"), "--json"]
        terminal = Terminal(line, stdout=out.fileno())
        assert terminal.end() == 0, terminal.shown
    shown = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", terminal.read())
    assert re.search(r"din_demo fold \d seed 0: epoch", shown)
    content = json.loads((tmp_path / "out.json").read_text())
    assert content["din_demo"]["valid"]["n"] > 0


@pytest.mark.slow
def test_a_pipe_gets_a_plain_line_for_each_epoch(tiny_root: Path, tmp_path: Path) -> None:
    done = subprocess.run(
        command(tiny_root, tmp_path / "runs"), capture_output=True, text=True, check=True
    )
    assert "\x1b" not in done.stdout + done.stderr
    lines = done.stderr.splitlines()
    assert sum("epoch" in line for line in lines) == 6
    assert sum("done in" in line for line in lines) == 2
    assert max(len(line) for line in lines if "/" not in line.replace("/3", "")) <= 80
    (result,) = done.stdout.splitlines()[:1]
    assert str(tmp_path / "runs" / "din_demo") in result
    assert "epoch" not in done.stdout


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
        shown = capsys.readouterr()
        assert shown.out == ""
        lines = shown.err.splitlines()
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


def test_without_a_terminal_a_line_each_half_minute_says_how_far_it_is(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from mmctr_kit.api import progress

    now = [1000.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    with progress.Display(quiet=False) as display:
        display(ProgressEvent("load", label="loading DATA"))
        display(ProgressEvent("load", label="loading DATA"))
        display(ProgressEvent("begin", label="qin", total=5))
        for second in range(1, 101):
            now[0] = 1000.0 + second
            event = ProgressEvent("activity", "", "qin fold 0: training", second / 50, 5, None, 2e5)
            display(event)
        display(ProgressEvent("epoch", "qin fold 0 epoch 1/2: loss 0.5", "qin", 2.0, 5))
    assert capsys.readouterr().err.splitlines() == [
        "loading DATA",
        "qin fold 0: training, 200,000 rows/s, about 4 min left",
        "qin fold 0: training, 200,000 rows/s, about 3 min left",
        "qin fold 0: training, 200,000 rows/s, about 3 min left",
        "qin fold 0 epoch 1/2: loss 0.5",
    ]


def test_a_callable_hears_what_is_being_done() -> None:
    from mmctr_kit.activity import doing
    from mmctr_kit.api.progress import listening

    heard: list[ProgressEvent] = []
    with listening(heard.append):
        doing("reading train.parquet")
    doing("nothing that is heard")
    assert [(e.kind, e.label) for e in heard] == [("activity", "reading train.parquet")]
