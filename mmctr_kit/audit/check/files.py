"""Checks on whole files: present, readable, columns, kinds, nulls, sizes, images, memory."""

import os
import re
from collections.abc import Collection, Mapping
from pathlib import Path

from mmctr_kit.audit.check.scan import FileScan
from mmctr_kit.audit.findings import Log
from mmctr_kit.data.contract import FILES, IMAGES_FOLDER, SPLITS
from mmctr_kit.data.path_hints import not_parquet
from mmctr_kit.errors import plural

Scans = Mapping[str, FileScan]

_NARROWS = {
    "item_feature": "no fusion of text and image, no titles, no item levels to compare",
    "item_emb": "only item_info's embedding can be used, and it cannot be checked by id",
    "item_seq": "no whole sequences of users",
}

FIX = "fix the FAIL above first"
_KEYS = ("item_id", "user_id", "item_seq")
"""Columns without which an optional file is useless."""
_FROM_ROWS = "levels are taken from the rows instead, for the items that are a target there"
_INSTEAD = {
    "likes_level": _FROM_ROWS,
    "views_level": _FROM_ROWS,
    "item_tags": "tags come from item_info anyway; only the comparison is left out",
}
_NO_USE = "nothing that needs it is available; add the column if you want that"
_EVERY_IMAGE = "download them again; an encoder would leave their vectors zero"


def check_files(
    folder: Path, scans: Scans, n_items: int | None, incomplete: Collection[str], log: Log
) -> None:
    """Presence, schema and size of each file.

    ``n_items``: items in item_info without the padding row, None if not known. Row counts of
    item files whose ids are ``incomplete`` are not compared.
    """
    _check_present(folder, scans, log)
    _check_readable(scans, log)
    if readable := {k: s for k, s in scans.items() if s.readable}:
        _check_columns(readable, log)
        _check_kinds_and_nulls(readable, log)
        _check_row_counts(readable, n_items, incomplete, log)
        _check_widths(readable, log)


def _check_present(folder: Path, scans: Scans, log: Log) -> None:
    missing = [s.file.path for s in scans.values() if s.file.needed and not s.present]
    if missing:
        todo = "download them; DATA is the folder that contains MicroLens_1M_x1/"
        if misplaced := [n for path in missing if (folder / (n := Path(path).name)).is_file()]:
            todo = f"move {', '.join(misplaced)} from DATA itself to {Path(missing[0]).parent}/"
        log.fail("files-needed", f"'{folder}' lacks {', '.join(missing)}", todo)
    if not any(scan.present for scan in scans.values()):
        log.skip("files-optional", "no file of the data is there", FIX)
        return
    log.passed("files-needed", "train, valid, test and item_info are present")
    for key, narrows in _NARROWS.items():
        if scans[key].present:
            continue
        inside = Path(FILES["train"].path).parent / FILES[key].path
        todo = "download it if you want what is missing; everything else works without it"
        if inner := (folder / inside).is_file():
            todo = f"move {inside} up into DATA"
        what = f"no {FILES[key].path}: {narrows}"
        log.warn("files-optional", what, todo, challenge=not inner)
    log.passed("files-optional", f"{', '.join(_NARROWS)} are present")


def _check_readable(scans: Scans, log: Log) -> None:
    for scan in (s for s in scans.values() if s.trouble):
        what = scan.trouble.removesuffix("; download it again")
        todo = f"download {scan.file.path} again and compare its size with the source's"
        if other := not_parquet(scan.folder / scan.file.path):
            what, todo = f"{scan.file.path} is {other[0]}, not a parquet file", other[1]
        log.fail("files-readable", what, todo)
    if present := [k for k, s in scans.items() if s.present]:
        log.passed("files-readable", f"{', '.join(present)} can be read to the end")


def _check_columns(readable: Scans, log: Log) -> None:
    optional = {c.name for scan in readable.values() for c in scan.file.columns if c.optional}
    had = {
        n
        for n in optional
        if any(n in s.columns and s.columns[n].copies for s in readable.values())
    }
    for scan in readable.values():
        for name, column in scan.columns.items():
            if column.copies == 1 or (not column.copies and name in optional - had):
                continue
            number = "no column" if not column.copies else f"{column.copies} columns"
            what = f"{scan.file.path} has {number} {name}"
            if not column.copies and name in had:
                todo = f"write {name} into train, valid and test, or into none of them"
                log.fail("columns-present", what, todo)
            # An optional file without one of its item columns is still useful.
            elif not column.copies and not scan.file.needed and name not in _KEYS:
                log.warn("columns-present", what, _INSTEAD.get(name, _NO_USE), challenge=True)
            else:
                expected = ", ".join(scan.file.column_names)
                log.fail("columns-present", what, f"the columns are {expected}, each once")
    log.passed("columns-present", "every column of the contract is present")


