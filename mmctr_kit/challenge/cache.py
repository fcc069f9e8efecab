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
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Arrays = dict[str, NDArray[Any]]


def cache_folder() -> Path:
    """The cache's root, made if absent."""
    named = os.environ.get("MMCTR_KIT_CACHE")
    base = os.environ.get("XDG_CACHE_HOME")
    default = Path(base) if base else Path.home() / ".cache"
    folder = Path(named) if named else default / "mmctr-kit"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def content_hash(path: Path) -> str:
    """sha256 of the file, remembered until its size, times or inode change."""
    stat = path.stat()
    seen = [stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_ino]
    name = hashlib.sha256(str(path.resolve()).encode()).hexdigest()[:32]
    memo = cache_folder() / "hashes" / f"{name}.json"
    known = _read_json(memo)
    if known is not None and known["seen"] == seen:
        return str(known["sha256"])
    with path.open("rb") as handle:
        digest = hashlib.file_digest(handle, "sha256").hexdigest()
    memo.parent.mkdir(exist_ok=True)
    _write_atomically(memo, json.dumps({"seen": seen, "sha256": digest}).encode())
    return digest


def cached(
    kind: str, key: Mapping[str, Any], build: Callable[[], tuple[Arrays, dict[str, Any]]]
) -> tuple[Arrays, dict[str, Any]]:
    """``build()``'s arrays and metadata, from the cache where ``key`` is there already.

    Arrays come back memory-mapped and read-only. ``kind`` names the entry for people.
    """
    digest = hashlib.sha256(json.dumps([kind, key], sort_keys=True).encode()).hexdigest()
    entry = cache_folder() / f"{kind}-{digest[:24]}"
    if not (entry / "meta.json").is_file():
        arrays, meta = build()
        _store(entry, arrays, meta)
    meta = json.loads((entry / "meta.json").read_text())
    return {p.stem: np.load(p, mmap_mode="r") for p in sorted(entry.glob("*.npy"))}, meta


def _store(entry: Path, arrays: Arrays, meta: dict[str, Any]) -> None:
    temporary = Path(tempfile.mkdtemp(prefix=f".{entry.name}-", dir=entry.parent))
    try:
        for name, array in arrays.items():
            np.save(temporary / f"{name}.npy", array, allow_pickle=False)
        (temporary / "meta.json").write_text(json.dumps(meta))
        if entry.exists() and not (entry / "meta.json").is_file():
            shutil.rmtree(entry)
        try:
            temporary.rename(entry)
        except OSError:
            # Another process stored the same content first; its entry is as good as ours.
            if not (entry / "meta.json").is_file():
                raise
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _read_json(path: Path) -> dict[str, Any] | None:
    try:
        content = json.loads(path.read_text())
    except (FileNotFoundError, json.JSONDecodeError):
        return None
    return content if isinstance(content, dict) and {"seen", "sha256"} <= content.keys() else None


def _write_atomically(path: Path, content: bytes) -> None:
    with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as handle:
        handle.write(content)
    os.replace(handle.name, path)
