"""Hints for wrong paths.

The data folder is one level up or down, or the file is a Git LFS pointer, a zip, an HTML page.
"""

import os
from collections.abc import Iterator
from pathlib import Path

from mmctr_kit.data.contract import FILES
from mmctr_kit.errors import UsageError
from mmctr_kit.files import regular

_NEEDED = [Path(f.path) for f in FILES.values() if f.needed]
_FOLDER = _NEEDED[0].parent
_MOST = 100
"""Number of folders below the named one that are searched."""
_UNPACK = "unpack it and use the file inside"
_MAGIC = (
    (b"version https://git-lfs", "a Git LFS pointer", "fetch what it stands for: git lfs pull"),
    (b"PK\x03\x04", "a zip archive", _UNPACK),
    (b"\x1f\x8b", "a gzip file", _UNPACK),
    (b"<", "an HTML or XML page", "download the file itself; the source may ask to log in first"),
    (b"{", "JSON text", "download it again: this may be what the source answered instead"),
)


def refuse_neighbour(folder: Path) -> None:
    """Raises UsageError if the data folder is not ``folder``, but the one above or below it.

    Raises it too if one of them holds the files without the folder MicroLens_1M_x1.
    """
    if _in_place(folder):
        return
    near = list(_near(folder))
    if others := [other for other in near if _in_place(other)]:
        best = max(others, key=_in_place)
        raise UsageError(f"'{folder}' is not a data folder, but '{best}' is: use that one")
    for where in (folder, *near):
        misplaced = [p.name for p in _NEEDED if os.path.isfile(where / p.name)]
        if len(misplaced) > 1:
            root = where if where == folder.resolve().parent else folder
            raise UsageError(
                f"'{folder}' is not a data folder: {', '.join(misplaced)} are in '{where}' "
                f"itself; move them to '{root / _FOLDER}' and use '{root}'"
            )


def not_parquet(path: Path) -> tuple[str, str] | None:
    """What a file is instead, and what to do about it; None if its first bytes do not show it."""
    try:
        with regular(path).open("rb") as file:
            start = file.read(256).lstrip(b"\xef\xbb\xbf \t\r\n")
    except OSError:
        return None
    return next(((kind, todo) for magic, kind, todo in _MAGIC if start.startswith(magic)), None)


def _in_place(folder: Path) -> int:
    # Without permission to look, pathlib's is_file would raise.
    return sum(os.path.isfile(folder / path) for path in _NEEDED)


def _near(folder: Path) -> Iterator[Path]:
    """``data`` below, the folder above, then the others below."""
    yield folder / "data"
    yield folder.resolve().parent
    try:
        below = sorted(p for p in folder.iterdir() if p.is_dir() and p.name != "data")
    except OSError:
        return
    yield from below[:_MOST]
