"""Files written whole or not at all, and read back with one-line errors."""

import json
import os
import re
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from mmctr_kit.errors import RunError, UsageError, unwritable

Arrays = Mapping[str, NDArray[Any]]


def write_table(path: Path, columns: Arrays) -> None:
    """Write a parquet file with a column for each array."""
    table = pa.table({name: np.ascontiguousarray(v) for name, v in columns.items()})
    write_whole(path, lambda p: pq.write_table(table, p))


def read_columns(path: Path) -> dict[str, NDArray[Any]]:
    """Read the columns of a parquet file of numbers."""
    try:
        table = pq.read_table(path)
    except (OSError, pa.ArrowException) as e:
        raise RunError(f"{path} is not readable; make the run again") from e
    return {n: _plain(table.column(n)) for n in table.column_names}


def _plain(column: pa.ChunkedArray) -> NDArray[Any]:
    """The column as NumPy. Arrow's own conversion imports pandas, which takes longer."""
    if column.null_count or not len(column) or pa.types.is_boolean(column.type):
        return np.asarray(column)
    return np.concatenate([np.from_dlpack(chunk) for chunk in column.chunks])


def save_arrays(path: Path, arrays: Arrays) -> None:
    """Write the arrays to a safetensors file."""
    from safetensors import SafetensorError
    from safetensors.numpy import save_file

    whole = {name: np.asarray(array, order="C") for name, array in arrays.items()}

    def save(to: Path) -> None:
        try:
            to.touch()
            mode = to.stat().st_mode
            save_file(whole, to)  # it makes the file anew, for its owner only
            to.chmod(mode)
        except SafetensorError as e:
            if (code := re.search(r"os error (\d+)", str(e))) is None:
                raise
            raise OSError(int(code[1]), str(e)) from e

    write_whole(path, save)


def load_arrays(path: Path, *names: str) -> dict[str, NDArray[Any]]:
    """Read the arrays of a safetensors file, or only those named."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "numpy") as file:
            return {name: file.get_tensor(name) for name in names or file.keys()}
    except (SafetensorError, OSError) as e:
        raise RunError(f"{path} is not readable; delete its folder and run again") from e


def write_json(path: Path, content: Any) -> None:
    """Write indented JSON. Raises ValueError for NaN and infinities."""
    text = json.dumps(content, indent=1, allow_nan=False) + "\n"
    write_whole(path, lambda p: p.write_text(text))


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object."""
    try:
        content = json.loads(path.read_text())
    except (OSError, ValueError) as e:
        raise RunError(f"{path} is not readable; make the run again") from e
    if not isinstance(content, dict):
        raise RunError(f"{path} is not a JSON object; make the run again")
    return content


