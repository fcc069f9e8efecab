"""Collaborative signals: how similar a target is to each item of a history, by what users have.

Counted from the histories of some users alone, a fold model's training users, and from no label.
Whoever is scored has no say in it: a user who was counted is taken out again, exactly, before a
similarity is read for a row of theirs. Without that, training rows would see themselves (a later
history of the same user may even hold the target) and the rows to predict would not.

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

from mmctr_kit.challenge.data import ChallengeData, Examples
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
    """(n,) counts of pairs of ``target`` and ``item``, without those of ``user`` (-1: nobody)."""

    def __init__(
        self,
        contexts: Contexts,
        pairs: Pairs,
        user: NDArray[np.int64],
        target: NDArray[np.int64],
        item: NDArray[np.int64],
    ) -> None:
        found = pairs.find(target, item)
        there = (found >= 0) & (target != item)
        self.sums = np.where(there[:, None], pairs.sums[found], 0).astype(np.float64)
        at_target, at_item = contexts.position(user, target), contexts.position(user, item)
        self.of_target = (pairs.count[target] - (at_target >= 0)).astype(np.float64)
        self.of_item = (pairs.count[item] - (at_item >= 0)).astype(np.float64)
        self.users = (pairs.users - (user >= 0)).astype(np.float64)
        self.rising = item < target  # the history's item has the smaller id
        own = np.flatnonzero(there & (at_target >= 0) & (at_item >= 0))
        p, q = at_target[own], at_item[own]
        older = np.minimum(p, q)
        near, recent = pairs.weights.of(older, np.maximum(p, q), contexts.lengths[user[own]])
        up = self.rising[own] == (q < p)  # the smaller id came first
        self.sums[own, TOGETHER] -= 1
        self.sums[own, NEAR] -= near
        self.sums[own, UP] -= np.where(up, near, 0)
        self.sums[own, DOWN] -= np.where(up, 0, near)
        self.sums[own, RECENT] -= recent
        # What is left of a sum of float32 weights when its only part is taken out.
        self.sums[self.sums[:, TOGETHER] < 0.5] = 0
        np.maximum(self.sums, 0, out=self.sums)

    def similarity(self, kind: SignalKind, shrinkage: float) -> NDArray[np.float64]:
        """(n,) the similarity, 0 where nobody else has both."""
        together = self.sums[:, TOGETHER]
        there = together > 0
        product = np.where(there, self.of_target * self.of_item, 1.0)
        trust = np.where(there, together / (together + shrinkage), 0.0)
        if kind == "pmi":
            ratio = np.where(there, together * self.users / product, 1.0)
            return np.asarray(np.maximum(np.log(ratio), 0) * trust)
        summed = {
            "cosine": together,
            "near": self.sums[:, NEAR],
            "next": np.where(self.rising, self.sums[:, UP], self.sums[:, DOWN]),
            "recent": self.sums[:, RECENT],
        }[kind]
        return np.asarray(summed / np.sqrt(product) * trust)

