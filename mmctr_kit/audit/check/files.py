"""Checks on the level of files: present, readable, columns, kinds, nulls, sizes, widths."""

import os
import re
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path

from mmctr_kit.audit.check.source import Source
from mmctr_kit.audit.findings import Finding, Level
from mmctr_kit.data.contract import FILES, IMAGES_FOLDER, SPLITS
from mmctr_kit.data.path_hints import not_parquet
from mmctr_kit.errors import plural

Sources = Mapping[str, Source]

_NARROWS = {
    "item_feature": "no own fusion of text and image, no titles, no item levels to compare",
    "item_emb": "only item_info's embedding can be used, and it cannot be checked by id",
    "item_seq": "no whole sequences of users",
}

_BY = ("item_id", "user_id", "item_seq")
"""Columns without which an optional file says nothing."""

_FROM_ROWS = "levels are read off the rows instead, for the items that stand in one as target"
_INSTEAD = {
    "likes_level": _FROM_ROWS,
    "views_level": _FROM_ROWS,
    "item_tags": "tags are item_info's anyway; only their comparison falls out",
}


def file_findings(
    folder: Path, sources: Sources, n_items: int | None, incomplete: Collection[str]
) -> Iterator[Finding]:
    """Everything that is known from presence, schema and size alone; ``n_items`` are item_info's
    without the padding row, None where it does not tell. Of item files whose ids are ``incomplete``
    the numbers of rows are not compared."""
    yield from _present(folder, sources)
    yield from _readable(sources)
    yield from _columns(sources)
    yield from _kinds_and_nulls(sources)
    yield from _row_counts(sources, n_items, incomplete)
    yield from _widths(sources)


def _present(folder: Path, sources: Sources) -> Iterator[Finding]:
    missing = [s.file.path for s in sources.values() if s.file.needed and not s.present]
    if missing:
        todo = "download them; DATA is the folder that holds MicroLens_1M_x1/"
        if astray := [name for path in missing if (folder / (name := Path(path).name)).is_file()]:
            todo = f"move {', '.join(astray)} from DATA itself to {Path(missing[0]).parent}/"
        yield Finding("files-needed", Level.FAIL, f"'{folder}' lacks {', '.join(missing)}", todo)
    else:
        yield Finding("files-needed", Level.PASS, "train, valid, test and item_info are there", "")
    absent = [k for k, s in sources.items() if not s.file.needed and not s.present]
    for key in absent:
        todo = "download it if you want what it narrows; all else works without it"
        inside = Path(FILES["train"].path).parent / FILES[key].path
        if (folder / inside).is_file():
            todo = f"move {inside} up into DATA"
        yield Finding("files-optional", Level.WARN, f"no {FILES[key].path}: {_NARROWS[key]}", todo)
    if not absent:
        yield Finding("files-optional", Level.PASS, f"{', '.join(_NARROWS)} are there", "")


def _readable(sources: Sources) -> Iterator[Finding]:
    present = {k: s for k, s in sources.items() if s.present}
    for source in present.values():
        if not source.trouble:
            continue
        what = source.trouble.removesuffix("; download it again")
        todo = f"download {source.file.path} again and compare its size with the source's"
        if known := not_parquet(source.folder / source.file.path):
            what, todo = f"{source.file.path} is {known[0]}, no parquet file", known[1]
        yield Finding("files-readable", Level.FAIL, what, todo)
    if present and not any(s.trouble for s in present.values()):
        yield Finding(
            "files-readable", Level.PASS, f"{', '.join(present)} read through to the end", ""
        )


def _readable_sources(sources: Sources) -> list[Source]:
    return [s for s in sources.values() if s.present and not s.trouble]


def _columns(sources: Sources) -> Iterator[Finding]:
    readable = _readable_sources(sources)
    fine = True
    for source in readable:
        for column in source.file.columns:
            copies = source.columns[column.name].copies
            if copies == 1:
                continue
            fine = False
            # An optional file without what it tells of its items only offers less.
            narrows = copies == 0 and not source.file.needed and column.name not in _BY
            yield Finding(
                "columns-present",
                Level.WARN if narrows else Level.FAIL,
                f"{source.file.path} has {'no' if copies == 0 else f'{copies}'} column"
                f"{'' if copies < 2 else 's'} {column.name}",
                _INSTEAD.get(
                    column.name, "what stands on it is not available; add the column if you want it"
                )
                if narrows
                else f"the columns are {', '.join(source.file.column_names)}, each once",
            )
    if readable and fine:
        yield Finding("columns-present", Level.PASS, "every column of the contract is there", "")