def write_whole(path: Path, write: Callable[[Path], object]) -> None:
    """Have ``write`` make the file under a temporary name beside ``path``, then rename it.

    If it fails, nothing new is left, and an OSError names ``path``.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        write(temporary)
        os.replace(temporary, path)
    except OSError as e:
        raise _named(e, path) from e
    finally:
        with suppress(OSError):  # the error that counts is the one above
            temporary.unlink(missing_ok=True)


def _named(error: OSError, path: Path) -> OSError:
    """The system's error with ``path`` in it, since pyarrow's own errors name no file."""
    if error.errno is None:
        return error
    return OSError(error.errno, os.strerror(error.errno), str(path))


def require_free(
    path: Path, what: str, suffixes: tuple[str, ...], replace: bool, advice: str
) -> None:
    """Raise UsageError if ``what`` may not be written to ``path``.

    Its name must end in one of ``suffixes``, and there must be no folder and, unless ``replace``,
    no file: ``advice`` ends that message.
    """
    if path.is_dir():
        raise UsageError(f"'{path}' is a folder; name a file, like {path / f'name{suffixes[0]}'}")
    if path.suffix.lower() not in suffixes:
        raise UsageError(f"'{path}' is no name for {what}; end it in {suffixes[0]}")
    if path.exists() and not replace:
        raise UsageError(f"'{path}' exists{advice}")


@contextmanager
def made_folder(path: Path, replace: bool = False) -> Iterator[Path]:
    """A sibling of ``path`` to fill, which then becomes ``path``, or is removed if the block fails.

    With ``replace`` an existing ``path`` is removed; else a folder there that is not empty raises
    OSError. Raises UsageError if no folder can be created beside ``path``.
    """
    whole = path.resolve()
    try:
        whole.parent.mkdir(parents=True, exist_ok=True)
        part = Path(tempfile.mkdtemp(prefix=f".{whole.name}-", dir=whole.parent))
        part.chmod(0o755)
    except OSError as e:
        why = f"cannot write beside '{path}' ({e.strerror}); name a folder that you may create"
        raise unwritable(why, e) from e
    try:
        yield part
        if replace and whole.exists():
            # Renamed before it is deleted, so that no half of it is ever left under its name.
            old = Path(tempfile.mkdtemp(prefix=f".{whole.name}-", dir=whole.parent))
            whole.rename(old)
            part.rename(whole)
            shutil.rmtree(old, ignore_errors=True)
        elif _is_empty(whole):
            # Kept, not replaced: it may be somebody's working directory.
            for child in sorted(part.iterdir()):
                child.rename(whole / child.name)
        else:
            part.rename(whole)
    except OSError as e:
        if e.filename:
            raise
        raise _named(e, path) from e
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _is_empty(path: Path) -> bool:
    return path.is_dir() and not any(path.iterdir())


def require_new_folder(out: Path) -> None:
    """Raise UsageError if ``out`` exists and is not an empty folder."""
    if out.exists() and not _is_empty(out):
        raise UsageError(f"'{out}' exists and is not an empty folder; name a new one or empty it")


@contextmanager
def new_folder(out: Path) -> Iterator[Path]:
    """:func:`made_folder`, but UsageError before the block if ``out`` exists and is not empty."""
    require_new_folder(out)
    with made_folder(out) as part:
        yield part


Stamp = tuple[int, int, int, int]
_TICK_NS = 100_000_000


def file_stamp(path: Path) -> Stamp | None:
    """What changes when the file does: its size, times and inode.

    None for a file that was changed just now: the clock that files are dated by is so coarse that
    they might not tell another change.
    """
    stat = path.stat()
    if abs(time.time_ns() - max(stat.st_mtime_ns, stat.st_ctime_ns)) < _TICK_NS:
        return None
    return stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_ino


def folder_size(path: Path) -> int:
    """The bytes of all files in a folder, or of a file; what vanishes meanwhile counts nothing."""
    files = [path] if path.is_file() else []
    files += [Path(folder, name) for folder, _, names in os.walk(path) for name in names]
    total = 0
    for file in files:
        with suppress(OSError):
            total += file.lstat().st_size
    return total


_LOCKS = ".locks"
_ASKED_SECONDS = 0.2
"""For so long a lock may be held by :func:`is_locked`, which must not make a command fail."""


def is_locked(path: Path) -> bool:
    """Whether a process has :func:`locked` the file or run folder; False if that is not known."""
    from filelock import FileLock, Timeout

    file = path.parent / _LOCKS / path.name
    if not file.is_file():
        return False
    try:
        with FileLock(file, timeout=0):
            return False
    except Timeout:
        return True
    except OSError:  # somebody else's folder, which may only be read
        return False


@contextmanager
def locked(path: Path, wait: bool = False) -> Iterator[None]:
    """Hold a file or run folder for this process; the lock is released even if it is killed.

    If another process holds it: ``wait``, or raise RunError. Not reentrant. The lock is a file in
    ``.locks`` beside ``path``, which stays.
    """
    from filelock import FileLock, Timeout  # 40 ms that a command without locks does without

    folder = path.parent / _LOCKS
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as e:
        why = f"cannot write to '{path.parent}' ({e.strerror}); choose another folder"
        raise unwritable(why, e) from e
    lock = FileLock(folder / path.name, timeout=-1 if wait else _ASKED_SECONDS)
    try:
        lock.acquire(poll_interval=0.01)
    except Timeout as e:
        raise RunError(f"run '{path.name}' is being written by another process") from e
    try:
        yield
    finally:
        lock.release()
