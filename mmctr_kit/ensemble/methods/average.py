"""Weighted mean of logits, and mean of ranks."""

from dataclasses import dataclass

import numpy as np

from mmctr_kit.metrics.ranks import Floats, Ints16

_KNOTS = 4096


@dataclass(frozen=True)
class WeightedMean:
    """Mean of scaled logits with weights (m,) that sum to 1."""

    weights: Floats

    @classmethod
    def equal(cls, runs: int) -> "WeightedMean":
        return cls(np.full(runs, 1.0 / runs))

    def apply(self, logits: Floats) -> Floats:
        """(rows,) from logits (m, rows)."""
        return np.asarray(self.weights @ logits)

    def without(self, run: int) -> "WeightedMean":
        """The other runs' weights, rescaled to sum 1; equal if they were all 0."""
        others = np.arange(len(self.weights)) != run
        weights = self.weights * others
        weights = weights if weights.sum() > 0.0 else others.astype(np.float64)
        return WeightedMean(weights / weights.sum())


@dataclass(frozen=True)
class RankMean:
    """Mean over runs of each logit's rank within its fold model's OOF, as a logit.

    A rank is read off the fold's empirical distribution function (knots at its quantiles, linear
    between them, rising tails), so a valid or test row gets the rank it would have had in OOF,
    whatever the other rows are. The mean rank r becomes log(r / (1 - r)).
    """

    curves: tuple[tuple["_Curve", ...], ...]  # [fold][run]

    @classmethod
    def fit(cls, logits: Floats, fold: Ints16) -> "RankMean":
        """Fit on OOF logits (m, rows) and folds (rows,); every fold has rows."""
        rows_of = [np.flatnonzero(fold == f) for f in range(int(fold.max()) + 1)]
        return cls(tuple(tuple(_Curve.fit(x[rows]) for x in logits) for rows in rows_of))

    def without(self, run: int) -> "RankMean":
        """The mean rank of the other runs; to be applied to their logits."""
        return RankMean(tuple(curves[:run] + curves[run + 1 :] for curves in self.curves))

    def apply(self, logits: Floats, fold: Ints16) -> Floats:
        """(rows,) from logits (m, rows) and each row's fold model (rows,)."""
        mean = np.zeros(len(fold))
        for f, curves in enumerate(self.curves):
            rows = np.flatnonzero(fold == f)
            for curve, x in zip(curves, logits, strict=True):
                mean[rows] += curve.rank(x[rows])
        return logit_of_rank(mean / len(logits))


@dataclass(frozen=True)
class _Curve:
    """An empirical distribution function, interpolated: knots x ascending, rank in (0, 1).

    The knots lie halfway between neighbouring values, so that no value sits on one: a rank is
    exact to half a row and yet keeps its value's detail, and means of ranks do not tie.
    """

    x: Floats
    at: Floats
    spread: float

    @classmethod
    def fit(cls, values: Floats) -> "_Curve":
        ordered = np.sort(values)
        spread = float(values.std())
        spread = spread if spread > 0.0 else 1.0
        steps = np.flatnonzero(ordered[1:] > ordered[:-1])
        if len(steps) == 0:
            return cls(ordered[:1], np.array([0.5]), spread)
        steps = steps[np.linspace(0, len(steps) - 1, min(len(steps), _KNOTS)).astype(np.intp)]
        halfway = ordered[steps] + 0.5 * (ordered[steps + 1] - ordered[steps])
        x, first = np.unique(halfway, return_index=True)  # rounding can merge two halves
        return cls(x, (steps[first] + 1.0) / len(ordered), spread)

    def rank(self, values: Floats) -> Floats:
        """(rows,) in (0, 1), strictly rising in the value."""
        rank: Floats = np.interp(values, self.x, self.at)
        over, under = values > self.x[-1], values < self.x[0]
        rank[over] = 1.0 - (1.0 - self.at[-1]) / (1.0 + (values[over] - self.x[-1]) / self.spread)
        rank[under] = self.at[0] / (1.0 + (self.x[0] - values[under]) / self.spread)
        return rank


def logit_of_rank(rank: Floats) -> Floats:
    """log(r / (1 - r)), finite even if rounding has made r 0 or 1."""
    tiny = 1e-15
    inside = np.clip(rank, tiny, 1.0 - tiny)
    return np.asarray(np.log(inside) - np.log1p(-inside))


def mean_without_oof(logits: Floats, spread_of: Floats) -> Floats:
    """(k, rows) mean of logits (m, k, rows), each run first brought to the runs' mean level.

    With no OOF there are no labels to scale by: a run's mean and standard deviation over
    ``spread_of`` (m, k, rows of valid, or of test if a run has no valid) are used instead.
    """
    centre = spread_of.mean(axis=(1, 2))
    spread = spread_of.std(axis=(1, 2))
    spread = np.where(spread > 0.0, spread, 1.0)
    standard = (logits - centre[:, None, None]) / spread[:, None, None]
    return np.asarray(standard.mean(axis=0) * spread.mean() + centre.mean())


def rank_without_oof(logits: Floats) -> Floats:
    """(k, rows) mean rank of logits (m, k, rows) within their own rows, as a logit.

    Transductive: a row's rank depends on the other rows, since there is no OOF to rank it in.
    """
    mean = np.zeros(logits.shape[1:])
    for of_run in logits:
        for to, x in zip(mean, of_run, strict=True):
            to += _Curve.fit(x).rank(x)
    return logit_of_rank(mean / len(logits))
