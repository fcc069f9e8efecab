"""What was meant: the data folder beside the one named, the file that something else stands for."""

import os
from collections.abc import Iterator
from pathlib import Path

from mmctr_kit.data.contract import FILES
from mmctr_kit.errors import UsageError

_NEEDED = [Path(f.path) for f in FILES.values() if f.needed]
_FOLDER = _NEEDED[0].parent
_SEEN = 100
"""Folders below the one named that are looked into."""

_UNPACK = "unpack it and put the file in its place"
_MAGIC = (
    (b"version https://git-lfs", "a Git LFS pointer", "fetch what it stands for: git lfs pull"),
    (b"PK\x03\x04", "a zip archive", _UNPACK),
    (b"\x1f\x8b", "a gzip file", _UNPACK),
    (b"<", "an HTML or XML page", "download the file itself; the source may ask to log in first"),
    (b"{", "JSON text", "download it again: this may be what the source answered instead"),
)


def refuse_neighbour(folder: Path) -> None:
    """Raises UsageError where ``folder`` holds no needed file in its place, but the folder above it
    or one below does, or where such files lie there without a folder of their own."""
    if _in_place(folder):
        return
    near = list(_near(folder))
    held = [other for other in near if _in_place(other)]
    if held:
        best = max(held, key=_in_place)
        raise UsageError(f"'{folder}' is no data folder, but '{best}' is; name that")
    for where in (folder, *near):
        found = [p.name for p in _NEEDED if _is_file(where / p.name)]
        if len(found) > 1:
            root = where if where == folder.resolve().parent else folder
            raise UsageError(
                f"'{folder}' is no data folder: {', '.join(found)} lie in '{where}' itself; move "
                f"them to '{root / _FOLDER}' and name '{root}'"
            )


def not_parquet(path: Path) -> tuple[str, str] | None:
    """What a file is instead, and what to do about it; None where its first bytes tell nothing."""
    try:
        with path.open("rb") as file:
            start = file.read(256).lstrip(b"\xef\xbb\xbf \t\r\n")
    except OSError:
        return None
    return next(((kind, todo) for magic, kind, todo in _MAGIC if start.startswith(magic)), None)


def _in_place(folder: Path) -> int:
    return sum(_is_file(folder / path) for path in _NEEDED)


def _is_file(path: Path) -> bool:
    """False, too, for what may not be looked at, where pathlib raises."""
    return os.path.isfile(path)


def _near(folder: Path) -> Iterator[Path]:
    """``data`` below, the folder above, then the others below."""
    yield folder / "data"
    yield folder.resolve().parent
    try:
        below = sorted(p for p in folder.iterdir() if p.is_dir() and p.name != "data")
    except OSError:
        return
    yield from below[:_SEEN]
