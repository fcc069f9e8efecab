"""What one process holds another may not have, until it ends, and where there are no locks too."""

import errno
import subprocess
import sys
import threading
import warnings
from pathlib import Path

import pytest

from mmctr_kit.errors import RunError, UsageError
from mmctr_kit.files import is_locked, locked

HOLD = """
import sys
from pathlib import Path
from mmctr_kit.files import locked
with locked(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.mark.parametrize("killed", [False, True])
def test_what_another_process_holds_is_refused_until_it_ends_or_is_killed(
    tmp_path: Path, killed: bool
) -> None:
    mine, other = tmp_path / "runs" / "x", tmp_path / "runs" / "y"
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(mine)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"held\n"
        with pytest.raises(RunError, match="'x' is being written by another"), locked(mine):
            pass
        with locked(other):
            pass
        if killed:
            process.kill()
        process.communicate()
    with locked(mine):
        pass


def test_a_lock_is_waited_for(tmp_path: Path) -> None:
    path = tmp_path / "ledger"
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stdin is not None
        assert process.stdout.readline() == b"held\n"
        process.stdin.close()
        with locked(path, wait=True):
            pass
        assert process.wait() == 0


def test_a_lock_is_released_if_the_work_fails(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="boom"), locked(tmp_path / "x"):
        raise ValueError("boom")
    with locked(tmp_path / "x"):
        pass


def test_a_folder_that_cannot_be_is_wrong_usage(tmp_path: Path) -> None:
    (tmp_path / "runs").touch()
    with pytest.raises(UsageError, match="choose another folder"), locked(tmp_path / "runs" / "x"):
        pass


def test_asking_whether_a_lock_is_held_makes_no_file_and_disturbs_nobody(tmp_path: Path) -> None:
    path = tmp_path / "x"
    assert not is_locked(path)
    assert list(tmp_path.iterdir()) == []
    asked = threading.Event()

    def ask() -> None:
        while not asked.is_set():
            is_locked(path)

    with locked(path):
        assert is_locked(path)
        thread = threading.Thread(target=ask)
        thread.start()
    try:
        for _ in range(50):
            with locked(path):
                pass
    finally:
        asked.set()
        thread.join()
    assert not is_locked(path)


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP])
def test_without_locks_a_file_that_exists_takes_their_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def no_lock(*_: object) -> None:
        raise OSError(number, "no locks here")

    monkeypatch.setattr("fcntl.flock", no_lock)
    path = tmp_path / "x"
    refused = r"another process; if there is none, delete '.*x\.held'"
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        with locked(path):
            assert is_locked(path)
            with pytest.raises(RunError, match=refused), locked(path):
                pass
        with locked(path, wait=True):
            pass
        assert not is_locked(path)
    assert {"file system without locks" in str(each.message) for each in warned} == {True}


def test_a_planted_link_is_no_folder_of_locks(tmp_path: Path) -> None:
    (tmp_path / "far").mkdir()
    (tmp_path / ".locks").symlink_to(tmp_path / "far")
    refused = r"\.locks' is a link, and mmctr-kit"
    with pytest.raises(UsageError, match=refused), locked(tmp_path / "x"):
        pass
    assert list((tmp_path / "far").iterdir()) == []
