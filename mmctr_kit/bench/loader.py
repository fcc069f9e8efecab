"""A loader that works the way the official baseline's does, to be timed beside this project's.

The train file is one integer matrix, one row a sample, histories padded to ``max_history``. torch's
DataLoader fetches a batch sample by sample; the collator then looks every history position and
target up in a pandas table of items and turns its columns into arrays by way of lists.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, default_collate

from mmctr_kit.data.dataset import ChallengeData, Examples
from mmctr_kit.data.ragged import expand_ranges

Columns = Mapping[str, slice]


@dataclass(frozen=True)
class OfficialBatch:
    """``row``: each row's own columns and its label, (B,); ``item``: item_id (n,), item_tags (n,
    5) and item_emb_d128 (n, d) of the B * (L + 1) items, a row's history and then its target;
    ``mask`` (B, L) float32, 1 = a real position."""

    row: dict[str, Tensor]
    item: dict[str, Tensor]
    mask: Tensor


def official_loader(
    data: ChallengeData,
    item_emb: NDArray[np.float32],
    rows: NDArray[np.int64],
    max_history: int,
    batch_size: int,
) -> DataLoader[Any]:
    """Batches of the train rows ``rows``, shuffled; a last one that is not whole is left out.

    ``item_emb`` (n_items + 1, d) is what the model is told of items.
    """
    matrix, columns = sample_matrix(data, data.examples("train", max_history).take(rows))
    return DataLoader(
        _Samples(matrix),
        batch_size=batch_size,
        shuffle=True,
        drop_last=True,
        collate_fn=_Collator(columns, item_table(data, item_emb)),
    )


def sample_matrix(data: ChallengeData, examples: Examples) -> tuple[NDArray[np.int64], Columns]:
    """(rows, L + 5) int64 and which of its columns are what; L is the longest history."""
    longest = int(examples.lengths.max(initial=1))
    padded = np.zeros((len(examples), longest), np.int64)
    places, owner = expand_ranges(examples.begin, examples.lengths)
    # The most recent item comes last, as in the challenge's item_seq.
    column = longest - (examples.end[owner] - places)
    padded[owner, column] = data.histories.values[places]
    assert examples.label is not None
    parts: dict[str, NDArray[Any]] = {
        "user_id": examples.user_id,
        "item_seq": padded,
        "item_id": examples.item_id,
        "likes_level": examples.likes_level,
        "views_level": examples.views_level,
        "label": examples.label,
    }
    columns, begin = {}, 0
    for name, part in parts.items():
        width = 1 if part.ndim == 1 else part.shape[1]
        columns[name] = slice(begin, begin + width)
        begin += width
    return np.column_stack(list(parts.values())).astype(np.int64), columns


def item_table(data: ChallengeData, item_emb: NDArray[np.float32]) -> pd.DataFrame:
    """item_info as pandas reads it: one array an item in each of the two array columns."""
    return pd.DataFrame(
        {
            "item_id": np.arange(len(item_emb)),
            "item_tags": list(data.item_tags.astype(np.int64)),
            "item_emb_d128": list(item_emb.astype(np.float64)),
        }
    )


class _Samples(Dataset[Any]):
    def __init__(self, matrix: NDArray[np.int64]) -> None:
        self.matrix = matrix

    def __len__(self) -> int:
        return len(self.matrix)

    def __getitem__(self, number: int) -> NDArray[np.int64]:
        sample: NDArray[np.int64] = self.matrix[number]
        return sample


class _Collator:
    def __init__(self, columns: Columns, items: pd.DataFrame) -> None:
        self.columns = columns
        self.items = items

    def __call__(self, samples: list[NDArray[np.int64]]) -> OfficialBatch:
        batch = default_collate(samples)
        parts = {name: batch[:, where] for name, where in self.columns.items()}
        history, target = parts["item_seq"], parts["item_id"]
        ids = np.hstack([history.numpy(), target.numpy()]).flatten()
        found = self.items.iloc[ids]
        item = {name: torch.from_numpy(np.array(found[name].to_list())) for name in found.columns}
        row = {n: parts[n].squeeze(1) for n in ("likes_level", "views_level", "label")}
        return OfficialBatch(row, item, (history > 0).float())
