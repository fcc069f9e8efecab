"""As on Windows: without ``fcntl``, ``resource`` and signal masks every module imports, and the
commands that need no training work."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from mmctr_kit.runs.run import Run
from tests.cli.test_blend import make_runs

WITHOUT = """
import signal, sys
for name in ("fcntl", "resource"):
    sys.modules[name] = None
for name in ("pthread_sigmask", "SIGKILL", "SIGHUP", "SIGALRM"):
    delattr(signal, name)
"""

IMPORT_ALL = """
import importlib, pkgutil
import mmctr_kit
for module in pkgutil.walk_packages(mmctr_kit.__path__, "mmctr_kit."):
    if module.name not in ("mmctr_kit.__main__", "mmctr_kit.models.ops.segment_kernel"):
        importlib.import_module(module.name)
"""

COMMAND = """
from mmctr_kit.cli.app import main
main()
"""


def python(code: str, *arguments: str, cwd: Path | None = None) -> str:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(Path.cwd()), *sys.path])}
    # Without fcntl a lock is a file that exists: one that fcntl left would never be free.
    environment["MMCTR_KIT_LEDGER"] = str(Path("submissions") / "ledger.jsonl")
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT + code, *arguments],
        capture_output=True,
        text=True,
        check=False,
        cwd=cwd,
        env=environment,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.slow
def test_every_module_is_imported_without_what_only_posix_has() -> None:
    python(IMPORT_ALL)


@pytest.mark.slow
def test_blend_submit_and_runs_work_without_what_only_posix_has(
    tmp_path: Path, tiny_root: Path
) -> None:
    make_runs(tmp_path / "runs", tiny_root, ("a", "b"))
    python(COMMAND, "blend", "a", "b", "--name", "both", "--method", "mean", cwd=tmp_path)
    assert Run(tmp_path / "runs" / "both").finished
    shown = python(COMMAND, "runs", "--json", cwd=tmp_path)
    assert {run["name"] for run in json.loads(shown)} == {"a", "b", "both"}
    python(COMMAND, "submit", "both", "--task", "Task2", cwd=tmp_path)
    file = next((tmp_path / "submissions").glob("*.zip"))
    data = str(tiny_root / "data")
    python(COMMAND, "submit", "--check", str(file), "--data", data, cwd=tmp_path)
