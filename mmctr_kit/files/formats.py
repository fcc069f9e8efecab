"""Tables, arrays and JSON in files: written whole, read back with one-line errors."""

import errno
import hashlib
import json
import os
import re
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from mmctr_kit.errors import RunError
from mmctr_kit.files.writing import write_whole

Arrays = Mapping[str, NDArray[Any]]


def regular(path: Path) -> Path:
    """Return ``path`` if it can be read like a file: to be asked before any file is opened.

    Raises OSError if it is a fifo, a device or a socket, which may never begin or never end, or a
    folder; and if it does not exist.
    """
    mode = path.stat().st_mode
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    if not stat.S_ISREG(mode):
        raise OSError(errno.EINVAL, "a fifo, device or socket, no file", str(path))
    return path


def may_enter(folder: Path) -> bool:
    """Whether this user may list a folder and open what is in it; so it is if it is not there."""
    try:
        return not folder.is_dir() or os.access(folder, os.R_OK | os.X_OK)
    except PermissionError:  # nor the folder that it is in
        return False


def file_sha256(path: Path) -> str:
    """The sha256 of a file's bytes, in hexadecimal; OSError if it cannot be read."""
    with regular(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_table(path: Path, columns: Arrays) -> None:
    """Write a parquet file with a column for each array."""
    table = pa.table({name: np.ascontiguousarray(v) for name, v in columns.items()})
    write_whole(path, lambda p: pq.write_table(table, p))


def read_columns(path: Path) -> dict[str, NDArray[Any]]:
    """Read the columns of a parquet file of numbers."""
    try:
        with pq.ParquetFile(regular(path)) as file:  # read_table is slower, and loads pandas
            table = file.read()
    except (OSError, pa.ArrowException, UnicodeError) as e:  # the last: of names
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
        with safe_open(regular(path), "numpy") as file:
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
        content = json.loads(regular(path).read_text())
    except (OSError, ValueError, RecursionError) as e:
        raise RunError(f"{path} is not readable; make the run again") from e
    if not isinstance(content, dict):
        raise RunError(f"{path} is not a JSON object; make the run again")
    return content
