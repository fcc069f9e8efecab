"""SIGTERM, as a scheduler or a container sends it, ends a command like Ctrl-C: with one line."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest


def command(tiny_root: Path, runs: Path) -> tuple[str, ...]:
    where = ("--data", str(tiny_root / "data"), "--runs", str(runs), "--devices", "cpu")
    settings = ("folds.count=2", "training.epochs=40", "training.batch_size=256")
    return ("cv", "din_demo", *where, "--jobs", "2", *(f"--set={s}" for s in settings))


def ended(group: int) -> bool:
    """Whether no process of the group is left; waits for that, as long as a busy machine takes."""
    for _ in range(600):
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return True
        time.sleep(0.1)
    return False


@pytest.mark.slow
@pytest.mark.parametrize("to_all", [False, True], ids=["to the command", "to its workers too"])
def test_sigterm_ends_cv_and_its_workers_with_one_line_and_143(
    tiny_root: Path, tmp_path: Path, to_all: bool
) -> None:
    runs = tmp_path / "runs"
    process = subprocess.Popen(
        [sys.executable, "-m", "mmctr_kit", *command(tiny_root, runs)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
        start_new_session=True,
    )
    assert process.stderr is not None
    for line in process.stderr:
        if "epoch 2/" in line:
            break
    (os.killpg if to_all else os.kill)(process.pid, signal.SIGTERM)
    _, error = process.communicate(timeout=60)
    assert process.returncode == 143
    last = "error: stopped by SIGTERM; the same command goes on from the last finished epoch\n"
    assert error.endswith(last)
    assert "Traceback" not in error
    assert "semaphore" not in error
    # How far an epoch is may be told until the signal arrives.
    others = [line for line in error.splitlines() if not line.startswith("din_demo fold ")]
    assert to_all or others == [last.strip()]
    assert ended(process.pid)
    assert [p for p in runs.rglob("*") if "writing" in p.name] == []
    assert not (runs / "din_demo" / "DONE").exists()


@pytest.mark.parametrize("name", ["SIGTERM", "SIGHUP"])
def test_a_signal_is_left_to_whoever_set_it_before(name: str) -> None:
    """As a program that calls the command line, and ends its own way, would; or nohup."""
    code = (
        "import signal, sys\n"
        f"signal.signal(signal.{name}, lambda *_: sys.exit(7))\n"
        "from mmctr_kit.cli import app\n"
        f"app.app = lambda *_, **__: signal.raise_signal(signal.{name})\n"
        "app.main()\n"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 7


@pytest.mark.parametrize(
    ("name", "code", "said"),
    [
        ("SIGTERM", 143, "stopped by SIGTERM"),
        ("SIGHUP", 129, "stopped by SIGHUP"),
        ("SIGINT", 130, "interrupted"),
    ],
)
def test_any_command_that_is_stopped_says_so_in_one_line(name: str, code: int, said: str) -> None:
    program = (
        "import signal, sys\n"
        "import mmctr_kit.runs.run\n"
        "from mmctr_kit.cli.app import main\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "signal.signal(signal.SIGHUP, signal.SIG_DFL)\n"  # tests may be run by nohup
        f"mmctr_kit.runs.run.all_runs = lambda _: signal.raise_signal(signal.{name})\n"
        "sys.argv = ['mmctr-kit', 'runs']\n"
        "main()\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert (done.returncode, done.stderr.strip()) == (code, f"error: {said}")
