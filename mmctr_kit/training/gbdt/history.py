"""Features of the target and its history, without labels: length, repeats, levels and tags."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mmctr_kit.data.contract import PAD
from mmctr_kit.data.dataset import ChallengeData
from mmctr_kit.items import Floats32, Ints
from mmctr_kit.items.features import Levels
from mmctr_kit.training.gbdt.packed import Columns, Packed, ratio


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


def length_features(packed: Packed) -> Columns:
    """The history's length and repeats, and the target's position in it."""
    target = packed.target[packed.row]
    pairs = np.unique(packed.row * (packed.item.max(initial=0) + 1) + packed.item)
    owner = pairs // (packed.item.max(initial=0) + 1)
    distinct = np.bincount(owner, minlength=len(packed.examples))
    same = packed.item == target
    return {
        "history_length": packed.length.astype(np.float32),
        "history_distinct": distinct.astype(np.float32),
        "history_repeats": 1 - ratio(distinct, packed.length),
        "target_in_history": packed.count(same),
        "target_age": packed.newest(same),
    }


def level_features(packed: Packed, levels: Levels) -> Columns:
    """The levels of the history's items, and how the target's differ from them."""
    columns: Columns = {}
    examples = packed.examples
    for name, of_item, of_target in (
        ("likes", levels[0], examples.likes_level),
        ("views", levels[1], examples.views_level),
    ):
        target, history = level(of_target), level(of_item[packed.item])
        mean = packed.mean(history)
        variance = packed.mean(history * history) - mean * mean
        columns |= {
            f"history_{name}_mean": mean,
            f"history_{name}_last": packed.last(history),
            f"history_{name}_spread": np.sqrt(np.maximum(variance, 0)),
            f"{name}_over_history": target - mean,
            f"{name}_matches": packed.share(history == target[packed.row]),
        }
    return columns


def tag_features(packed: Packed, tags: Tags) -> Columns:
    """How many tags the target shares with the history's items, how rare, how recently."""
    target, row = packed.target, packed.row
    mine, theirs = tags.of[target][row], tags.of[packed.item]  # (positions, tags)
    met = np.zeros(mine.shape, np.bool_)
    for column in range(theirs.shape[1]):
        met |= mine == theirs[:, column : column + 1]
    met &= mine != PAD
    shared = met.sum(1).astype(np.float32)
    hit = shared > 0
    rarity = np.where(met, tags.rarity[mine], 0).sum(1).astype(np.float32)
    return {
        **packed.pool("tags_shared", shared, ("mean", "recent")),
        **packed.pool("tags_shared_rarity", rarity, ("mean", "recent", "top3")),
        "tag_hits": packed.count(hit),
        "tag_hit_share": packed.share(hit),
        "tag_hit_age": packed.newest(hit),
        "tags_covered": ratio(packed.any(met).sum(1), tags.number[target]),
        "history_tags_mean": packed.mean(tags.number[packed.item].astype(np.float32)),
    }
