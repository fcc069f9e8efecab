"""Collaborative signals: how similar a target is to each item of a history, by who has both.

They are counted from what a fold model's training users took: their histories, then the targets of
their rows with label 1. A user who was counted is taken out again, exactly, before a similarity is
read for one of the user's rows. Otherwise training rows would see their own labels, and the rows to
predict would not. Two traces of a user remain: which pairs survive the
``neighbours`` cut, and which items make EASE's ``ease_items``.

With c_i users who have item i, c_ij users who have both, n users, and s the ``shrinkage``:

- ``cosine``: c_ij / sqrt(c_i c_j)
- ``pmi``: max(0, log(n c_ij / (c_i c_j))), positive pointwise mutual information
- ``near``, ``next``, ``recent``: cosine with a sum of
  :class:`~mmctr_kit.items.similarity.pairs.Weights` in place of c_ij, for items that stand near
  each other, history items right before the target, and pairs that are both recent
- each of these times c_ij / (c_ij + s)
- ``ease``: the weight in the linear model of :mod:`~mmctr_kit.items.similarity.ease`

The similarity of an item to itself is 0.
"""

from dataclasses import dataclass

import numpy as np

from mmctr_kit.data.contexts import Contexts, contexts
from mmctr_kit.data.dataset import ChallengeData, Examples
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
from mmctr_kit.metrics.ranks import Floats, Floats32, Ids, Ints
from mmctr_kit.recipe import SignalKind, Signals

__all__ = ["Similarity", "fit_similarity"]


@dataclass(frozen=True)
class Similarity:
    """Item-item similarities of the ``kinds``, counted from ``contexts``."""

    kinds: tuple[SignalKind, ...]
    shrinkage: float
    contexts: Contexts
    pairs: Pairs
    ease: Ease | None

    def count(self, examples: Examples) -> Floats:
        """How many other users took the target, (rows,)."""
        user = self.contexts.number(examples.user_id)
        target = examples.item_id.astype(np.int64)
        counted = self.contexts.position(user, target) >= 0
        return (self.pairs.count[target] - counted).astype(np.float64)

    def of(self, examples: Examples, history: Ids) -> Floats32:
        """Similarity of the target to each item of its ``history``, both (positions,), by kind."""
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
    data: ChallengeData, rows: Ints, signals: Signals, max_history: int
) -> Similarity:
    """Count what the users of these train rows took."""
    sequences = contexts(data, rows, max_history)
    weights = Weights(signals.window, signals.half_life)
    pairs = count_pairs(sequences, weights, signals.neighbours)
    ease = None
    if "ease" in signals.kinds:
        ease = fit_ease(sequences, pairs.count, signals.ease_items, signals.ease_l2)
    return Similarity(signals.kinds, signals.shrinkage, sequences, pairs, ease)


class _Counts:
    """Counts of n pairs of ``target`` and ``item``, with ``user`` taken out (-1: nobody).

    What the user contributed to a pair is subtracted. ``at`` are the pairs that some other user
    has; the counts are of these alone.
    """

    def __init__(
        self, contexts: Contexts, pairs: Pairs, user: Ints, target: Ints, item: Ints
    ) -> None:
        number = pairs.find(target, item)
        known = np.flatnonzero(number >= 0)
        user, target, item = user[known], target[known], item[known]
        rising = item < target  # the history item has the smaller id
        sums = pairs.sums[number[known]].astype(np.float64)
        # The positions of both items in the user's sequence, -1 for none.
        at_target, at_item = contexts.position(user, target), contexts.position(user, item)
        both = np.flatnonzero((at_target >= 0) & (at_item >= 0))
        p, q = at_target[both], at_item[both]
        m = contexts.lengths[user[both]]
        near, recent = pairs.weights.of(np.minimum(p, q), np.maximum(p, q), m)
        up = rising[both] == (q < p)  # the smaller id came first
        sums[both, TOGETHER] -= 1
        sums[both, NEAR] -= near
        sums[both, UP] -= np.where(up, near, 0)
        sums[both, DOWN] -= np.where(up, 0, near)
        sums[both, RECENT] -= recent
        np.maximum(sums, 0, out=sums)
        left = np.flatnonzero(sums[:, TOGETHER] > 0)
        of_target = pairs.count[target] - (at_target >= 0)
        of_item = pairs.count[item] - (at_item >= 0)
        self.size, self.at = len(number), known[left]
        self.sums = sums[left]
        self.product = (of_target * of_item)[left].astype(np.float64)
        self.users = (pairs.users - (user >= 0))[left].astype(np.float64)
        self.rising = rising[left]

    def similarity(self, kind: SignalKind, shrinkage: float) -> Floats:
        """The similarity of each pair, (n,); 0 if nobody else has both items."""
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
