"""Counts and label means of items, tags and levels, from the training users of a fold.

Counts leave out the row's user, exactly; label means are cross-fitted, see
:mod:`mmctr_kit.training.gbdt.crossfit`.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mmctr_kit.data.contract import N_LEVELS, PAD
from mmctr_kit.data.dataset import ChallengeData
from mmctr_kit.items import Floats32, Ints
from mmctr_kit.training.gbdt.crossfit import Groups, label_means
from mmctr_kit.training.gbdt.history import Tags
from mmctr_kit.training.gbdt.packed import Columns, Packed, ratio


@dataclass(frozen=True)
class Statistics:
    """Counts and label means of items, from the training users' histories and rows.

    ``history_users`` (n_items + 1,) counts the users who took an item, ``shown`` (n_items + 1,) the
    rows with it as their target. ``pairs`` (training rows,) int64 ascending, user's index *
    (n_items + 1) + target, count a user's rows. ``item``, ``tag`` and ``level`` (groups + 1, keys)
    float32 are label means by item, by tag and by pair of levels.
    """

    groups: Groups
    history_users: Ints
    shown: Ints
    pairs: Ints
    item: Floats32
    tag: Floats32
    level: Floats32

    @classmethod
    def fit(cls, data: ChallengeData, groups: Groups, tags: Tags) -> "Statistics":
        train, rows, size = data.train, groups.rows, data.n_items + 1
        target = train.item_id[rows].astype(np.int64)
        number = groups.contexts.number(train.user_id[rows])
        tagged, slot = np.nonzero(tags.of[target] != PAD)
        level = _cell(train.likes_level[rows], train.views_level[rows])
        return cls(
            groups=groups,
            history_users=np.bincount(groups.contexts.items, minlength=size),
            shown=np.bincount(target, minlength=size),
            pairs=np.sort(number * size + target),
            item=label_means(groups, target, size),
            tag=label_means(groups, tags.of[target[tagged], slot], data.n_tags, tagged),
            level=label_means(groups, level, N_LEVELS * N_LEVELS),
        )

    def users_with(self, number: Ints, item: Ints) -> Floats32:
        """The log(1 + users other than ``number`` who took the item), (n,)."""
        counted = self.groups.contexts.position(number, item) >= 0
        return np.log1p(self.history_users[item] - counted).astype(np.float32)

    def rows_with(self, number: Ints, item: Ints) -> Floats32:
        """The log(1 + rows of users other than ``number`` whose target is the item), (n,)."""
        pair = number * len(self.shown) + item
        counted = np.searchsorted(self.pairs, pair, "right") - np.searchsorted(self.pairs, pair)
        return np.log1p(self.shown[item] - counted).astype(np.float32)


def statistic_features(packed: Packed, statistics: Statistics, tags: Tags) -> Columns:
    """Counts and label means of the target, and of the history's items."""
    target, row, examples = packed.target, packed.row, packed.examples
    number, group = statistics.groups.locate(examples.user_id)
    users = statistics.users_with(number, target)
    shown = statistics.rows_with(number, target)
    common = statistics.users_with(number[row], packed.item)
    history = packed.pool("history_users", common, ("mean", "recent"))
    rate = statistics.item[group, target]
    of_history = statistics.item[group[row], packed.item]
    taste = packed.pool("history_rate", of_history, ("mean", "recent"))
    level = _cell(examples.likes_level, examples.views_level)
    return {
        "history_users": users,
        "target_rows": shown,
        "users_over_rows": users - shown,
        **history,
        "history_users_last": packed.last(common),
        "users_over_history": users - history["history_users_mean"],
        "item_rate": rate,
        **_tag_rates(statistics.tag, group, tags.of[target]),
        "level_rate": statistics.level[group, level],
        **taste,
        "rate_over_history": rate - taste["history_rate_mean"],
    }


def _tag_rates(rates: Floats32, group: Ints, tags: Ints) -> Columns:
    real = tags != PAD
    some = real.any(1)
    rate = rates[group[:, None], tags]
    highest = np.where(real, rate, -np.inf).max(1)
    return {
        "tag_rate_max": np.where(some, highest, np.nan).astype(np.float32),
        "tag_rate_mean": ratio(np.where(real, rate, 0).sum(1), real.sum(1)),
    }


def _cell(likes: NDArray[np.int8], views: NDArray[np.int8]) -> Ints:
    """One number (n,) for each pair of levels."""
    return likes.astype(np.int64) * N_LEVELS + views
