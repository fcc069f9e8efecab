"""Finds the files of a SPEC's tables, and opens them without compression."""

import glob
import gzip
import io
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from mmctr_kit.data.parquet import first_line
from mmctr_kit.datasets.imports.spec import Table
from mmctr_kit.errors import DataError, UsageError, did_you_mean
from mmctr_kit.files import regular

_SUFFIXES = {
    "csv": ".csv",
    "tsv": ".tsv .tab .txt .data .dat",
    "jsonl": ".jsonl .ndjson .json",
    "parquet": ".parquet .pq",
    "atomic": ".inter .item .user",
}
_FORMATS = {suffix: kind for kind, text in _SUFFIXES.items() for suffix in text.split()}


@dataclass(frozen=True)
class Source:
    """A file of a table: a path, or ``member`` of the zip at the path."""

    path: Path
    member: str | None = None

    def __str__(self) -> str:
        return f"{self.path}:{self.member}" if self.member else str(self.path)

    @property
    def suffix(self) -> str:
        """The suffix of its name, without that of compression."""
        name = Path(self.member or self.path.name)
        return (name.with_suffix("") if name.suffix == ".gz" else name).suffix.lower()


def find_sources(table: Table, folder: Path, key: str) -> list[Source]:
    """The files of ``table``, which the SPEC names in ``key``; UsageError if one is missing."""
    sources = []
    for pattern in table.files:
        archive, colon, member = pattern.partition(".zip:")
        pattern = f"{archive}.zip" if colon else pattern
        paths = sorted(glob.glob(str(folder / pattern)))
        if not paths:
            near = did_you_mean(Path(pattern).name, _neighbours((folder / pattern).parent))
            raise UsageError(f"{key}: no file '{folder / pattern}'{near}")
        sources += [s for path in paths for s in _members(Path(path), member or None)]
    return sources


def find_table(path: Path, key: str) -> Source:
    """The table at ``path``, which ``key`` names; errors as :func:`find_sources`."""
    return find_sources(Table(files=(glob.escape(str(path)),)), Path(), key)[0]


def _neighbours(folder: Path) -> list[str]:
    return [p.name for p in folder.iterdir()] if folder.is_dir() else []


def _members(path: Path, member: str | None) -> list[Source]:
    if path.suffix.lower() != ".zip":
        return [Source(path)]
    try:
        with zipfile.ZipFile(path) as archive:
            names = [n for n in archive.namelist() if not n.endswith("/")]
    except (zipfile.BadZipFile, OSError) as e:
        raise DataError(f"{path} is not a readable zip ({first_line(e)}); download it again") from e
    if member is None and len(names) == 1:
        member = names[0]
    if member not in names:
        wanted = f"it lacks '{member}'{did_you_mean(member, names)}" if member else "name one"
        raise UsageError(f"{path} holds {', '.join(names[:5])}; {wanted}, as in {path.name}:NAME")
    return [Source(path, member)]


def is_table(path: Path) -> bool:
    """Whether a file's name is that of a table, or of an archive of one."""
    return path.suffix.lower() == ".zip" or Source(path).suffix in _FORMATS


def format_of(table: Table, source: Source) -> str:
    """``csv``, ``tsv``, ``jsonl``, ``parquet`` or ``atomic``; UsageError if the name tells none."""
    if table.format != "auto":
        return table.format
    if source.suffix not in _FORMATS:
        known = ", ".join(_FORMATS)
        raise UsageError(f"{source}: no table by its name; set format, or name it {known}")
    return _FORMATS[source.suffix]


@contextmanager
def opened(source: Source) -> Iterator[tuple[BinaryIO, BinaryIO]]:
    """The file on the disk, and its bytes without compression."""
    try:
        path = regular(source.path)
    except OSError as e:
        raise DataError(f"{source} cannot be read ({e.strerror}); name another file") from e
    try:
        with path.open("rb") as raw:
            file: Any = raw
            if source.member:
                file = zipfile.ZipFile(raw).open(source.member)  # noqa: SIM115 (ends with raw)
            if file.peek(2)[:2] == b"\x1f\x8b":
                file = io.BufferedReader(gzip.GzipFile(fileobj=file))
            yield raw, file
    except (EOFError, zlib.error, zipfile.BadZipFile, gzip.BadGzipFile) as e:
        raise DataError(
            f"{source} cannot be read to its end ({first_line(e)}); download it again"
        ) from e
