"""AUC, logloss and GAUC with their standard errors, and paired comparisons. Numpy only.

The standard error of an AUC is DeLong's, clustered by user: DeLong, DeLong & Clarke-Pearson,
Biometrics 44 (1988), extended to clustered data by Obuchowski, Biometrics 53 (1997). Two scores of
the same rows are compared paired: the difference is taken cluster by cluster before it is squared.
Scores are ranked exactly, ties counting one half. A NaN score is a ValueError everywhere.

The standard error divided by that of a bootstrap of users, on 200 random problems with ties, users
of one class and rows that occur twice (``python tests/studies/auc_bootstrap.py``)::

    users   of an AUC: median (range)   of a paired difference
    15      1.00 (0.86 to 1.06)         0.98 (0.79 to 1.05)
    40      1.01 (0.95 to 1.05)         0.99 (0.95 to 1.06)
    120     1.01 (0.94 to 1.05)         1.00 (0.93 to 1.05)
    400     1.01 (0.96 to 1.07)         0.99 (0.95 to 1.05)

The AUC is at most 2.2e-16 from scikit-learn's. A standard error is NaN if fewer than two users have
positives, or negatives, or if a few users' influences happen to cancel
(:func:`clustered_variance`), and 0 for an AUC of 0 or 1; texts show n/a for all of these.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmctr_kit.metrics.estimate import Estimate
from mmctr_kit.metrics.ranks import (
    Flags,
    Floats,
    Ids,
    Ints,
    Labels,
    count_below_x2,
    count_below_x2_both,
    group_starts,
    midranks,
    number_ids,
    order_of,
)


@dataclass(frozen=True)
class Influence:
    """A score's mean fold AUC, and for each fold what each cluster moves its AUC by.

    ``positive[f]`` and ``negative[f]`` are (clusters of fold f,) float64, the clustered structural
    components, centred and divided by the number of positives and negatives. Influences of the
    same `AucSample` subtract, so m scores and all their pairs cost m sorts.
    """

    auc: float
    positive: tuple[Floats, ...]
    negative: tuple[Floats, ...]

    def less(self, other: "Influence") -> "Influence":
        """The influence of the difference to another score of the same sample."""
        positive = tuple(x - y for x, y in zip(self.positive, other.positive, strict=True))
        negative = tuple(x - y for x, y in zip(self.negative, other.negative, strict=True))
        return Influence(self.auc - other.auc, positive, negative)


class AucSample:
    """Labelled rows prepared once, so that any number of scores can be measured and compared.

    labels (n,) 0/1; clusters (n,) integer user ids; folds (n,) integers, or None for one fold.
    A cluster is taken to lie in one fold: the folds' variances are added as independent.
    Raises ValueError if a fold lacks a class or the lengths differ.
    """

    def __init__(self, labels: Labels, clusters: Ids, folds: Ids | None = None) -> None:
        positive = as_bool(labels)
        self.rows = len(positive)
        same_length(self.rows, clusters, "clusters")
        if folds is None:
            self._folds = [_Fold(np.arange(self.rows), positive, clusters, "")]
            return
        same_length(self.rows, folds, "folds")
        self._folds = [
            _Fold(np.flatnonzero(folds == f), positive, clusters, f" in fold {f}")
            for f in np.unique(folds)
        ]

    def influence(self, scores: Floats) -> Influence:
        """The mean fold AUC of ``scores`` (n,) and its influences: one sort of each fold."""
        check_scores(scores, self.rows)
        parts = [fold.by_cluster(scores) for fold in self._folds]
        aucs, positive, negative = zip(*parts, strict=True)
        return Influence(math.fsum(aucs) / len(aucs), positive, negative)

    def row_influence(self, scores: Floats) -> Floats:
        """(n,) what each row moves the mean fold AUC of ``scores`` (n,) by."""
        check_scores(scores, self.rows)
        influence = np.empty(self.rows)
        for fold in self._folds:
            rows, values = fold.by_row(scores)
            influence[rows] = values / len(self._folds)
        return influence

    def estimate(self, of: Influence) -> Estimate:
        """The AUC with its standard error sqrt(sum of the folds' variances) / folds."""
        parts = zip(self._folds, of.positive, of.negative, strict=True)
        variances = [fold.variance(positive, negative) for fold, positive, negative in parts]
        return Estimate(of.auc, math.sqrt(math.fsum(variances)) / len(variances), self.rows)

    def difference(self, a: Influence, b: Influence) -> Estimate:
        """AUC of ``a`` minus AUC of ``b``, paired."""
        return self.estimate(a.less(b))

    def correlations(self, influences: Sequence[Influence]) -> Floats:
        """(k, k) correlations of the estimates of k influences; NaN if a standard error is 0."""
        covariance = np.zeros((len(influences), len(influences)))
        for f, fold in enumerate(self._folds):
            positive = np.stack([of.positive[f] for of in influences])
            negative = np.stack([of.negative[f] for of in influences])
            covariance += fold.covariance(positive, negative)
        se = np.sqrt(np.diag(covariance))
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.asarray(covariance / np.outer(se, se))


class _Fold:
    """The rows of one fold, split by class, with their clusters numbered from 0."""

    def __init__(self, rows: Ints, positive: Flags, ids: Ids, where: str):
        is_positive = positive[rows]
        codes = number_ids(ids[rows])
        self.positives, self.negatives = rows[is_positive], rows[~is_positive]
        _need_both(len(self.positives), len(self.negatives), where)
        self.positive_codes, self.negative_codes = codes[is_positive], codes[~is_positive]
        self.clusters = int(codes.max()) + 1
        self.positives_of = np.bincount(self.positive_codes, minlength=self.clusters)
        self.negatives_of = np.bincount(self.negative_codes, minlength=self.clusters)

    def by_cluster(self, scores: Floats) -> tuple[float, Floats, Floats]:
        """AUC, and (clusters,) influences of the positives and of the negatives."""
        by_high, won, by_low, lost, auc = self._compared(scores)
        won = np.bincount(self.positive_codes[by_high], won, self.clusters)
        lost = np.bincount(self.negative_codes[by_low], lost, self.clusters)
        pairs = 2 * len(by_high) * len(by_low)
        return (
            auc,
            won / pairs - self.positives_of * (auc / len(by_high)),
            lost / pairs - self.negatives_of * (auc / len(by_low)),
        )

    def by_row(self, scores: Floats) -> tuple[Ints, Floats]:
        """The fold's rows, positives first, and the influence of each."""
        by_high, won, by_low, lost, auc = self._compared(scores)
        pairs = 2 * len(by_high) * len(by_low)
        influence = [won / pairs - auc / len(by_high), lost / pairs - auc / len(by_low)]
        rows = [self.positives[by_high], self.negatives[by_low]]
        return np.concatenate(rows), np.concatenate(influence)

    def _compared(self, scores: Floats) -> tuple[Any, Any, Any, Any, float]:
        """Sort each class by score; count 2 x the pairs that a row loses or wins; add the AUC.

        A positive counts the negatives it beats, a negative the positives above it; a tie counts 1.
        """
        high, low = scores[self.positives], scores[self.negatives]
        by_high, by_low = order_of(high), order_of(low)
        won, beneath = count_below_x2_both(low[by_low], high[by_high])
        auc = int(won.sum()) / (2 * len(high) * len(low))
        return by_high, won, by_low, 2 * len(high) - beneath, auc

    def variance(self, positive: Floats, negative: Floats) -> float:
        """Variance of an AUC, or of a difference if influences were subtracted."""
        return clustered_variance(positive, negative, *self._counts(), self.clusters)

    def covariance(self, positive: Floats, negative: Floats) -> Floats:
        """(k, k) covariance of AUCs with influences (k, clusters), as :meth:`variance` of one."""
        with_positives, with_negatives = self._counts()
        across = positive @ negative.T
        return np.asarray(
            unbias(with_positives) * (positive @ positive.T)
            + unbias(with_negatives) * (negative @ negative.T)
            + unbias(self.clusters) * (across + across.T)
        )

    def _counts(self) -> tuple[int, int]:
        """How many clusters hold positives, and how many hold negatives."""
        return int(np.count_nonzero(self.positives_of)), int(np.count_nonzero(self.negatives_of))


def clustered_variance(
    positive: Floats, negative: Floats, with_positives: int, with_negatives: int, clusters: int
) -> float:
    """Obuchowski's variance of an AUC from (clusters,) influences of its positives and negatives.

    The counts say how many clusters hold positives, negatives, and either. NaN if fewer than two
    hold positives, or negatives, and if :func:`variance_of` is.
    """
    if min(with_positives, with_negatives) < 2:
        return math.nan
    variance = (
        unbias(with_positives) * float(positive @ positive)
        + unbias(with_negatives) * float(negative @ negative)
        + 2.0 * unbias(clusters) * float(positive @ negative)
    )
    squares = float(positive @ positive) + float(negative @ negative)
    return variance_of(variance, squares, clusters)


def variance_of(total: float, squares: float, clusters: int) -> float:
    """Return the sum of a variance's terms; NaN if a few clusters' influences happen to cancel.

    ``squares`` is the sum of the squared influences. If all of these are 0 within rounding, the
    variance is 0, since no other draw of these users changes the value: as for an AUC of 0 or 1,
    for scores that all tie, for a score compared with itself. Otherwise the terms never add up to
    less than 0, as the factor of the product is the least of the three, and to 0 only if in each
    user the positives' influence is minus the negatives'. In many users that is so by design: if
    each has one positive, three negatives and one score for all, the AUC is 0.5 whoever is drawn.
    In fewer than 10 ``clusters`` it may be chance, which tells no standard error.
    """
    if squares <= _ZERO_SQUARES:
        return 0.0
    if total > _ROUNDING * squares:
        return total
    return 0.0 if clusters >= _MANY else math.nan


_ROUNDING = 1e-12
"""Up to this share of their squares, terms that cancel leave only rounding."""
_MANY = 10
"""The influences of this many clusters do not cancel by chance."""
_ZERO_SQUARES = 1e-18
"""Up to this sum of squares, influences are 0 within rounding."""


def clustered_mean_se(values: NDArray[Any], clusters: Ids) -> float:
    """Standard error of the mean of values (n,), by clusters (n,); NaN for a single cluster."""
    sums = np.bincount(number_ids(clusters), values - values.mean())
    if len(sums) < 2:
        return math.nan
    return math.sqrt(unbias(len(sums)) * float(sums @ sums)) / len(values)


def unbias(count: int) -> float:
    """Factor n / (n - 1) that makes a variance over ``count`` clusters unbiased."""
    return count / (count - 1)


def auc(labels: Labels, scores: Floats) -> float:
    """Exact AUC of scores (n,) for labels (n,) 0/1: P(positive above negative), ties one half.

    Raises ValueError if a class is absent, a score is NaN or the lengths differ.
    """
    positive = as_bool(labels)
    check_scores(scores, len(positive))
    high, low = np.sort(scores[positive]), np.sort(scores[~positive])
    _need_both(len(high), len(low), "")
    return int(count_below_x2(low, high).sum()) / (2 * len(high) * len(low))


def auc_with_se(labels: Labels, scores: Floats, clusters: Ids) -> Estimate:
    """AUC of scores (n,) with DeLong's standard error, clustered by clusters (n,); ``n`` is rows.

    >>> labels, scores = np.array([0, 1, 0, 1, 0, 1]), np.array([0.1, 0.4, 0.3, 0.8, 0.5, 0.6])
    >>> print(auc_with_se(labels, scores, clusters=np.array([1, 1, 2, 2, 3, 3])))
    0.8889 ± 0.1111
    """
    sample = AucSample(labels, clusters)
    return sample.estimate(sample.influence(scores))


def auc_difference(
    labels: Labels, a: Floats, b: Floats, clusters: Ids, folds: Ids | None = None
) -> Estimate:
    """AUC (with ``folds``: mean fold AUC) of ``a`` less that of ``b``, paired and clustered."""
    sample = AucSample(labels, clusters, folds)
    return sample.difference(sample.influence(a), sample.influence(b))


def mean_fold_auc(labels: Labels, scores: Floats, folds: Ids, clusters: Ids) -> Estimate:
    """Mean of the AUCs within each fold, each fold counting alike: the AUC of an OOF.

    Rows of different folds come from different models and are never ranked against each other.
    """
    sample = AucSample(labels, clusters, folds)
    return sample.estimate(sample.influence(scores))


def logloss_with_se(
    labels: Labels, logits: Floats, clusters: Ids, less: Floats | None = None
) -> Estimate:
    """Mean of -log p(label) of logits (n,), in nats; ``less`` that of other logits, paired.

    The standard error is clustered. Exact even if a sigmoid of the logits would saturate.
    """
    same_length(len(labels), clusters, "clusters")
    loss = _losses(labels, logits)
    loss = loss if less is None else loss - _losses(labels, less)
    return Estimate(float(loss.mean()), clustered_mean_se(loss, clusters), len(loss))


def _losses(labels: Labels, logits: Floats) -> Floats:
    positive = as_bool(labels)
    check_scores(logits, len(positive))
    if len(logits) == 0 or np.isinf(logits).any():
        raise ValueError("logloss needs finite logits, but there are none or infinite ones")
    against = np.where(positive, -logits, logits)
    return np.maximum(against, 0.0) + np.log1p(np.exp(-np.abs(logits)))


def tied_share(scores: Floats) -> float:
    """Share of the rows whose score another row has too, in [0, 1]; 0 for no rows."""
    check_scores(scores, len(scores))
    if len(scores) == 0:
        return 0.0
    new = np.append(group_starts(np.sort(scores)), True)
    return 1.0 - np.count_nonzero(new[1:] & new[:-1]) / len(scores)


def rank_correlation(a: Floats, b: Floats) -> float:
    """Spearman's rank correlation of a, b (n,), ties at their mean rank; NaN if one is constant."""
    check_scores(a, len(a))
    check_scores(b, len(a))
    x, y = midranks(a), midranks(b)
    x, y = x - x.mean(), y - y.mean()
    size = math.sqrt(float(x @ x) * float(y @ y))
    return max(-1.0, min(1.0, float(x @ y) / size)) if size > 0.0 else math.nan


def as_bool(labels: Labels) -> Flags:
    positive: Flags = labels == 1
    if not np.array_equal(positive, labels):
        raise ValueError("labels must be 0 or 1, but others occur")
    return positive


def check_scores(scores: Floats, rows: int) -> None:
    same_length(rows, scores, "scores")
    if np.isnan(scores).any():
        raise ValueError(f"scores must be numbers, but {np.isnan(scores).sum()} are NaN")


def same_length(rows: int, values: NDArray[Any], what: str) -> None:
    if values.shape != (rows,):
        raise ValueError(f"{what} must have shape ({rows},), not {values.shape}")


def _need_both(positives: int, negatives: int, where: str) -> None:
    if positives == 0 or negatives == 0:
        raise ValueError(
            f"AUC needs both classes{where}, not {positives} positives, {negatives} negatives"
        )
