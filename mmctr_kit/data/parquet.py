"""Raw parquet to NumPy, by value: the only code that opens the challenge's parquet files.

Array columns are stored as fixed-size arrays, as lists or as large lists, of any integer or float
width; all of them become one :class:`~mmctr_kit.data.ragged.Ragged`. Integers of any width become
int64; a float column that holds whole numbers counts as integers, if they are so small that no
other rounds to them. A text that is null is empty.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from mmctr_kit.data.contract import FILES, Column, File
from mmctr_kit.data.path_hints import not_parquet, refuse_neighbour
from mmctr_kit.data.ragged import Ragged
from mmctr_kit.errors import DataError, UsageError, did_you_mean, plural
from mmctr_kit.files import regular
from mmctr_kit.metrics.ranks import Ints, whole_numbers

BATCH_ROWS = 65_536

Values = Ints | list[str] | Ragged[Any]
_VALUES: Mapping[str, Any] = {"ints": np.int64, "floats": np.float32}

ENCODED = "mmctr_kit"
"""The key in the metadata of a file of encoded vectors: how each column was encoded, as JSON."""


def ints(values: Values) -> Ints:
    """A column of integers, narrowed for the type checker."""
    assert isinstance(values, np.ndarray)
    return values


def ragged(values: Values) -> Ragged[Any]:
    """A column of arrays, narrowed for the type checker."""
    assert isinstance(values, Ragged)
    return values


def require_folder(folder: Path) -> Path:
    """The folder, if it holds the needed files; else an error that says what a data folder is."""
    if not folder.is_dir():
        raise UsageError(f"no data folder at '{folder}'; expected the folder of the download")
    refuse_neighbour(folder)
    missing = [f.path for f in FILES.values() if f.needed and not (folder / f.path).is_file()]
    if parts := [path for path in missing if (folder / path).is_dir()]:
        raise DataError(
            f"'{folder / parts[0]}' is a folder, as of a table in parts; expected one parquet "
            "file: write the parts as one"
        )
    if missing:
        raise DataError(
            f"'{folder}' lacks {', '.join(missing)}; DATA is the folder that contains "
            "MicroLens_1M_x1/"
        )
    return folder


def open_parquet(path: Path) -> pq.ParquetFile:
    """The open file; DataError if it is not a readable parquet file."""
    try:
        return pq.ParquetFile(regular(path))
    except FileNotFoundError as e:
        raise DataError(f"{path} does not exist") from e
    except UnicodeEncodeError as e:
        raise DataError(
            f"the path {path} is not UTF-8, which parquet readers expect; rename it, or set LC_ALL "
            "to a UTF-8 locale"
        ) from e
    except (pa.ArrowException, OSError, UnicodeDecodeError) as e:
        if known := not_parquet(path):
            raise DataError(f"{path} is {known[0]}, not a parquet file; {known[1]}") from e
        raise DataError(
            f"{path} is not a readable parquet file ({first_line(e)}); download it again"
        ) from e


def column_names(path: Path) -> list[str]:
    """The names of a parquet file's columns."""
    with open_parquet(path) as handle:
        return list(handle.schema_arrow.names)


def require_all_items(path: Path, n_items: int) -> None:
    """Raise DataError for a file of ``items encode`` with fewer rows than there are items.

    It has a row for every item of its data, so it was made of a smaller set, whose items are
    others. A file that was made otherwise may leave items out.
    """
    with open_parquet(path) as handle:
        rows, said = handle.metadata.num_rows, handle.schema_arrow.metadata or {}
    if ENCODED.encode() in said and rows < n_items:
        raise DataError(
            f"{path} has {rows:,} items and the data {n_items:,}, so it was encoded for other "
            "data; expected a file that 'mmctr-kit items encode' made of this data"
        )


def read_columns(
    folder: Path, file: File, names: Sequence[str], batch_rows: int = BATCH_ROWS
) -> Iterator[Mapping[str, Values]]:
    """Batches of the named columns, in file order, at most ``batch_rows`` rows each.

    Raises DataError for a missing column, a null, a value of the wrong kind or a broken file.
    """
    columns = {c.name: c for c in file.columns}
    handle = open_parquet(folder / file.path)
    with handle:
        _require_columns(handle, names, file.path)
        try:
            for batch in handle.iter_batches(batch_rows, columns=list(names)):
                yield {n: to_numpy(batch.column(n), columns[n], f"{file.path}: {n}") for n in names}
        except (pa.ArrowException, OSError, UnicodeDecodeError) as e:
            raise DataError(
                f"{file.path} cannot be read to its end ({first_line(e)}); download it again"
            ) from e


def read_table(folder: Path, file: File, names: Sequence[str]) -> dict[str, Values]:
    """The named columns of a whole file at once (for the files that fit easily)."""
    columns = {c.name: c for c in file.columns}
    batches = list(read_columns(folder, file, names))
    return {n: _concatenate([b[n] for b in batches], columns[n]) for n in names}


