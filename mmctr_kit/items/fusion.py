"""Item embeddings: from what the data folder holds to one item table (n_items + 1, d)."""

import hashlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mmctr_kit.challenge.data import ChallengeData
from mmctr_kit.challenge.load import load_given, load_own
from mmctr_kit.recipe import Items


def item_table(data: ChallengeData, items: Items) -> NDArray[np.float32]:
    """(n_items + 1, d) float32, padding row exactly zero; d is 0 for ``embedding: none``.

    Raises DataError where the folder lacks the embedding that the recipe asks for.
    """
    if items.embedding == "none":
        return np.zeros((data.n_items + 1, 0), np.float32)
    if items.embedding == "item_info":
        return data.item_emb
    if items.embedding == "file":
        assert items.file is not None
        return load_own(data, Path(items.file))
    return load_given(data, items.embedding)


def table_fingerprint(table: NDArray[np.float32]) -> str:
    """sha256 of the table's shape and values."""
    digest = hashlib.sha256(str(table.shape).encode())
    digest.update(np.ascontiguousarray(table).tobytes())
    return digest.hexdigest()
