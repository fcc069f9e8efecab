"""What was worked out of finished runs, noted in the cache until one of a run's files changes.

A list of a thousand runs reads a thousand recipes and predictions once; after that it looks at the
sizes and times of their files alone.
"""

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import mmctr_kit
from mmctr_kit.data.cache import read_note, write_note
from mmctr_kit.errors import MmctrKitError
from mmctr_kit.files import file_stamp
from mmctr_kit.recipe import recipe_folder
from mmctr_kit.runs.run import Run

_KIND = "runs"


class RunNotes:
    """Notes on runs: a dictionary of plain values for each, to read from and to add to."""

    def __init__(self) -> None:
        self._known: dict[str, dict[str, Any]] = {}
        self._stamps: dict[str, str | None] = {}

    def of(self, run: Run) -> dict[str, Any]:
        """The notes on a run: empty if it is unfinished, or a file changed since they were made."""
        stamp, key = self.stamp(run), os.path.abspath(run.path)
        if stamp is None:
            return {}
        entry = self._known.get(key)
        if entry is None or entry["stamp"] != stamp:
            self._known[key] = entry = {"stamp": stamp, "notes": {}}
        notes: dict[str, Any] = entry["notes"]
        return notes

    def stamp(self, run: Run) -> str | None:
        """What changes when a file of the run does; None if that is not known."""
        key = os.path.abspath(run.path)
        if key not in self._stamps:
            self._stamps[key] = _stamp(run)
        return self._stamps[key]


@contextmanager
def notes_on(folder: Path) -> Iterator[RunNotes]:
    """The notes on the runs in a folder, saved at the end of the block. They only save time."""
    notes = RunNotes()
    try:
        stored = read_note(_KIND, folder)
    except MmctrKitError:  # no cache can be made here
        yield notes
        return
    if stored and stored["code"] == _code():
        notes._known = stored["runs"]
    before = str(notes._known)
    yield notes
    if str(notes._known) != before:
        kept = {path: entry for path, entry in notes._known.items() if os.path.isdir(path)}
        write_note(_KIND, folder, {"code": _code(), "runs": kept})


def _stamp(run: Run) -> str | None:
    if not run.finished:
        return None
    try:
        with os.scandir(run.path) as entries:
            stamps = {each.name: file_stamp(each) for each in entries if each.is_file()}
    except OSError:  # a file has just been removed
        return None
    if None in stamps.values():
        return None
    return hashlib.sha256(repr(sorted(stamps.items())).encode()).hexdigest()


@cache
def _code() -> str:
    """What changes when the kit or its recipes do: notes by other code are of no use."""
    package = Path(mmctr_kit.__file__).parent
    files = [*sorted(package.rglob("*.py")), *sorted(recipe_folder().glob("*.yaml"))]
    stamps = [(str(path), path.stat().st_size, path.stat().st_mtime_ns) for path in files]
    return hashlib.sha256(repr(stamps).encode()).hexdigest()