def read_vectors(
    path: Path, id_name: str, vector_name: str, skip_nulls: bool = False
) -> tuple[Ints, Ragged[np.float32]]:
    """Ids (rows,) and float vectors of a parquet file outside the challenge's layout.

    With ``skip_nulls`` a row whose vector is null is left out, else it is a DataError.
    """
    with open_parquet(path) as handle:
        _require_columns(handle, (id_name, vector_name), str(path))
        try:
            table = handle.read(columns=[id_name, vector_name]).combine_chunks()
        except (pa.ArrowException, OSError, UnicodeDecodeError) as e:
            raise DataError(f"{path} cannot be read to its end ({first_line(e)})") from e
    if skip_nulls:
        table = table.filter(pc.is_valid(table.column(vector_name))).combine_chunks()
    ids, vectors = (
        to_numpy(whole_column(table.column(c.name)), c, f"{path}: {c.name}")
        for c in (Column(id_name, "int"), Column(vector_name, "floats"))
    )
    return ints(ids), ragged(vectors)


def whole_column(column: pa.ChunkedArray) -> pa.Array:
    """The column as one array."""
    return pa.concat_arrays(column.chunks) if column.num_chunks else pa.array([], column.type)


def to_numpy(array: pa.Array, column: Column, where: str) -> Values:
    """One Arrow column by the contract's kind; ``where`` names it in errors."""
    if column.kind == "text":
        return ["" if v is None else str(v) for v in array.to_pylist()]
    if array.null_count:
        raise DataError(f"{where} holds {plural(array.null_count, 'null')}; expected none")
    if column.kind == "int":
        return _integers(array, where)
    return _ragged(array, column.kind == "ints", where)


def _ragged(array: pa.Array, whole: bool, where: str) -> Ragged[Any]:
    kind = array.type
    if pa.types.is_fixed_size_list(kind):
        flat = array.flatten()
        offsets = np.arange(len(array) + 1, dtype=np.int64) * kind.list_size
    elif pa.types.is_list(kind) or pa.types.is_large_list(kind):
        flat = array.flatten()
        offsets = np.asarray(array.offsets, dtype=np.int64)
        offsets = offsets - offsets[0]
    else:
        raise DataError(f"{where} is {kind}; expected one array or list a row")
    if flat.null_count:
        raise DataError(
            f"{where} holds {plural(flat.null_count, 'null')} inside its arrays; expected none"
        )
    if len(flat) == 0:
        # A file with empty arrays only may have any type.
        return Ragged(np.zeros(0, _VALUES["ints" if whole else "floats"]), offsets)
    if whole:
        return Ragged(_integers(flat, where), offsets)
    if not (pa.types.is_floating(flat.type) or pa.types.is_integer(flat.type)):
        raise DataError(f"{where} holds {flat.type}; expected floats")
    with np.errstate(over="ignore"):  # beyond float32 is infinite, which later checks name
        return Ragged(np.asarray(flat).astype(np.float32, copy=False), offsets)


def _integers(array: pa.Array, where: str) -> Ints:
    if pa.types.is_boolean(array.type):
        array = pc.cast(array, pa.int8())
    if not (pa.types.is_floating(array.type) or pa.types.is_integer(array.type)):
        raise DataError(f"{where} is {array.type}; expected integers")
    try:
        return whole_numbers(_without_pandas(array))
    except ValueError as e:
        raise DataError(f"{where} holds {e}") from e


def _without_pandas(array: pa.Array) -> NDArray[Any]:
    """The numbers of an array without nulls, without pandas, which Arrow's own way imports."""
    if len(array) == 0:
        return np.zeros(0, array.type.to_pandas_dtype())
    return np.from_dlpack(array)


def _require_columns(handle: pq.ParquetFile, names: Sequence[str], where: str) -> None:
    present = handle.schema_arrow.names
    for name in names:
        if present.count(name) != 1:
            near = did_you_mean(name, present).replace("did you mean", "is it")
            lacks = f"lacks column {name}{near}"
            fault = f"holds column {name} twice" if name in present else lacks
            raise DataError(
                f"{where} {fault}; expected {', '.join(names)}, found {', '.join(present)}"
            )


def first_line(error: Exception) -> str:
    """The first line of an error's text; its type's name if it has none."""
    return (str(error).splitlines() or [type(error).__name__])[0]


def _concatenate(parts: list[Values], column: Column) -> Values:
    """The values of all batches; without a batch the file has no row."""
    if column.kind == "int":
        return np.concatenate([np.zeros(0, np.int64), *(ints(p) for p in parts)])
    if column.kind == "text":
        return [v for p in parts if isinstance(p, list) for v in p]
    empty = Ragged(np.zeros(0, _VALUES[column.kind]), np.zeros(1, np.int64))
    return Ragged.concatenate([ragged(p) for p in parts] or [empty])
