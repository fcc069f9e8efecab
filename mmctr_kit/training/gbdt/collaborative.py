"""Collaborative signals of rows: item-item similarities between target and history."""

import numpy as np

from mmctr_kit.data.dataset import ChallengeData
from mmctr_kit.items.signals import POPULARITY, row_columns, signal_values
from mmctr_kit.items.similarity import Similarity
from mmctr_kit.training.gbdt.packed import Columns, Packed


def signal_features(
    packed: Packed, similarity: Similarity, data: ChallengeData, half_life: float
) -> Columns:
    """The row columns of :mod:`mmctr_kit.items.signals`, but for the number of users, which is
    among the statistics; of each kind the newest position; of EASE also the sum, its score.

    NaN for a row without history, for which the row columns hold 0."""
    values = signal_values(similarity, data, packed.examples, half_life)
    values.row[packed.length == 0] = np.nan
    names = row_columns(similarity.kinds)
    found = {n: values.row[:, i] for i, n in enumerate(names) if n != POPULARITY}
    for column, kind in enumerate(similarity.kinds):
        found[f"{kind}_last"] = packed.last(values.position[:, column])
        if kind == "ease":
            found["ease_sum"] = found["ease_mean"] * packed.length.astype(np.float32)
    return found
