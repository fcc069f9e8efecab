"""The two modalities of item_feature.parquet, text and image, by item id."""

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from mmctr_kit.challenge.cache import Arrays, cached
from mmctr_kit.challenge.contract import FILES
from mmctr_kit.challenge.data import ChallengeData
from mmctr_kit.challenge.load import by_item_id
from mmctr_kit.challenge.read import Ragged, column_names, read_table
from mmctr_kit.errors import DataError

Modality = Literal["text", "image"]
COLUMNS: dict[Modality, str] = {"text": "txt_emb_BERT", "image": "img_emb_CLIPRN50"}

_FORMAT = 1


def held_modalities(data: ChallengeData) -> tuple[Modality, ...]:
    """The modalities whose column item_feature.parquet has, text first; none without the file."""
    path = data.folder / FILES["item_feature"].path
    columns = column_names(path) if path.is_file() else []
    return tuple(m for m, column in COLUMNS.items() if column in columns)


def load_modality(data: ChallengeData, modality: Modality) -> NDArray[np.float32]:
    """(n_items + 1, d) float32, memory-mapped: BERT's vectors of titles or CLIP's of images.

    Row 0, the padding item, is zero, and so is the row of an item whose file entry is all zeros
    (a missing title or image). Raises DataError where the folder does not hold the modality, or
    holds it for other items than 1..n_items.
    """
    file, column = FILES["item_feature"], COLUMNS[modality]
    path = data.folder / file.path
    held = held_modalities(data)
    if modality not in held:
        why = f"{file.path} lacks {column}" if path.is_file() else f"it lacks {file.path}"
        use = held[0] if held else "item_info"
        raise DataError(
            f"the folder has no {modality} embedding ({why}); use items.embedding: {use}"
        )

    def build() -> tuple[Arrays, dict[str, Any]]:
        columns = read_table(data.folder, file, ("item_id", column))
        ids, vectors = columns["item_id"], columns[column]
        assert isinstance(ids, np.ndarray)
        assert isinstance(vectors, Ragged)
        where = f"{file.path}: {column}"
        return {"table": by_item_id(ids, vectors, data.n_items, where)}, {}

    settings = {"column": column, "items": data.n_items, "format": _FORMAT}
    return cached("modality", {"file": path}, settings, build)[0]["table"]
