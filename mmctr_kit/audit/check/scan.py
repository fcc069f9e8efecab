"""The structure of one parquet file of the download, determined by reading it through once.

Nothing is raised: a file that does not open and a column that is absent, duplicated, of the wrong
kind or with nulls are all results of the scan. Later checks read only columns that are
:meth:`FileScan.usable`, so reading cannot fail for them.
"""

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from mmctr_kit.data.contract import FILES, Column, File
from mmctr_kit.data.parquet import Values, first_line, open_parquet, read_columns, to_numpy
from mmctr_kit.data.ragged import Ragged
from mmctr_kit.errors import DataError

BATCH_ROWS = 8_192
"""Small enough that a batch of the widest file (1,792 floats a row) stays under 120 MB."""
_NESTED = (pa.types.is_list, pa.types.is_large_list, pa.types.is_fixed_size_list)


@dataclass
class ColumnScan:
    """One column of the contract as it is in the file.

    ``copies`` columns have its name; ``wrong`` says what is wrong with its kind, else "";
    ``shortest`` and ``longest`` are the lengths of its arrays, 0 for scalars.
    """

    copies: int
    nulls: int = 0
    wrong: str = ""
    shortest: int = 0
    longest: int = 0

    @property
    def fine(self) -> bool:
        return self.copies == 1 and not self.nulls and not self.wrong


@dataclass(frozen=True)
class FileScan:
    """One file of the contract as it is; ``trouble`` says why it cannot be read, else ""."""

    folder: Path
    file: File
    present: bool
    trouble: str
    rows: int
    columns: Mapping[str, ColumnScan]

    @property
    def readable(self) -> bool:
        return self.present and not self.trouble

    def usable(self, *names: str) -> bool:
        """True if the file can be read, has rows, and has these columns as the contract says."""
        return self.readable and self.rows > 0 and all(self.columns[n].fine for n in names)

    def usable_vector(self, name: str) -> bool:
        """True if the column is usable and the arrays of all rows have the same length, over 0."""
        column = self.columns[name]
        return self.usable(name) and column.shortest == column.longest > 0

    def batches(self, *names: str) -> Iterator[Mapping[str, Values]]:
        """The named usable columns, ``BATCH_ROWS`` rows at a time."""
        # Values beyond float32 become infinite, and checks report them: no NumPy warning needed.
        batches = read_columns(self.folder, self.file, names, BATCH_ROWS)
        while True:
            with np.errstate(over="ignore", invalid="ignore"):
                batch = next(batches, None)
            if batch is None:
                return
            yield batch


def scan_file(folder: Path, key: str) -> FileScan:
    """Reads one file of the contract through; raises nothing for any content."""
    file = FILES[key]
    path = folder / file.path
    nothing = {c.name: ColumnScan(copies=0) for c in file.columns}
    if not os.path.lexists(path):
        return FileScan(folder, file, False, "", 0, nothing)
    try:
        with open_parquet(path) as handle:
            columns = _scan(handle, file)
            return FileScan(folder, file, True, "", handle.metadata.num_rows, columns)
    except DataError as e:
        trouble = str(e)
    except (pa.ArrowException, OSError, UnicodeDecodeError) as e:  # the last: column names
        trouble = f"{file.path} cannot be read to its end ({first_line(e)})"
    return FileScan(folder, file, True, trouble, 0, nothing)


def _scan(handle: pq.ParquetFile, file: File) -> dict[str, ColumnScan]:
    names = handle.schema_arrow.names
    scans = {c.name: ColumnScan(names.count(c.name)) for c in file.columns}
    readable = [c for c in file.columns if scans[c.name].copies == 1]
    if not readable:
        return scans
    first = True
    for batch in handle.iter_batches(BATCH_ROWS, columns=[c.name for c in readable]):
        for column in readable:
            _scan_batch(batch.column(column.name), column, scans[column.name], file, first)
        first = first and len(batch) == 0
    return scans


def _scan_batch(array: pa.Array, column: Column, scan: ColumnScan, file: File, first: bool) -> None:
    scan.nulls += array.null_count
    if any(is_a(array.type) for is_a in _NESTED):
        scan.nulls += array.flatten().null_count
    if scan.nulls or scan.wrong:
        return
    try:
        with np.errstate(over="ignore", invalid="ignore"):
            values = to_numpy(array, column, f"{file.path}: {column.name}")
    except DataError as e:
        scan.wrong = str(e)
    except (pa.ArrowException, UnicodeDecodeError) as e:
        scan.wrong = f"{file.path}: {column.name} does not convert ({first_line(e)})"
    else:
        if isinstance(values, Ragged) and len(values):
            lengths = values.lengths
            low, high = int(lengths.min()), int(lengths.max())
            scan.shortest = low if first else min(scan.shortest, low)
            scan.longest = max(scan.longest, high)
