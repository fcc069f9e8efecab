"""Checks on what surrounds the parquet files: the images, and the memory that loading takes."""

import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from mmctr_kit.challenge.check.source import Source
from mmctr_kit.challenge.contract import IMAGES_FOLDER, SPLITS
from mmctr_kit.findings import Finding, Level, count


def image_findings(folder: Path, n_items: int | None) -> Iterator[Finding]:
    """How many of the items' images are there; ``n_items`` None where it is not known."""
    path = folder / IMAGES_FOLDER
    if not os.path.lexists(path):
        yield Finding(
            "images", Level.PASS, f"no {IMAGES_FOLDER}/: only encoders that read images need it", ""
        )
        return
    try:
        with os.scandir(path) as entries:
            sizes = {
                int(e.name[:-4]): e.stat().st_size
                for e in entries
                if re.fullmatch(r"[0-9]{1,9}\.jpg", e.name) and e.is_file()
            }
    except OSError as e:
        what = f"{IMAGES_FOLDER}/ cannot be listed ({e.strerror})"
        yield Finding("images", Level.WARN, what, "make it a readable folder of {item_id}.jpg")
        return
    empty = sum(size == 0 for size in sizes.values())
    if empty:
        yield Finding(
            "images",
            Level.WARN,
            f"{count(empty, 'empty file')} among {count(len(sizes), 'image')}",
            "download them again; an encoder would leave their vectors zero",
        )
    if n_items is not None:
        lacking = n_items - sum(1 <= item <= n_items for item in sizes)
        if lacking:
            yield Finding(
                "images",
                Level.WARN,
                f"no image of {lacking:,} of {count(n_items, 'item')}",
                "download them again; an encoder would leave their vectors zero",
            )
            return
    if not empty:
        yield Finding("images", Level.PASS, count(len(sizes), "image"), "")


def memory_findings(sources: Mapping[str, Source], history_items: int) -> Iterator[Finding]:
    """The memory that loading takes, roughly, against what is free.

    ``history_items``: history entries that are not padding, all rows together.
    """
    rows = sum(sources[split].rows for split in SPLITS)
    floats = sum(
        s.rows * s.columns[c.name].longest
        for s in sources.values()
        for c in s.file.columns
        if c.kind == "floats"
    )
    # 48 bytes a row: ids, target, levels, label, history index and key; then int32 histories three
    # times over while they are sorted and shared, float32 vectors, and half a gigabyte for the
    # interpreter, torch and one batch in flight.
    need = (48 * rows + 12 * history_items + 4 * floats) / 1e9 + 0.5
    free = available_memory()
    what = f"loading takes about {need:.1f} GB"
    if free is None:
        yield Finding("memory", Level.PASS, f"{what}; what is free here is not known", "")
    elif need > free / 1e9:
        yield Finding(
            "memory",
            Level.WARN,
            f"{what}, {free / 1e9:.1f} GB are free",
            "close other programs, or use a machine with more memory",
        )
    else:
        yield Finding("memory", Level.PASS, f"{what}, {free / 1e9:.1f} GB are free", "")


def available_memory(
    meminfo: Path = Path("/proc/meminfo"), group: Path = Path("/sys/fs/cgroup")
) -> int | None:
    """Bytes a new program can use: the system's, or the container's if that is less.

    None where the system does not say (only Linux does, here).
    """
    found: list[int] = []
    if match := re.search(r"^MemAvailable:\s+(\d+) kB", _text(meminfo), re.MULTILINE):
        found.append(int(match[1]) * 1024)
    limit, used = _text(group / "memory.max").strip(), _text(group / "memory.current").strip()
    if limit.isdigit() and used.isdigit():
        found.append(max(0, int(limit) - int(used)))
    return min(found) if found else None


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""
