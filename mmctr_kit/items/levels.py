"""Likes and views levels by item."""

import numpy as np
from numpy.typing import NDArray

from mmctr_kit.challenge.contract import PAD, SPLITS
from mmctr_kit.challenge.data import ChallengeData
from mmctr_kit.challenge.load import load_feature_levels

Levels = tuple[NDArray[np.int64], NDArray[np.int64]]


def item_levels(data: ChallengeData) -> Levels:
    """(n_items + 1,) likes and views levels, 0 for the padding item.

    They are item_feature's where the folder has it. Else they are read off the rows that show the
    item as their target (the last of train, valid, test), and are 0 where no row does.
    """
    given = load_feature_levels(data)
    if given is not None:
        return given
    likes = np.zeros(data.n_items + 1, np.int64)
    views = np.zeros(data.n_items + 1, np.int64)
    for split in SPLITS:
        rows = data.rows[split]
        likes[rows.item_id] = rows.likes_level
        views[rows.item_id] = rows.views_level
    likes[PAD] = views[PAD] = 0
    return likes, views
