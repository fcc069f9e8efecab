"""Copies that are folders: how to tell whether one is whole and up to date."""

import shutil
from collections.abc import Sequence
from pathlib import Path

from mmctr_kit.errors import unwritable
from mmctr_kit.export.record import DIGEST, Record
from mmctr_kit.files import read_json, write_json

_MARK = "mmctr_kit.json"


def require_folder(path: Path) -> Path:
    """Create the folder of a tracker's copies; UsageError if that is not possible."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as e:
        why = f"cannot write to the folder '{path}' ({e.strerror}); name another --where"
        raise unwritable(why, e) from e
    return path


def mark(folder: Path, record: Record) -> None:
    """Write what the folder is a copy of; last, so that a folder without it was interrupted."""
    write_json(folder / _MARK, {"name": record.name, **record.full_tags()})


def digest_in(folders: Sequence[Path]) -> str | None:
    """The digest of the one copy in ``folders``; None if there is none, "" if it is unclear."""
    if not folders:
        return None
    marks = [folder / _MARK for folder in folders]
    if len(marks) > 1 or not marks[0].is_file():
        return ""
    return str(read_json(marks[0])[DIGEST])


def remove(folders: Sequence[Path]) -> None:
    """Delete the copies."""
    for folder in folders:
        shutil.rmtree(folder)
