"""Errors carry exit codes; a warning is one line."""

import errno
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from mmctr_kit.errors import DataError, MmctrKitError, RunError, UsageError, refusal, unwritable


def test_a_wrong_command_exits_2_and_a_failed_one_1() -> None:
    assert UsageError.exit_code == 2
    assert {e.exit_code for e in (MmctrKitError, DataError, RunError)} == {1}


def test_a_full_disk_is_no_wrong_command_and_a_forbidden_place_is() -> None:
    """Whoever notices it: a command that names where it wrote to, or the boundary."""
    for number, code in ((errno.ENOSPC, 1), (errno.EFBIG, 1), (errno.EACCES, 2), (errno.EROFS, 2)):
        error = OSError(number, "why", "runs/x")
        refused = refusal(error)
        assert refused is not None
        assert refused.exit_code == unwritable("cannot write", error).exit_code == code


def test_a_warning_is_one_line_without_its_source() -> None:
    code = (
        "import warnings; from mmctr_kit.errors import warn_in_one_line; warn_in_one_line(); "
        "warnings.warn('training goes on without\\n  CUDA graphs, slower')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr == "warning: training goes on without CUDA graphs, slower\n"


def test_what_the_system_refuses_is_told_from_a_bug() -> None:
    refused = refusal(OSError(errno.ENOSPC, "no room", "runs/x"))
    assert str(refused).startswith("'runs/x' cannot be written (No space left on device); make")
    assert re.search(r"; the disk at '/.*' is full$", str(refused))
    long = refusal(OSError(errno.ENAMETOOLONG, "long", "x" * 300))
    assert long is not None
    assert "(File name too long); shorten the name" in str(long)
    denied = refusal(PermissionError(errno.EACCES, "no", "runs/x"))  # which reading may be too
    assert str(denied).startswith("'runs/x' cannot be read or written (Permission denied); mend")
    many = refusal(OSError(errno.EMFILE, "many", "runs/x"))
    assert str(many).startswith("'runs/x' cannot be read or written (Too many open files); raise")
    assert refusal(FileNotFoundError(errno.ENOENT, "absent", "x")) is None
    assert refusal(FileNotFoundError(errno.ENOENT, "absent")) is None
    assert refusal(OSError("without a number")) is None


def test_a_folder_that_was_deleted_under_the_command_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    with pytest.raises(FileNotFoundError) as raised:
        os.path.abspath("x")
    assert str(refusal(raised.value)).startswith("the folder that you are in was deleted; change")
