"""An on-disk cache of NumPy arrays, keyed by the content of the files they were made from.

It lives under ``$MMCTR_KIT_CACHE`` or the user's cache folder. Content hashes are remembered per
file beside its size, times and inode, so that an unchanged file is not hashed twice. Entries are
written to a temporary folder and renamed; any entry may be deleted at any time.
"""

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmctr_kit.errors import DataError, unwritable

Arrays = dict[str, NDArray[Any]]


def cache_folder() -> Path:
    """The cache's root, made if absent."""
    named = os.environ.get("MMCTR_KIT_CACHE")
    base = os.environ.get("XDG_CACHE_HOME")
    default = Path(base) if base else Path.home() / ".cache"
    folder = Path(named) if named else default / "mmctr-kit"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as e:
        raise unwritable(_unwritable(folder, e), e) from e
    return folder


def content_hash(path: Path) -> str:
    """sha256 of the file, remembered until its size, times or inode change.

    Where the memory cannot be written the file is hashed anew each time. Raises DataError where
    the file cannot be read.
    """
    try:
        stat = path.stat()
    except OSError as e:
        raise DataError(_unreadable(path, e)) from e
    seen = [stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_ino]
    name = hashlib.sha256(os.fsencode(path.resolve())).hexdigest()[:32]
    memo = cache_folder() / "hashes" / f"{name}.json"
    known = _read_json(memo)
    if known is not None and known["seen"] == seen:
        return str(known["sha256"])
    try:
        with path.open("rb") as handle:
            digest = hashlib.file_digest(handle, "sha256").hexdigest()
    except OSError as e:
        raise DataError(_unreadable(path, e)) from e
    with suppress(OSError):  # it only saves time; a full disk or a file in its place may refuse it
        memo.parent.mkdir(exist_ok=True)
        _write_atomically(memo, json.dumps({"seen": seen, "sha256": digest}).encode())
    return digest


def cached(
    kind: str,
    files: Mapping[str, Path],
    settings: Mapping[str, Any],
    build: Callable[[], tuple[Arrays, dict[str, Any]]],
) -> tuple[Arrays, dict[str, Any]]:
    """``build()``'s arrays and metadata, from the cache where they are there already.

    The key is the content of ``files``, by name, and ``settings``; ``kind`` names the entry for
    people. Arrays come back memory-mapped and read-only. Where a file changes while ``build``
    reads it, it is built once more; DataError where it changes again.
    """
    for _ in range(2):
        hashes = _hashes(files)
        key = hashes | dict(settings)
        digest = hashlib.sha256(json.dumps([kind, key], sort_keys=True).encode()).hexdigest()
        entry = cache_folder() / f"{kind}-{digest[:24]}"
        if (found := _read_entry(entry)) is not None:
            return found
        arrays, meta = build()
        now = _hashes(files)  # of an unchanged file only its times are looked at
        if now == hashes:
            try:
                _store(entry, arrays, meta)
            except OSError as e:
                raise unwritable(_unwritable(entry.parent, e), e) from e
            return _read_entry(entry) or (arrays, meta)  # deleted at once: what was built will do
    changed = ", ".join(str(path) for name, path in files.items() if now[name] != hashes[name])
    raise DataError(f"{changed} changed while being read; wait until it is whole, then run again")


def _hashes(files: Mapping[str, Path]) -> dict[str, Any]:
    return {name: content_hash(path) for name, path in files.items()}


def _read_entry(entry: Path) -> tuple[Arrays, dict[str, Any]] | None:
    """The stored arrays and metadata; None where a part is absent or cut off."""
    try:
        stored = json.loads((entry / "meta.json").read_text())
        arrays = {n: np.load(entry / f"{n}.npy", mmap_mode="r") for n in stored["arrays"]}
        return arrays, stored["meta"]
    except (OSError, EOFError, ValueError, KeyError):
        return None


def _store(entry: Path, arrays: Arrays, meta: dict[str, Any]) -> None:
    temporary = Path(tempfile.mkdtemp(prefix=f".{entry.name}-", dir=entry.parent))
    try:
        for name, array in arrays.items():
            np.save(temporary / f"{name}.npy", array, allow_pickle=False)
        stored = {"meta": meta, "arrays": sorted(arrays)}
        (temporary / "meta.json").write_text(json.dumps(stored))
        if _read_entry(entry) is None:
            shutil.rmtree(entry, ignore_errors=True)
        try:
            temporary.rename(entry)
        except OSError:
            # Another process stored the same content first; its entry is as good as ours.
            if _read_entry(entry) is None:
                raise
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _unreadable(path: Path, error: OSError) -> str:
    why = error.strerror or error
    return f"{path} cannot be read ({why}); check that it is there and its permissions"


def _unwritable(folder: Path, error: OSError) -> str:
    return (
        f"the cache {folder} cannot be written ({error.strerror or error}); make room, or set "
        "MMCTR_KIT_CACHE to another folder"
    )


def _read_json(path: Path) -> dict[str, Any] | None:
    try:
        content = json.loads(path.read_text())
    except (OSError, ValueError):
        return None
    return content if isinstance(content, dict) and {"seen", "sha256"} <= content.keys() else None


def _write_atomically(path: Path, content: bytes) -> None:
    handle, name = tempfile.mkstemp(dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as temporary:
            temporary.write(content)
        os.replace(name, path)
    except OSError:
        Path(name).unlink(missing_ok=True)
        raise