def _kinds_and_nulls(sources: Sources) -> Iterator[Finding]:
    readable = _readable_sources(sources)
    columns = [
        (f"{s.file.path}: {c.name}", s.columns[c.name]) for s in readable for c in s.file.columns
    ]
    wrong = [f.wrong for _, f in columns if f.wrong]
    for what in wrong:
        yield Finding(
            "column-kinds", Level.FAIL, what, "write the column as the contract has it, or re-load"
        )
    nulls = [(where, f.nulls) for where, f in columns if f.nulls]
    texts = {
        f"{s.file.path}: {c.name}" for s in readable for c in s.file.columns if c.kind == "text"
    }
    for where, found in nulls:
        # A text that is absent only tells less of its item.
        yield Finding(
            "no-nulls",
            Level.WARN if where in texts else Level.FAIL,
            f"{where} holds {plural(found, 'null')}",
            "read as empty texts; fill them if you have them"
            if where in texts
            else "the challenge's files hold none; download again, or fill what your own tool left "
            "out",
        )
    if readable and not wrong:
        yield Finding(
            "column-kinds", Level.PASS, "integers, arrays of integers, arrays of floats as due", ""
        )
    if readable and not nulls:
        yield Finding("no-nulls", Level.PASS, "no nulls, in columns or in arrays", "")


def _row_counts(
    sources: Sources, n_items: int | None, incomplete: Collection[str]
) -> Iterator[Finding]:
    readable = [(k, s) for k, s in sources.items() if s.present and not s.trouble]
    if not readable:
        return
    for key, source in readable:
        if source.rows == 0:
            yield Finding(
                "row-counts", Level.FAIL, f"{key} has no rows", f"download {source.file.path} again"
            )
    info = sources["item_info"]
    for key in ("item_feature", "item_emb"):
        found = sources[key].rows
        expected = info.rows - 1 if n_items is None else n_items
        if {key, "item_info"} & set(incomplete):
            continue
        if info.rows and found and found != expected:
            yield Finding(
                "row-counts",
                Level.FAIL,
                f"{key} has {plural(found, 'row')}, item_info {info.rows:,}; expected "
                f"{expected:,}, one for each item but the padding row",
                "take both files from the same release of the data",
            )
    odd = [f"{k} {s.rows:,}" for k, s in readable if s.rows != s.file.known_rows]
    yield Finding(
        "row-counts",
        Level.PASS,
        f"not the challenge's sizes: {', '.join(odd)}" if odd else "the challenge's own sizes",
        "",
    )


def _widths(sources: Sources) -> Iterator[Finding]:
    seen: list[str] = []
    fine = True
    for source in sources.values():
        for column in source.file.columns:
            if column.kind != "floats" or not source.usable(column.name):
                continue
            facts = source.columns[column.name]
            seen.append(f"{column.name} {facts.longest}")
            if source.usable_vector(column.name):
                continue
            fine = False
            yield Finding(
                "array-widths",
                Level.FAIL,
                f"{source.file.path}: {column.name} has arrays of {facts.shortest} to "
                f"{facts.longest} values",
                "every item's vector must have the same length, over 0",
            )
    if seen and fine:
        yield Finding("array-widths", Level.PASS, f"widths: {', '.join(seen)}", "")


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
            f"{plural(empty, 'empty file')} among {plural(len(sizes), 'image')}",
            "download them again; an encoder would leave their vectors zero",
        )
    if n_items is not None:
        lacking = n_items - sum(1 <= item <= n_items for item in sizes)
        if lacking:
            yield Finding(
                "images",
                Level.WARN,
                f"no image of {lacking:,} of {plural(n_items, 'item')}",
                "download them again; an encoder would leave their vectors zero",
            )
            return
    if not empty:
        yield Finding("images", Level.PASS, plural(len(sizes), "image"), "")


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