def _check_kinds_and_nulls(readable: Scans, log: Log) -> None:
    for scan in readable.values():
        for column in scan.file.columns:
            result = scan.columns[column.name]
            if result.wrong:
                todo = "write the column as the contract says, or download the file again"
                log.fail("column-kinds", result.wrong, todo)
            if not result.nulls:
                continue
            what = f"{scan.file.path}: {column.name} holds {plural(result.nulls, 'null')}"
            if column.kind == "text":  # an item without a text has less to offer, no more
                todo = "they are read as empty texts; fill them if you have them"
                log.warn("no-nulls", what, todo)
            else:
                todo = "the challenge's files hold none: download again, or fill in the values"
                log.fail("no-nulls", what, todo)
    log.passed("column-kinds", "integers, arrays of integers and arrays of floats as expected")
    log.passed("no-nulls", "no nulls, in columns or in arrays")


def _check_row_counts(
    readable: Scans, n_items: int | None, incomplete: Collection[str], log: Log
) -> None:
    for key, scan in readable.items():
        if scan.rows == 0:
            log.fail("row-counts", f"{key} has no rows", f"download {scan.file.path} again")
    info = readable["item_info"].rows if "item_info" in readable else 0
    expected = info - 1 if n_items is None else n_items
    for key in ("item_feature", "item_emb"):
        rows = readable[key].rows if key in readable else 0
        comparable = info and rows and not {key, "item_info"} & set(incomplete)
        if comparable and rows != expected:
            what = (
                f"{key} has {plural(rows, 'row')}, item_info {info:,}; expected {expected:,}, one "
                "for each item but the padding row"
            )
            log.fail("row-counts", what, "take both files from the same release of the data")
    odd = [f"{k} {s.rows:,}" for k, s in readable.items() if s.rows != s.file.known_rows]
    sizes = f"not the challenge's sizes: {', '.join(odd)}" if odd else "the challenge's own sizes"
    log.passed("row-counts", sizes)


def _check_widths(readable: Scans, log: Log) -> None:
    widths: list[str] = []
    for scan in readable.values():
        for name in (c.name for c in scan.file.columns if c.kind == "floats"):
            if not scan.usable(name):
                continue
            column = scan.columns[name]
            widths.append(f"{name} {column.longest}")
            if not scan.usable_vector(name):
                what = f"{scan.file.path}: {name} has arrays of {column.shortest} to "
                todo = "every item's vector must have the same length, over 0"
                log.fail("array-widths", f"{what}{column.longest} values", todo)
    if widths:
        log.passed("array-widths", f"widths: {', '.join(widths)}")


def check_images(folder: Path, n_items: int | None, log: Log) -> None:
    """How many items have an image; ``n_items`` None if it is not known."""
    path = folder / IMAGES_FOLDER
    if not os.path.lexists(path):
        log.passed("images", f"no {IMAGES_FOLDER}/: only encoders that read images need it")
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
        log.warn("images", what, "make it a readable folder of {item_id}.jpg")
        return
    if empty := sum(size == 0 for size in sizes.values()):
        what = f"{plural(empty, 'empty file')} among {plural(len(sizes), 'image')}"
        log.warn("images", what, _EVERY_IMAGE)
    lacking = 0 if n_items is None else n_items - sum(1 <= item <= n_items for item in sizes)
    if lacking:
        what = f"no image of {lacking:,} of {plural(n_items or 0, 'item')}"
        log.warn("images", what, _EVERY_IMAGE)
    log.passed("images", plural(len(sizes), "image"))


def check_memory(scans: Scans, history_items: int, log: Log) -> None:
    """The memory that loading takes, roughly, against the free memory.

    ``history_items``: entries of all rows' histories that are not padding.
    """
    rows = sum(scans[split].rows for split in SPLITS)
    if not any(scan.readable for scan in scans.values()):
        return
    vectors = ((s, c.name) for s in scans.values() for c in s.file.columns if c.kind == "floats")
    floats = sum(scan.rows * scan.columns[name].longest for scan, name in vectors)
    # 48 bytes a row: ids, target, levels, label, history index and key; then int32 histories three
    # times over while they are sorted and deduplicated, float32 vectors, and half a gigabyte for
    # the interpreter, torch and one batch in flight.
    need = (48 * rows + 12 * history_items + 4 * floats) / 1e9 + 0.5
    free = available_memory()
    what = f"loading takes about {need:.1f} GB"
    if free is None:
        log.passed("memory", f"{what}; how much is free is not known here")
        return
    todo = "close other programs, or use a machine with more memory"
    log.warn_if(need > free / 1e9, "memory", f"{what}, {free / 1e9:.1f} GB are free", todo)


def available_memory(
    meminfo: Path = Path("/proc/meminfo"), group: Path = Path("/sys/fs/cgroup")
) -> int | None:
    """Bytes a new program can use: the system's, or the container's if that is less.

    None if the system does not say (only Linux does).
    """
    limits: list[int] = []
    if match := re.search(r"^MemAvailable:\s+(\d+) kB", _text(meminfo), re.MULTILINE):
        limits.append(int(match[1]) * 1024)
    limit, used = _text(group / "memory.max").strip(), _text(group / "memory.current").strip()
    if limit.isdigit() and used.isdigit():
        limits.append(max(0, int(limit) - int(used)))
    return min(limits, default=None)


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""
