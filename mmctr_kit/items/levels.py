"""Likes and views levels by item, read off the rows that show the item as their target."""

import numpy as np
from numpy.typing import NDArray

from mmctr_kit.challenge.contract import PAD, SPLITS
from mmctr_kit.challenge.data import ChallengeData


def item_levels(data: ChallengeData) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """(n_items + 1,) likes and views levels, 0 for the padding item and items that no row shows.

    In the challenge an item's levels are the same in every row; where they are not, the last of
    train, valid, test counts.
    """
    likes = np.zeros(data.n_items + 1, np.int64)
    views = np.zeros(data.n_items + 1, np.int64)
    for split in SPLITS:
        rows = data.rows[split]
        likes[rows.item_id] = rows.likes_level
        views[rows.item_id] = rows.views_level
    likes[PAD] = views[PAD] = 0
    return likes, views
