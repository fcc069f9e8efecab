"""Weighted mean of logits, and mean of ranks: the blends that cannot overfit."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mmctr_kit.ranks import midranks

_KNOTS = 4096


@dataclass(frozen=True)
class WeightedMean:
    """Mean of scaled logits with weights (m,) that sum to 1."""

    weights: NDArray[np.float64]

    @classmethod
    def equal(cls, runs: int) -> "WeightedMean":
        return cls(np.full(runs, 1.0 / runs))

    def apply(self, logits: NDArray[np.float64]) -> NDArray[np.float64]:
        """(rows,) from logits (m, rows)."""
        out: NDArray[np.float64] = self.weights @ logits
        return out


@dataclass(frozen=True)
class RankMean:
    """Mean over runs of each logit's rank within its own fold model's OOF, as a logit.

    A rank is read off the fold's empirical distribution function (knots at its quantiles, straight
    lines between, tails that go on rising), so a valid or test row gets the rank it would have had
    in OOF, whatever other rows stand beside it. The mean rank r becomes log(r / (1 - r)).
    """

    curves: tuple[tuple["_Curve", ...], ...]  # [fold][run]

    @classmethod
    def fit(cls, logits: NDArray[np.float64], fold: NDArray[np.int16]) -> "RankMean":
        """From OOF logits (m, rows) and folds (rows,); every fold has rows."""
        rows_of = [np.flatnonzero(fold == f) for f in range(int(fold.max()) + 1)]
        return cls(tuple(tuple(_Curve.fit(x[rows]) for x in logits) for rows in rows_of))

    def apply(self, logits: NDArray[np.float64], fold: NDArray[np.int16]) -> NDArray[np.float64]:
        """(rows,) from logits (m, rows) and each row's fold model (rows,)."""
        mean = np.zeros(len(fold))
        for f, curves in enumerate(self.curves):
            rows = np.flatnonzero(fold == f)
            for curve, x in zip(curves, logits, strict=True):
                mean[rows] += curve.rank(x[rows])
        return logit_of_rank(mean / len(logits))


@dataclass(frozen=True)
class _Curve:
    """An empirical distribution function, interpolated: knots x ascending, rank in (0, 1)."""

    x: NDArray[np.float64]
    at: NDArray[np.float64]
    spread: float

    @classmethod
    def fit(cls, values: NDArray[np.float64]) -> "_Curve":
        ordered = np.sort(values)
        n = len(ordered)
        places = np.unique(np.linspace(0, n - 1, min(n, _KNOTS)).astype(np.intp))
        x = np.unique(ordered[places])
        first = np.searchsorted(ordered, x, "left")
        last = np.searchsorted(ordered, x, "right")
        spread = float(values.std())
        return cls(x, (first + last) / (2.0 * n), spread if spread > 0.0 else 1.0)

    def rank(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """(rows,) in (0, 1), strictly rising in the value."""
        rank: NDArray[np.float64] = np.interp(values, self.x, self.at)
        over, under = values > self.x[-1], values < self.x[0]
        rank[over] = 1.0 - (1.0 - self.at[-1]) / (1.0 + (values[over] - self.x[-1]) / self.spread)
        rank[under] = self.at[0] / (1.0 + (self.x[0] - values[under]) / self.spread)
        return rank


def logit_of_rank(rank: NDArray[np.float64]) -> NDArray[np.float64]:
    """log(r / (1 - r)), finite also where rounding has made r 0 or 1."""
    tiny = 1e-15
    inside = np.clip(rank, tiny, 1.0 - tiny)
    out: NDArray[np.float64] = np.log(inside) - np.log1p(-inside)
    return out


def mean_without_oof(
    logits: NDArray[np.float64], spread_of: NDArray[np.float64]
) -> NDArray[np.float64]:
    """(k, rows) mean of logits (m, k, rows), each run first brought to the runs' mean level.

    With no OOF there are no labels to scale by: a run's mean and standard deviation over
    ``spread_of`` (m, k, valid rows) stand in.
    """
    centre = spread_of.mean(axis=(1, 2))
    spread = spread_of.std(axis=(1, 2))
    spread = np.where(spread > 0.0, spread, 1.0)
    standard = (logits - centre[:, None, None]) / spread[:, None, None]
    out: NDArray[np.float64] = standard.mean(axis=0) * spread.mean() + centre.mean()
    return out


def rank_without_oof(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    """(k, rows) mean rank of logits (m, k, rows) within their own rows, as a logit."""
    rows = logits.shape[2]
    mean = np.zeros(logits.shape[1:])
    for of_run in logits:
        for to, x in zip(mean, of_run, strict=True):
            to += (midranks(x) - 0.5) / rows
    return logit_of_rank(mean / len(logits))
