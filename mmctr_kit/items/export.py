"""An item table as the challenge's own item_info.parquet, a Task1 entrant's hand-in."""

from pathlib import Path

import numpy as np

from mmctr_kit.data.contract import GIVEN_DIM, MAX_TAGS
from mmctr_kit.data.dataset import ChallengeData
from mmctr_kit.datasets.layout import write_file
from mmctr_kit.errors import UsageError, unwritable
from mmctr_kit.files import require_free, write_whole
from mmctr_kit.metrics.ranks import Floats32


def require_export(path: Path, overwrite: bool) -> None:
    """Raise UsageError if an item table may not be written to ``path``."""
    advice = "; name another file, or --force to replace it"
    require_free(path, "an item table", (".parquet",), overwrite, advice)


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
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, lambda p: write_file(p, "item_info", [columns]))
    except OSError as e:
        raise unwritable(f"cannot write '{path}' ({e.strerror}); name another file", e) from e
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
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, lambda p: pq.write_table(table, p))
    except OSError as e:
        raise unwritable(f"cannot write '{path}' ({e.strerror}); name another file", e) from e
