"""Locks between processes on a file or a run folder, released even if their holder is killed."""

import errno
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from mmctr_kit.errors import RunError, UsageError, unwritable

if TYPE_CHECKING:
    from filelock import BaseFileLock

_LOCKS = ".locks"
_ASKED_SECONDS = 0.2
"""For so long a lock may be held by :func:`is_locked`, which must not make a command fail."""
_NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP)
"""Answers of file systems that have no locks."""


def is_locked(path: Path) -> bool:
    """Whether a process has :func:`locked` the file or run folder; False if that is not known."""
    from filelock import Timeout

    file = path.parent / _LOCKS / path.name
    if not file.is_file():
        return False
    try:
        _acquired(file, 0.0).release()
    except Timeout:
        return True
    except OSError:  # somebody else's folder, which may only be read
        return False
    return False


@contextmanager
def locked(path: Path, wait: bool = False) -> Iterator[None]:
    """Hold a file or run folder for this process; the lock is released even if it is killed.

    If another process holds it: ``wait``, or raise RunError. Not reentrant. The lock is a file in
    ``.locks`` beside ``path``, which stays. If the file system has no locks, a file that exists
    only meanwhile takes its place, with a warning.
    """
    from filelock import Timeout  # 40 ms that a command without locks does without

    folder = path.parent / _LOCKS
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as e:
        why = f"cannot write to '{path.parent}' ({e.strerror}); choose another folder"
        raise unwritable(why, e) from e
    if folder.is_symlink():
        raise UsageError(f"'{folder}' is a link, and mmctr-kit has made none; delete it")
    try:
        lock = _acquired(folder / path.name, -1 if wait else _ASKED_SECONDS)
    except Timeout as e:
        marker = _marker(folder / path.name)
        todo = f"; if there is none, delete '{marker}'" if marker.exists() else ""
        raise RunError(f"run '{path.name}' is being written by another process{todo}") from e
    try:
        yield
    finally:
        lock.release()


def _acquired(file: Path, seconds: float) -> "BaseFileLock":
    """The lock of ``file``, held; Timeout after ``seconds``, never if they are negative."""
    from filelock import FileLock, SoftFileLock

    lock: BaseFileLock = FileLock(file, timeout=seconds, fallback_to_soft=False)
    try:
        lock.acquire(poll_interval=0.01)
    except OSError as e:
        if e.errno not in _NO_LOCKS:
            raise
        warnings.warn(
            f"'{file.parent}' is on a file system without locks ({os.strerror(e.errno)}); files "
            "named *.held stand for them, and one of another machine may have to be deleted",
            stacklevel=2,
        )
        lock = SoftFileLock(_marker(file), timeout=seconds)
        lock.acquire(poll_interval=0.01)
    return lock


def _marker(file: Path) -> Path:
    return file.with_name(f"{file.name}.held")
