"""An item table as the challenge's own item_info.parquet, a Task1 entrant's hand-in; codes."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from mmctr_kit.data.contract import GIVEN_DIM, MAX_TAGS
from mmctr_kit.data.dataset import ChallengeData
from mmctr_kit.datasets.layout import write_file
from mmctr_kit.errors import UsageError, unwritable
from mmctr_kit.files import require_free, write_whole
from mmctr_kit.metrics.ranks import Floats32, Ints


def require_export(path: Path, overwrite: bool) -> None:
    """Raise UsageError if an item table may not be written to ``path``."""
    advice = "; name another file, or --force to replace it"
    require_free(path, "an item table", (".parquet",), overwrite, advice)


def require_codes(path: Path, overwrite: bool) -> None:
    """Raise UsageError if codes may not be written to ``path``."""
    advice = "; name another file, or --force to replace it"
    require_free(path, "a file of codes", (".parquet",), overwrite, advice)


def export_codes(codes: Mapping[str, Ints], path: Path, overwrite: bool = False) -> None:
    """Write codes (n_items + 1, levels), by what they are made of, as columns beside item_id.

    item_id is 1..n_items int64, a column of codes list<int64>, null for an item without codes.
    Raises UsageError if ``path`` cannot be written.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    require_codes(path, overwrite)
    items = len(next(iter(codes.values()))) - 1
    columns: dict[str, Any] = {"item_id": np.arange(1, items + 1)}
    for name, of_items in codes.items():
        rows = [row if row[0] else None for row in of_items[1:].tolist()]
        columns[name] = pa.array(rows, pa.list_(pa.int64()))
    _write(path, lambda p: pq.write_table(pa.table(columns), p))


def _write(path: Path, write: Callable[[Path], None]) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, write)
    except OSError as e:
        raise unwritable(f"cannot write '{path}' ({e.strerror}); name another file", e) from e


def export_items(
    data: ChallengeData, table: Floats32, path: Path, overwrite: bool = False
) -> list[str]:
    """Write ``table`` (n_items + 1, d) as the columns item_id, item_tags and item_emb_d128.

    item_id is 0..n_items int64, item_tags the loaded tags int64 padded on the left to 5 values or
    more, item_emb_d128 the table as float64, under the challenge's name whatever d is. The same
    input gives the same bytes. Returns warnings, one line each. Raises UsageError if the table has
    no column or a padding row that is not zero, or if ``path`` cannot be written.
    """
    require_export(path, overwrite)
    dims = table.shape[1]
    if dims == 0:
        raise UsageError("items.embedding is none, so there is no table to write; choose another")
    if table[0].any():
        raise UsageError("the table's padding row is not all zeros; zero row 0 before exporting")
    width = data.item_tags.shape[1]
    tags = np.pad(data.item_tags, ((0, 0), (max(MAX_TAGS - width, 0), 0)))
    columns = {"item_id": np.arange(data.n_items + 1), "item_tags": tags, "item_emb_d128": table}
    _write(path, lambda p: write_file(p, "item_info", [columns]))
    if dims == GIVEN_DIM:
        return []
    return [
        f"the table has {dims:,} dimensions, the challenge's own item_emb_d128 {GIVEN_DIM}; code "
        "that expects those refuses it"
    ]


def export_vectors(vectors: Floats32, path: Path, overwrite: bool = False) -> None:
    """Write ``vectors`` (n_items + 1, d) as the columns item_id, 1..n_items, and vector, float32.

    Such a file can be a recipe's ``items.file``. Raises UsageError if ``path`` can't be written.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    require_export(path, overwrite)
    values = pa.FixedSizeListArray.from_arrays(pa.array(vectors[1:].ravel()), vectors.shape[1])
    table = pa.table({"item_id": np.arange(1, len(vectors)), "vector": values})
    _write(path, lambda p: pq.write_table(table, p))
