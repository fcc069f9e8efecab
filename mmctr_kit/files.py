"""Files written whole or not at all, and read back with one-line errors."""

import fcntl
import json
import os
import re
import shutil
import tempfile
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
    """One parquet column an array."""
    table = pa.table({name: np.ascontiguousarray(v) for name, v in columns.items()})
    write_whole(path, lambda p: pq.write_table(table, p))


def read_columns(path: Path) -> dict[str, NDArray[Any]]:
    """The columns of a parquet file of plain numbers."""
    try:
        table = pq.read_table(path)
    except (OSError, pa.ArrowException) as e:
        raise RunError(f"{path} is not readable; make the run again") from e
    return {n: _plain(table.column(n)) for n in table.column_names}


def _plain(column: pa.ChunkedArray) -> NDArray[Any]:
    """The column's numbers. Arrow's own way to NumPy imports pandas, which takes longer."""
    if column.null_count or not len(column) or pa.types.is_boolean(column.type):
        return np.asarray(column)
    return np.concatenate([np.from_dlpack(chunk) for chunk in column.chunks])


def save_arrays(path: Path, arrays: Arrays) -> None:
    """A safetensors file."""
    from safetensors import SafetensorError
    from safetensors.numpy import save_file

    whole = {name: np.asarray(array, order="C") for name, array in arrays.items()}

    def save(to: Path) -> None:
        try:
            save_file(whole, to)
        except SafetensorError as e:
            if (code := re.search(r"os error (\d+)", str(e))) is None:
                raise
            raise OSError(int(code[1]), str(e)) from e

    write_whole(path, save)


def load_arrays(path: Path) -> dict[str, NDArray[Any]]:
    """The arrays of a safetensors file."""
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    try:
        return dict(load_file(path))
    except (SafetensorError, OSError) as e:
        raise RunError(f"{path} is not readable; delete its folder and run again") from e


def load_array(path: Path, name: str) -> NDArray[Any]:
    """One array of a safetensors file, without reading the others."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "numpy") as file:
            return np.asarray(file.get_tensor(name))
    except (SafetensorError, OSError) as e:
        raise RunError(f"{path} is not readable; delete its folder and run again") from e


def write_json(path: Path, content: Any) -> None:
    """Indented JSON; NaN and infinities are refused."""
    text = json.dumps(content, indent=1, allow_nan=False) + "\n"
    write_whole(path, lambda p: p.write_text(text))


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object."""
    try:
        content = json.loads(path.read_text())
    except (OSError, ValueError) as e:
        raise RunError(f"{path} is not readable; make the run again") from e
    if not isinstance(content, dict):
        raise RunError(f"{path} holds no JSON object; make the run again")
    return content


def write_whole(path: Path, write: Callable[[Path], object]) -> None:
    """Have ``write`` make the file under a temporary name beside ``path``, then rename it.

    Where it fails nothing new is left, and an OSError names ``path``.
    """
    temporary = path.with_name(f".{path.name}.tmp")
    try:
        write(temporary)
        os.replace(temporary, path)
    except OSError as e:
        raise _named(e, path) from e
    finally:
        with suppress(OSError):  # the error that counts is the one above
            temporary.unlink(missing_ok=True)


def _named(error: OSError, path: Path) -> OSError:
    """The same for ``path``, where it is of the system: pyarrow's own errors name nothing."""
    if error.errno is None:
        return error
    return OSError(error.errno, os.strerror(error.errno), str(path))


@contextmanager
def made_folder(path: Path, replace: bool) -> Iterator[Path]:
    """A sibling of ``path`` to fill, which then becomes ``path``, or goes where the block fails.

    With ``replace`` what stood there goes; else OSError where ``path`` is a folder with anything
    in it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    part = Path(tempfile.mkdtemp(prefix=f".{path.name}-", dir=path.parent))
    try:
        part.chmod(0o755)
        yield part
        if replace and path.exists():
            # Renamed before it is deleted, so that no half of it is ever left under its name.
            old = Path(tempfile.mkdtemp(prefix=f".{path.name}-", dir=path.parent))
            path.rename(old)
            shutil.rmtree(old)
        part.rename(path)
    except BaseException:
        shutil.rmtree(part, ignore_errors=True)
        raise


@contextmanager
def new_folder(out: Path) -> Iterator[Path]:
    """A sibling of ``out`` to write into; it becomes ``out`` if the block ends well, or goes.

    Raises UsageError where ``out`` holds anything or cannot be made.
    """
    if out.exists() and not (out.is_dir() and not any(out.iterdir())):
        raise UsageError(f"'{out}' exists and is not an empty folder; name a new one or empty it")
    whole = out.resolve()
    part = whole.with_name(f".{whole.name}.partial-{os.getpid()}")
    try:
        part.mkdir(parents=True)
    except OSError as e:
        why = f"cannot write beside '{out}' ({e.strerror}); name a folder that you may create"
        raise unwritable(why, e) from e
    try:
        yield part
        if out.exists():
            # Kept, not replaced: it may be somebody's working directory.
            for child in sorted(part.iterdir()):
                child.rename(out / child.name)
        else:
            part.rename(whole)
    except OSError as e:
        if e.filename:
            raise
        raise _named(e, out) from e
    finally:
        if part.exists():
            shutil.rmtree(part)


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the run for this process; RunError where another process is writing it."""
    folder = path.parent / ".locks"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as e:
        why = f"runs cannot be written to {path.parent} ({e.strerror}); choose another --runs"
        raise unwritable(why, e) from e
    with (folder / path.name).open("w") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as e:
            raise RunError(f"run '{path.name}' is being written by another process") from e
        yield
