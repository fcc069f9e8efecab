"""Collaborative signals: how similar a target is to each item of a history, by what users have.

Counted from the histories of some users alone, a fold model's training users, and from no label.
Whoever is scored has no say in it: a user who was counted is taken out again, exactly, before a
similarity is read for a row of theirs. Without that, training rows would see themselves (a later
history of the same user may even hold the target) and the rows to predict would not. What remains
of a user is a part in the choice of the pairs kept, of more than an item's ``neighbours``, and of
the items that EASE covers, of more than ``ease_items``.

With c_i the users who have item i, c_ij those who have both, n users, s the ``shrinkage``:

- ``cosine``: c_ij / sqrt(c_i c_j)
- ``pmi``: max(0, log(n c_ij / (c_i c_j))), positive pointwise mutual information
- ``near``, ``next``, ``recent``: as cosine, with the sum of
  :class:`~mmctr_kit.items.similarity.pairs.Weights` in place of c_ij: places near one another, the
  history's item before the target, and both recent
- each of these times c_ij / (c_ij + s)
- ``ease``: the weight that the linear model of :mod:`~mmctr_kit.items.similarity.ease` gives

An item is no evidence of itself: the similarity to the same item is 0.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mmctr_kit.data.dataset import ChallengeData, Examples
from mmctr_kit.items.similarity.contexts import Contexts, contexts
from mmctr_kit.items.similarity.ease import Ease, fit_ease
from mmctr_kit.items.similarity.pairs import (
    DOWN,
    NEAR,
    RECENT,
    TOGETHER,
    UP,
    Pairs,
    Weights,
    count_pairs,
)
from mmctr_kit.recipe import SignalKind, Signals

__all__ = ["Similarity", "fit_similarity"]


@dataclass(frozen=True)
class Similarity:
    """Similarities of the ``kinds``, as counted from ``contexts``."""

    kinds: tuple[SignalKind, ...]
    shrinkage: float
    contexts: Contexts
    pairs: Pairs
    ease: Ease | None

    def count(self, examples: Examples) -> NDArray[np.float64]:
        """(rows,) the other users who have the target in their history."""
        user = self.contexts.number(examples.user_id)
        target = examples.item_id.astype(np.int64)
        own = self.contexts.position(user, target) >= 0
        return (self.pairs.count[target] - own).astype(np.float64)

    def of(self, examples: Examples, history: NDArray[np.integer]) -> NDArray[np.float32]:
        """(positions, kinds): target against history item, of every position of the examples.

        ``history`` (positions,) holds their items, one example after another.
        """
        row = np.repeat(np.arange(len(examples)), examples.lengths)
        user = self.contexts.number(examples.user_id)[row]
        target = examples.item_id.astype(np.int64)[row]
        item = history.astype(np.int64)
        counts = _Counts(self.contexts, self.pairs, user, target, item)
        values = np.empty((len(item), len(self.kinds)), np.float32)
        for column, kind in enumerate(self.kinds):
            if kind == "ease":
                assert self.ease is not None
                values[:, column] = self.ease.weights(user, target, item)
            else:
                values[:, column] = counts.similarity(kind, self.shrinkage)
        return values


def fit_similarity(
    data: ChallengeData, rows: NDArray[np.int64], signals: Signals, max_history: int
) -> Similarity:
    """Count the histories of the users of these train rows."""
    found = contexts(data, rows, max_history)
    weights = Weights(signals.window, signals.half_life)
    pairs = count_pairs(found, weights, signals.neighbours)
    ease = None
    if "ease" in signals.kinds:
        ease = fit_ease(found, pairs.count, signals.ease_items, signals.ease_l2)
    return Similarity(signals.kinds, signals.shrinkage, found, pairs, ease)


class _Counts:
    """Counts of n pairs of ``target`` and ``item``, without those of ``user`` (-1: nobody).

    ``at``: which of them some other user has both of; the counts are of these alone.
    """

    def __init__(
        self,
        contexts: Contexts,
        pairs: Pairs,
        user: NDArray[np.int64],
        target: NDArray[np.int64],
        item: NDArray[np.int64],
    ) -> None:
        found = pairs.find(target, item)
        there = np.flatnonzero(found >= 0)
        user, target, item = user[there], target[there], item[there]
        sums = pairs.sums[found[there]].astype(np.float64)
        at_target, at_item = contexts.position(user, target), contexts.position(user, item)
        _take_out(sums, contexts, pairs.weights, user, at_target, at_item, item < target)
        left = np.flatnonzero(sums[:, TOGETHER] > 0)
        of_target = pairs.count[target] - (at_target >= 0)
        of_item = pairs.count[item] - (at_item >= 0)
        self.size, self.at = len(found), there[left]
        self.sums = sums[left]
        self.product = (of_target * of_item)[left].astype(np.float64)
        self.users = (pairs.users - (user >= 0))[left].astype(np.float64)
        self.rising = (item < target)[left]  # the history's item has the smaller id

    def similarity(self, kind: SignalKind, shrinkage: float) -> NDArray[np.float64]:
        """(n,) the similarity, 0 where nobody else has both."""
        together = self.sums[:, TOGETHER]
        if kind == "pmi":
            value = np.maximum(np.log(together * self.users / self.product), 0)
        else:
            summed = {
                "cosine": together,
                "near": self.sums[:, NEAR],
                "next": np.where(self.rising, self.sums[:, UP], self.sums[:, DOWN]),
                "recent": self.sums[:, RECENT],
            }[kind]
            value = summed / np.sqrt(self.product)
        values = np.zeros(self.size)
        values[self.at] = value * together / (together + shrinkage)
        return values


def _take_out(
    sums: NDArray[np.float64],
    contexts: Contexts,
    weights: Weights,
    user: NDArray[np.int64],
    at_target: NDArray[np.int64],
    at_item: NDArray[np.int64],
    rising: NDArray[np.bool_],
) -> None:
    """Less, in place, what the user counts for where both items are in the user's sequence.

    ``at_target`` and ``at_item`` are their places in it, -1 for none; ``rising`` where the item has
    the smaller id.
    """
    own = np.flatnonzero((at_target >= 0) & (at_item >= 0))
    p, q = at_target[own], at_item[own]
    near, recent = weights.of(np.minimum(p, q), np.maximum(p, q), contexts.lengths[user[own]])
    up = rising[own] == (q < p)  # the smaller id came first
    sums[own, TOGETHER] -= 1
    sums[own, NEAR] -= near
    sums[own, UP] -= np.where(up, near, 0)
    sums[own, DOWN] -= np.where(up, 0, near)
    sums[own, RECENT] -= recent
    np.maximum(sums, 0, out=sums)
