"""Leaks to plant in a copy of the tiny data set, and whether they are named."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from mmctr_kit.audit.check import check_data
from mmctr_kit.audit.findings import problems
from mmctr_kit.audit.profile import PROBES, profile_data, quick_profile
from mmctr_kit.data.contract import FILES
from mmctr_kit.data.load import load

Columns = dict[str, Any]
SLOW = {"split-shift", "target-side", "embedding-order"}


@contextmanager
def edited(folder: Path, name: str) -> Iterator[Columns]:
    """The columns of a file as arrays, written back when the block ends."""
    path = folder / FILES[name].path
    table = pq.read_table(path)
    columns: Columns = {}
    for column, kind in zip(table.column_names, table.schema.types, strict=True):
        values = table.column(column).combine_chunks()
        if pa.types.is_fixed_size_list(kind):
            columns[column] = values.flatten().to_numpy().reshape(len(values), -1).copy()
        elif pa.types.is_integer(kind):
            columns[column] = values.to_numpy().copy()
        else:
            columns[column] = values
    yield columns
    arrays = [
        pa.FixedSizeListArray.from_arrays(pa.array(np.ravel(v)), np.shape(v)[1])
        if isinstance(v, np.ndarray) and v.ndim == 2
        else pa.array(v)
        for v in columns.values()
    ]
    pq.write_table(pa.Table.from_arrays(arrays, list(columns)), path)


def rng() -> np.random.Generator:
    return np.random.default_rng(0)


@dataclass(frozen=True)
class Leak:
    """``plant`` changes the folder; ``named`` is the probe, or the check, that must name it."""

    plant: Callable[[Path], None]
    named: str

    def __str__(self) -> str:
        return f"{self.named}: {self.plant.__qualname__.replace('.<locals>.', ' ')}"


def suspicions(folder: Path, quick: bool = False) -> set[str]:
    verdicts = quick_profile(load(folder)) if quick else profile_data(folder)
    return {v.measurement.probe for v in verdicts if v.suspicious}


def assert_named(leak: Leak, folder: Path) -> None:
    """The planted leak is named by its probe, or by its check."""
    leak.plant(folder)
    if leak.named in PROBES:
        assert leak.named in suspicions(folder, quick=leak.named not in SLOW)
    else:
        found = [f for f in check_data(folder) if f.id == leak.named]
        assert problems(found)
