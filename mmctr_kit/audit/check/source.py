"""The structure of one parquet file of the download, found by reading it through once.

What comes out is never an exception: a file that does not open, a column that is absent, twice
there, of the wrong kind or with nulls are all facts about the file. Later checks read only
columns that are :meth:`Source.usable`, so for them reading cannot fail.
"""

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from mmctr_kit.data.contract import FILES, Column, File
from mmctr_kit.data.parquet import Ragged, Values, open_parquet, read_columns, to_numpy
from mmctr_kit.errors import DataError

BATCH_ROWS = 8_192
"""Small enough that a batch of the widest file (1,792 floats a row) stays under 120 MB."""


@dataclass
class ColumnFacts:
    """One contract column as found. ``shortest`` and ``longest``: array lengths, 0 for scalars."""

    copies: int
    nulls: int = 0
    wrong: str = ""
    shortest: int = 0
    longest: int = 0

    @property
    def fine(self) -> bool:
        return self.copies == 1 and not self.nulls and not self.wrong


@dataclass(frozen=True)
class Source:
    """One file of the contract as found; ``trouble`` says why it cannot be read, else empty."""

    folder: Path
    file: File
    present: bool
    trouble: str
    rows: int
    columns: Mapping[str, ColumnFacts]

    def usable(self, *names: str) -> bool:
        """True where the file reads through, has rows, and these columns are as agreed."""
        return (
            self.present
            and not self.trouble
            and self.rows > 0
            and all(self.columns[n].fine for n in names)
        )

    def usable_vector(self, name: str) -> bool:
        """True where the column is usable and every row's array has the same length, over 0."""
        found = self.columns[name] if name in self.columns else ColumnFacts(0)
        return self.usable(name) and found.shortest == found.longest > 0

    def batches(self, *names: str) -> Iterator[Mapping[str, Values]]:
        """The named usable columns, ``BATCH_ROWS`` rows at a time."""
        # Values beyond float32 become infinite and are reported as such, not warned about.
        batches = read_columns(self.folder, self.file, names, BATCH_ROWS)
        while True:
            with np.errstate(over="ignore", invalid="ignore"):
                batch = next(batches, None)
            if batch is None:
                return
            yield batch


def probe(folder: Path, key: str) -> Source:
    """Read one file of the contract through; raises nothing for any content."""
    file = FILES[key]
    path = folder / file.path
    nothing = {c.name: ColumnFacts(copies=0) for c in file.columns}
    if not os.path.lexists(path):
        return Source(folder, file, False, "", 0, nothing)
    try:
        with open_parquet(path) as handle:
            columns = _scan(handle, file)
            return Source(folder, file, True, "", handle.metadata.num_rows, columns)
    except DataError as e:
        trouble = str(e)
    except (pa.ArrowException, OSError, UnicodeDecodeError) as e:  # the last: names of columns
        trouble = f"{file.path} breaks off while read ({_first_line(e)})"
    return Source(folder, file, True, trouble, 0, nothing)


def ints(values: Values) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """A scalar integer column, narrowed for the type checker."""
    assert isinstance(values, np.ndarray)
    return values


def ragged(values: Values) -> Ragged:
    """An array column, narrowed for the type checker."""
    assert isinstance(values, Ragged)
    return values


def _scan(handle: pq.ParquetFile, file: File) -> dict[str, ColumnFacts]:
    names = handle.schema_arrow.names
    facts = {c.name: ColumnFacts(names.count(c.name)) for c in file.columns}
    readable = [c for c in file.columns if facts[c.name].copies == 1]
    if not readable:
        return facts
    first = True
    for batch in handle.iter_batches(BATCH_ROWS, columns=[c.name for c in readable]):
        for column in readable:
            _look(batch.column(column.name), column, facts[column.name], file, first)
        first = first and len(batch) == 0
    return facts


def _look(array: pa.Array, column: Column, facts: ColumnFacts, file: File, first: bool) -> None:
    facts.nulls += array.null_count
    if _is_nested(array.type):
        facts.nulls += array.flatten().null_count
    if facts.nulls or facts.wrong:
        return
    try:
        with np.errstate(over="ignore", invalid="ignore"):
            values = to_numpy(array, column, f"{file.path}: {column.name}")
    except DataError as e:
        facts.wrong = str(e)
    except (pa.ArrowException, UnicodeDecodeError) as e:
        facts.wrong = f"{file.path}: {column.name} does not convert ({_first_line(e)})"
    else:
        if isinstance(values, Ragged) and len(values):
            lengths = values.lengths
            low, high = int(lengths.min()), int(lengths.max())
            facts.shortest = low if first else min(facts.shortest, low)
            facts.longest = max(facts.longest, high)


def _is_nested(kind: pa.DataType) -> bool:
    return bool(
        pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)
    )


def _first_line(e: BaseException) -> str:
    return (str(e).splitlines() or [type(e).__name__])[0]
