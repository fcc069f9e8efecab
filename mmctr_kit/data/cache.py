"""An on-disk cache of NumPy arrays, keyed by the content of the files they were made from.

It is in ``$MMCTR_KIT_CACHE`` or the user's cache folder. A file's content hash is remembered with
its size, times and inode, so that an unchanged file is not hashed twice. Entries are written to a
temporary folder and renamed; any entry may be deleted at any time. A folder that the kit creates is
its owner's alone: whoever writes into a cache decides what is trained on. An entry holds a digest
of each of its files, which are compared once in a process: a damaged entry is made again, with a
warning.
"""

import hashlib
import json
import logging
import os
import re
import shutil
import time
import warnings
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmctr_kit.activity import doing
from mmctr_kit.data.hashing import quick_digest
from mmctr_kit.errors import OUT_OF_FILES, DataError, RunError, unwritable
from mmctr_kit.files import (
    Stamp,
    file_sha256,
    file_stamp,
    folder_size,
    is_workplace,
    read_json,
    regular,
    remove_leftovers,
    workplace,
    write_whole,
)

Arrays = dict[str, NDArray[Any]]
_LOG = logging.getLogger(__name__)


def cache_folder() -> Path:
    """The cache's folder, created if it does not exist."""
    named = os.environ.get("MMCTR_KIT_CACHE")
    base = os.environ.get("XDG_CACHE_HOME")
    default = Path(base) if base else Path.home() / ".cache"
    folder = Path(named) if named else default / "mmctr-kit"
    try:
        folder.mkdir(0o700, parents=True, exist_ok=True)
    except OSError as e:
        raise unwritable(_unwritable(folder, e), e) from e
    return folder


@dataclass(frozen=True)
class CachedKind:
    """The entries of one kind in the cache, and their bytes.

    ``cleared``: :func:`clear_cache` deletes them even if their kind is not named. ``what`` they
    are, in a few words.
    """

    kind: str
    entries: int
    size: int
    cleared: bool
    what: str


def cache_contents() -> list[CachedKind]:
    """What the cache holds, by kind, the largest first."""
    sizes: dict[str, list[int]] = {}
    for path in cache_folder().iterdir():
        if (kind := _kind_of(path)) is not None:
            parts = path.glob("*.json") if kind in _NOTES else (path,)
            sizes.setdefault(kind, []).extend(map(folder_size, parts))
    kinds = [
        CachedKind(kind, len(each), sum(each), kind not in _IN_USE, KINDS.get(kind, _OLD))
        for kind, each in sizes.items()
    ]
    return sorted(kinds, key=lambda each: (-each.size, each.kind))


def clear_cache(kinds: Collection[str] = ()) -> None:
    """Delete the entries of these kinds; of none named, all that a command may do without.

    Commands that are running go on: an array that was opened stays open, and an entry that is gone
    is made again. But whole data folders (``placed``, ``synth``) are read by name all the while,
    and what is being written (``unfinished``) is not yet whole: these are left, the former unless
    they are named.
    """
    remove_leftovers(cache_folder())
    for path in cache_folder().iterdir():
        kind = _kind_of(path)
        if kind in (None, _UNFINISHED) or (kind not in kinds if kinds else kind in _IN_USE):
            continue
        # It may be deleted by another command too.
        with suppress(OSError), workplace(path.parent) as gone:
            path.rename(gone / path.name)


_IN_USE = ("placed", "synth")
"""Kinds that are whole data folders: for workers of a cluster, and for ``bench``."""
_UNFINISHED = "unfinished"
KINDS = {
    "data": "data folders, as they were read",
    "embedding": "given item vectors, of item_emb.parquet",
    "modality": "text and image vectors, of item_feature.parquet",
    "encoded": "item vectors of a file that 'items encode' or you made",
    "levels": "likes and views levels of the items",
    "coverage": "which items have a text or an image",
    "pca": "item vectors reduced by PCA",
    "factors": "item vectors made of histories (factors)",
    "aligned": "item vectors trained on histories (align)",
    "codes": "codes of items (quantise)",
    "step_check": "whether fast training steps are right on this machine",
    "hashes": "checksums of files that have not changed",
    "runs": "what was read of finished runs, for 'runs' and the like",
    "placed": "copies of data folders for workers of a cluster",
    "synth": "data folders generated for 'bench'",
    _UNFINISHED: "left by a command that was killed, or being written now (not cleared)",
}
"""What the entries of each kind are."""
_OLD = "made by another version of mmctr-kit"
_NOTES = ("hashes", "runs")
"""Kinds of :func:`write_note`."""
_ENTRY = re.compile(r"([a-z_0-9]+)-[0-9a-f]{24}|(?=synth-)([a-z]+)-.*")


def _kind_of(path: Path) -> str | None:
    """The kind of an entry; None for what this kit has not made."""
    if path.name in _NOTES:
        return path.name
    if is_workplace(path):
        return _UNFINISHED
    made = _ENTRY.fullmatch(path.name)
    return (made[1] or made[2]) if made and path.is_dir() else None


def content_hash(path: Path) -> str:
    """sha256 of a file, kept until its size, times or inode change; DataError if unreadable."""
    try:
        stat = path.stat()
    except OSError as e:
        raise DataError(_unreadable(path, e)) from e
    seen = [stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_ino]
    known = read_note("hashes", path)
    if known and known["seen"] == seen:
        return str(known["sha256"])
    doing(f"hashing {path.name}")
    try:
        digest = file_sha256(path)
    except OSError as e:
        raise DataError(_unreadable(path, e)) from e
    write_note("hashes", path, {"seen": seen, "sha256": digest})
    return digest


