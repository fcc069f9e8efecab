"""GAUC: the AUC within each user, averaged over users, and its paired difference. Numpy only."""

import math

import numpy as np

from mmctr_kit.metrics.auc import as_bool, check_scores, same_length
from mmctr_kit.metrics.estimate import Estimate
from mmctr_kit.metrics.ranks import (
    Floats,
    Ids,
    Labels,
    group_starts,
    midranks_of_sorted,
    number_ids,
    order_within,
)


def gauc(labels: Labels, scores: Floats, users: Ids, less: Floats | None = None) -> Estimate:
    """GAUC: the plain mean of the AUC within each user; ``less`` that of other scores, paired.

    Users whose rows are all of one class have no AUC and are left out; ``n`` counts the others.
    The standard error is that of a mean over users. Raises ValueError if no user is left.
    """
    each = _user_aucs(labels, scores, users)
    each = each if less is None else each - _user_aucs(labels, less, users)
    se = float(each.std(ddof=1)) / math.sqrt(len(each)) if len(each) > 1 else math.nan
    return Estimate(float(each.mean()), se, len(each))


def _user_aucs(labels: Labels, scores: Floats, users: Ids) -> Floats:
    """The AUC of each user who has rows of both classes, in the order of their ids."""
    positive = as_bool(labels)
    check_scores(scores, len(positive))
    same_length(len(positive), users, "users")
    codes = number_ids(users)
    order = order_within(codes, scores)
    codes, scores, positive = codes[order], scores[order], positive[order]
    new_user = group_starts(codes)
    rank = midranks_of_sorted(group_starts(codes, scores))
    rank -= np.flatnonzero(new_user)[np.cumsum(new_user) - 1]  # now from 1 within each user
    won = np.bincount(codes, rank * positive)
    high = np.bincount(codes, positive)
    low = np.bincount(codes) - high
    both = (high > 0) & (low > 0)
    if not both.any():
        raise ValueError("GAUC needs a user with both classes, but there is none")
    high, low = high[both], low[both]
    return np.asarray((won[both] - high * (high + 1) / 2) / (high * low))
