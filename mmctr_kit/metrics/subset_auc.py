"""AUC of subsets of the rows against the other rows, for many subsets. Numpy only.

The rows are sorted once; each subset then costs a few passes over them, without a sort.
"""

import math
from dataclasses import dataclass

import numpy as np

from mmctr_kit.metrics.auc import clustered_variance, unbias, variance_of
from mmctr_kit.metrics.estimate import Estimate
from mmctr_kit.metrics.ranks import (
    Flags,
    Floats,
    Ids,
    Ints,
    Labels,
    group_starts,
    number_ids,
    order_within,
)


@dataclass(frozen=True)
class Contrast:
    """AUC of the chosen rows, AUC of the rest, and the first minus the second.

    Each is None if it has no pair of a positive and a negative; a standard error is NaN if fewer
    than two clusters hold positives, or negatives, or if their influences happen to cancel
    (:func:`mmctr_kit.metrics.auc.variance_of`). ``positive_clusters`` and
    ``negative_clusters``: how many clusters the chosen rows' AUC takes positives, negatives from.
    """

    chosen: Estimate | None
    rest: Estimate | None
    gap: Estimate | None
    positive_clusters: int
    negative_clusters: int


@dataclass(frozen=True)
class _Part:
    """A part's AUC with its variance, and (clusters,) what each cluster moves it by."""

    auc: Estimate
    variance: float
    influence: Floats
    positive_clusters: int
    negative_clusters: int


class RankedRows:
    """Labelled, scored rows, sorted once by fold and score.

    labels (n,) 0/1; scores (n,) without NaN; clusters (n,) user ids; folds (n,) integers, or None
    for one fold. The AUC here is P(positive above negative | both in one fold): folds' scores come
    from different models, so pairs across folds say nothing. It is the mean of the folds' AUCs,
    each weighted by its pairs, so that a slice with few rows in one fold is not at their mercy.
    """

    def __init__(
        self, labels: Labels, scores: Floats, clusters: Ids, folds: Ids | None = None
    ) -> None:
        n = len(labels)
        fold = np.zeros(n, np.intp) if folds is None else number_ids(folds)
        self._order = order_within(fold, scores)
        fold, ordered = fold[self._order], scores[self._order]
        self._positive: Flags = (labels == 1)[self._order]
        self._cluster = number_ids(clusters)[self._order]
        self._clusters = int(self._cluster.max(initial=-1)) + 1
        self._fold = fold
        self._edges = np.concatenate([[0], np.cumsum(np.bincount(fold))])
        new = group_starts(fold, ordered)
        starts = np.flatnonzero(new)
        group = np.cumsum(new) - 1
        self._low = starts[group]
        self._high = np.append(starts[1:], n)[group] if n else starts

    def contrast(self, chosen: Flags) -> Contrast:
        """The rows ``chosen`` (n,) against the others.

        The standard errors are clustered (Obuchowski, Biometrics 53, 1997). Users with rows on both
        sides make the two AUCs depend on each other: the gap's variance is the sum of theirs less
        twice the covariance, summed over users from the same influences.
        """
        inside = np.asarray(chosen, np.bool_)[self._order]
        a, b = self._part(inside), self._part(~inside)
        gap = None if a is None or b is None else self._gap(a, b)
        counts = (0, 0) if a is None else (a.positive_clusters, a.negative_clusters)
        chosen_auc, rest = (None if part is None else part.auc for part in (a, b))
        return Contrast(chosen_auc, rest, gap, *counts)

    def _part(self, inside: Flags) -> _Part | None:
        negatives_before = _count_before(inside & ~self._positive)
        positives_before = _count_before(inside & self._positive)
        positives = np.diff(positives_before[self._edges])  # a fold
        negatives = np.diff(negatives_before[self._edges])
        pairs = int(positives @ negatives)
        if pairs == 0:
            return None
        high = np.flatnonzero(inside & self._positive & (negatives > 0)[self._fold])
        low = np.flatnonzero(inside & ~self._positive & (positives > 0)[self._fold])
        won = self._count_below_x2(negatives_before, high)
        lost = 2 * positives[self._fold[low]] - self._count_below_x2(positives_before, low)
        auc = int(won.sum()) / (2 * pairs)
        # Centred on the AUC of all folds, not on each fold's own: a fold with one positive would
        # otherwise look as if it were exact.
        up = (won / 2 - auc * negatives[self._fold[high]]) / pairs
        down = (lost / 2 - auc * positives[self._fold[low]]) / pairs
        positive, has_positive = self._by_cluster(high, up)
        negative, has_negative = self._by_cluster(low, down)
        counts = [int(x.sum()) for x in (has_positive, has_negative, has_positive | has_negative)]
        variance = clustered_variance(positive, negative, *counts)
        estimate = Estimate(auc, math.sqrt(variance), int(inside.sum()))
        return _Part(estimate, variance, positive + negative, *counts[:2])

    def _by_cluster(self, rows: Ints, influence: Floats) -> tuple[Floats, Flags]:
        """(clusters,) the sum of the rows' influence, and whether the cluster has such rows."""
        cluster = self._cluster[rows]
        total = np.bincount(cluster, influence, self._clusters).astype(np.float64)
        return total, np.bincount(cluster, minlength=self._clusters) > 0

    def _count_below_x2(self, before: Ints, rows: Ints) -> Ints:
        """2 x the counted rows of the same fold that score less + those that score the same."""
        start = before[self._edges[self._fold[rows]]]
        return np.asarray(before[self._low[rows]] + before[self._high[rows]] - 2 * start)

    def _gap(self, a: _Part, b: _Part) -> Estimate:
        variance = a.variance + b.variance
        if not math.isnan(variance):
            covariance = unbias(self._clusters) * float(a.influence @ b.influence)
            squares = float(a.influence @ a.influence) + float(b.influence @ b.influence)
            variance = variance_of(variance - 2 * covariance, squares, self._clusters)
        return Estimate(a.auc.value - b.auc.value, math.sqrt(variance), a.auc.n + b.auc.n)


def _count_before(mask: Flags) -> Ints:
    """(n + 1,) how many of the rows before each are in ``mask``."""
    before = np.zeros(len(mask) + 1, np.int64)
    np.cumsum(mask, out=before[1:])
    return before
