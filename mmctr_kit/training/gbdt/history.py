"""Features of the history, alone and against the target: length, repeats, levels and tags."""

import numpy as np

from mmctr_kit.data.contract import PAD
from mmctr_kit.items.features import Levels
from mmctr_kit.training.gbdt.packed import MEAN, RECENT, TOP3, Columns, Packed, ratio
from mmctr_kit.training.gbdt.target import Tags, level


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
    number = packed.pool(shared)
    rarity = packed.pool(np.where(met, tags.rarity[mine], 0).sum(1).astype(np.float32))
    return {
        "tags_shared_mean": number[:, MEAN],
        "tags_shared_recent": number[:, RECENT],
        "tags_shared_rarity_mean": rarity[:, MEAN],
        "tags_shared_rarity_recent": rarity[:, RECENT],
        "tags_shared_rarity_top3": rarity[:, TOP3],
        "tag_hits": packed.count(hit),
        "tag_hit_share": packed.share(hit),
        "tag_hit_age": packed.newest(hit),
        "tags_covered": ratio(packed.any(met).sum(1), tags.number[target]),
        "history_tags_mean": packed.mean(tags.number[packed.item].astype(np.float32)),
    }
