"""Data folders whose rows have times."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from mmctr_kit.data.contract import FILES, SPLITS

DAY = 86_400_000
LENGTH = 70 * DAY
"""Train takes as many milliseconds in :func:`timed_copy`, and each later split a tenth of it."""


def set_columns(path: Path, **columns: Any) -> None:
    """Write columns of a parquet file anew, or add them."""
    table = pq.read_table(path)
    for name, values in columns.items():
        array = pa.array(list(values) if values.ndim > 1 else values)
        if name in table.column_names:
            table = table.set_column(table.column_names.index(name), name, array)
        else:
            table = table.append_column(name, array)
    pq.write_table(table, path)


def timed_copy(source: Path, out: Path, seed: int = 0) -> Path:
    """A copy of a data folder with random times, valid and test one after the other after train."""
    shutil.copytree(source, out)
    random, begin = np.random.default_rng(seed), 0
    for split, length in zip(SPLITS, (LENGTH, LENGTH // 10, LENGTH // 10), strict=True):
        path = out / FILES[split].path
        rows = pq.read_metadata(path).num_rows
        set_columns(path, time=begin + random.integers(0, length, rows))
        begin += length
    return out
