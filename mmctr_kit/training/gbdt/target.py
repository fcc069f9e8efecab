"""Features of the target alone, without user, history or labels."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mmctr_kit.data.contract import PAD
from mmctr_kit.data.dataset import ChallengeData
from mmctr_kit.items import Floats32, Ints
from mmctr_kit.training.gbdt.packed import Columns, Packed


@dataclass(frozen=True)
class Tags:
    """The items' tags: ``of`` (n_items + 1, tags) int64, 0 = padding.

    ``number`` (n_items + 1,) is how many tags an item has, ``items`` (n_tags,) how many items have
    a tag, and ``rarity`` (n_tags,) float32 log(all items / those), 0 for the padding tag.
    """

    of: Ints
    number: Ints
    items: Ints
    rarity: Floats32

    @classmethod
    def read(cls, data: ChallengeData) -> "Tags":
        tags = data.item_tags.astype(np.int64)
        items = np.bincount(tags[tags != PAD], minlength=data.n_tags)
        rarity = np.log(data.n_items / np.maximum(items, 1))
        rarity[PAD] = 0
        return cls(tags, (tags != PAD).sum(1), items, rarity.astype(np.float32))


def target_features(packed: Packed, tags: Tags) -> Columns:
    """The target's levels and tags."""
    target = packed.target
    rarest = tags.rarity[tags.of[target]].max(1)
    return {
        "likes_level": level(packed.examples.likes_level),
        "views_level": level(packed.examples.views_level),
        "tags": tags.number[target].astype(np.float32),
        "tag_rarity": np.where(tags.number[target] > 0, rarest, np.nan).astype(np.float32),
    }


def level(values: NDArray[np.integer]) -> Floats32:
    """The levels as float32, with NaN for the padding level."""
    return np.where(values == PAD, np.nan, values).astype(np.float32)
