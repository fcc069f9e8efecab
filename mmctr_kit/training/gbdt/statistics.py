"""Counts and label means of items, tags and levels, from the training users of a fit."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mmctr_kit.data.contexts import Contexts
from mmctr_kit.data.contract import N_LEVELS, PAD
from mmctr_kit.data.dataset import ChallengeData
from mmctr_kit.items import Floats32, Floats64, Ints
from mmctr_kit.training.gbdt.history import Tags
from mmctr_kit.training.gbdt.packed import Columns, Packed, ratio


@dataclass(frozen=True)
class Statistics:
    """Counts and label means of items, from the training users' histories and rows.

    ``users`` (n_items + 1,) float32 is log(1 + users who took an item), ``rows`` (n_items + 1,)
    log(1 + rows with it as their target). ``item``, ``tag`` and ``level`` (keys,) float32 are
    shrunk label means by item, by tag and by pair of levels.
    """

    users: Floats32
    rows: Floats32
    item: Floats32
    tag: Floats32
    level: Floats32

    @classmethod
    def fit(
        cls,
        data: ChallengeData,
        rows: Ints,
        contexts: Contexts,
        tags: Tags,
        shrinkage: float,
    ) -> "Statistics":
        """Count the rows (n,) of the train split and what their users, the ``contexts``, took."""
        train, size = data.train, data.n_items + 1
        target, label = train.item_id[rows].astype(np.int64), train.labels()[rows]
        tagged, slot = np.nonzero(tags.of[target] != PAD)
        level = _cell(train.likes_level[rows], train.views_level[rows])

        def means(key: Ints, keys: int, label: NDArray[np.int8]) -> Floats32:
            return label_means(key, label, keys, shrinkage)

        return cls(
            users=_log_count(contexts.items, size),
            rows=_log_count(target, size),
            item=means(target, size, label),
            tag=means(tags.of[target[tagged], slot], data.n_tags, label[tagged]),
            level=means(level, N_LEVELS * N_LEVELS, label),
        )


def statistic_features(packed: Packed, statistics: Statistics, tags: Tags) -> Columns:
    """Counts and label means of the target, and of the history's items."""
    target, examples = packed.target, packed.examples
    users, shown = statistics.users[target], statistics.rows[target]
    common = statistics.users[packed.item]
    history = packed.pool("history_users", common, ("mean", "recent"))
    rate = statistics.item[target]
    taste = packed.pool("history_rate", statistics.item[packed.item], ("mean", "recent"))
    level = _cell(examples.likes_level, examples.views_level)
    return {
        "history_users": users,
        "target_rows": shown,
        "users_over_rows": users - shown,
        **history,
        "history_users_last": packed.last(common),
        "users_over_history": users - history["history_users_mean"],
        "item_rate": rate,
        **_tag_rates(statistics.tag, tags.of[target]),
        "level_rate": statistics.level[level],
        **taste,
        "rate_over_history": rate - taste["history_rate_mean"],
    }


def label_means(key: Ints, label: NDArray[np.int8], keys: int, shrinkage: float) -> Floats32:
    """Shrunk means (keys,) of the ``label`` (n,) of each ``key`` (n,)."""
    seen = np.bincount(key, minlength=keys).astype(np.float64)
    hits = np.bincount(key, label, minlength=keys).astype(np.float64)
    prior = hits.sum() / seen.sum() if len(key) else 0.0
    return shrunk(seen, hits, np.float64(prior), shrinkage)


def shrunk(
    seen: Floats64, hits: Floats64, prior: NDArray[np.floating] | np.float64, shrinkage: float
) -> Floats32:
    """The mean (``hits`` + s prior) / (``seen`` + s), or the prior for 0 / 0."""
    weight = seen + shrinkage
    mean = np.broadcast_to(prior, weight.shape).astype(np.float64)
    np.divide(hits + shrinkage * prior, weight, out=mean, where=weight > 0)
    return mean.astype(np.float32)


def _log_count(item: Ints, size: int) -> Floats32:
    counts: Floats32 = np.log1p(np.bincount(item, minlength=size)).astype(np.float32)
    return counts


def _tag_rates(rate: Floats32, tags: Ints) -> Columns:
    real = tags != PAD
    some = real.any(1)
    highest = np.where(real, rate[tags], -np.inf).max(1)
    return {
        "tag_rate_max": np.where(some, highest, np.nan).astype(np.float32),
        "tag_rate_mean": ratio(np.where(real, rate[tags], 0).sum(1), real.sum(1)),
    }


def _cell(likes: NDArray[np.int8], views: NDArray[np.int8]) -> Ints:
    """One number (n,) for each pair of levels."""
    return likes.astype(np.int64) * N_LEVELS + views