def read_note(kind: str, of: Path) -> dict[str, Any]:
    """What :func:`write_note` noted of a path; empty if that is nothing, or is damaged."""
    try:
        note = read_json(_note_path(kind, of))
    except RunError:
        return {}
    return note if note.pop("check", None) == _check(note) else {}


def write_note(kind: str, of: Path, note: Mapping[str, Any]) -> None:
    """Note JSON values that are known of a path, such as its files' digests, for the next command.

    Nothing is noted if the disk is full: it only saves time.
    """
    path = _note_path(kind, of)
    text = json.dumps({**note, "check": _check(note)})
    with suppress(OSError):
        path.parent.mkdir(exist_ok=True)
        write_whole(path, lambda p: p.write_text(text))


def _note_path(kind: str, of: Path) -> Path:
    name = hashlib.sha256(os.fsencode(of.resolve())).hexdigest()[:32]
    return cache_folder() / kind / f"{name}.json"


def cached(
    kind: str,
    files: Mapping[str, Path],
    settings: Mapping[str, Any],
    build: Callable[[], tuple[Arrays, dict[str, Any]]],
) -> tuple[Arrays, dict[str, Any]]:
    """``build()``'s arrays and metadata, from the cache if they are in it.

    The key is the content of ``files``, by name, and ``settings``; ``kind`` is the readable part of
    the entry's name. Arrays are memory-mapped and read-only. If a file changes while ``build``
    reads it, ``build`` is called once more; if it changes again, raises DataError.
    """
    for _ in range(2):
        hashes = _hashes(files)
        key = hashes | dict(settings)
        digest = hashlib.sha256(json.dumps([kind, key], sort_keys=True).encode()).hexdigest()
        entry = cache_folder() / f"{kind}-{digest[:24]}"
        if (stored := _read_entry(entry)) is not None:
            _LOG.debug("%s: from the cache, %s", kind, entry)
            return stored
        began = time.perf_counter()
        arrays, meta = build()
        _LOG.debug("%s: made in %.2f s, to the cache: %s", kind, time.perf_counter() - began, entry)
        now = _hashes(files)  # quick: an unchanged file is not read again
        if now == hashes:
            try:
                _store(entry, arrays, meta)
            except OSError as e:
                raise unwritable(_unwritable(entry.parent, e), e) from e
            return _read_entry(entry) or (arrays, meta)  # another process may have deleted it
    changed = ", ".join(str(path) for name, path in files.items() if now[name] != hashes[name])
    raise DataError(f"{changed} changed while being read; wait until it is whole, then run again")


def _hashes(files: Mapping[str, Path]) -> dict[str, Any]:
    return {name: content_hash(path) for name, path in files.items()}


def _read_entry(entry: Path) -> tuple[Arrays, dict[str, Any]] | None:
    """The stored arrays and metadata; None if there are none or, with a warning, damaged ones."""
    if not entry.is_dir():
        return None
    name = _META
    try:
        stored = json.loads(regular(entry / _META).read_text())
        digests = stored["arrays"]
        if isinstance(digests, list):
            return None  # of an earlier version, which kept no digests
        if stored.pop("check") != _check(stored):
            raise ValueError
        arrays = {}
        for name, digest in digests.items():
            _require(entry / name, digest)
            arrays[name.removesuffix(".npy")] = np.load(entry / name, mmap_mode="r")
        return arrays, stored["meta"]
    except (
        OSError,
        EOFError,
        ValueError,
        LookupError,
        TypeError,
        AttributeError,
        RecursionError,
    ) as e:
        if isinstance(e, OSError) and e.errno in OUT_OF_FILES:
            raise  # it may be whole
        if entry.is_dir():  # else another process has just deleted it
            warnings.warn(f"{entry / name} is damaged: that entry is made again", stacklevel=3)
        return None


def _check(content: Any) -> str:
    """What tells whether the content of a JSON file is as it was written."""
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _require(path: Path, digest: str) -> None:
    """Raise ValueError unless the array's file is as it was stored."""
    stamp = file_stamp(path)
    if stamp is None or _COMPARED.get(path) != (digest, stamp):
        if _file_digest(path) != digest:
            raise ValueError
        _COMPARED[path] = digest, stamp


def _file_digest(path: Path) -> str:
    return quick_digest(np.memmap(regular(path), np.uint8, "r"))


_META = "meta.json"
_COMPARED: dict[Path, tuple[str, Stamp | None]] = {}
_STORE_ATTEMPTS = 20


def _store(entry: Path, arrays: Arrays, meta: dict[str, Any]) -> None:
    doing("writing the cache")
    with workplace(entry.parent) as work:
        temporary = work / entry.name
        temporary.mkdir()
        for name, array in arrays.items():
            np.save(temporary / f"{name}.npy", array, allow_pickle=False)
        files = sorted(f"{name}.npy" for name in arrays)
        stored = {"meta": meta, "arrays": {n: _file_digest(temporary / n) for n in files}}
        (temporary / _META).write_text(json.dumps({**stored, "check": _check(stored)}))
        for attempt in range(_STORE_ATTEMPTS):
            try:
                temporary.rename(entry)
                return
            except OSError:
                if _read_entry(entry) is not None:
                    return  # another process stored the same content first: it is as good
                if attempt == _STORE_ATTEMPTS - 1:
                    raise
                # Damaged, or just being removed by a process that found it damaged.
                shutil.rmtree(entry, ignore_errors=True)


def _unreadable(path: Path, error: OSError) -> str:
    why = error.strerror or error
    return f"{path} cannot be read ({why}); check that it is there and its permissions"


def _unwritable(folder: Path, error: OSError) -> str:
    return (
        f"the cache {folder} cannot be written ({error.strerror or error}); make room, or set "
        "MMCTR_KIT_CACHE to another folder"
    )
