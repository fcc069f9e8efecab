"""The blend methods behind one face: fit on OOF rows, apply to any fold model's logits."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from mmctr_kit.ensemble.average import RankMean, WeightedMean
from mmctr_kit.ensemble.greedy import select
from mmctr_kit.ensemble.scale import Line
from mmctr_kit.ensemble.stacker import Stacker

Method = Literal["mean", "rank", "greedy", "lightgbm"]


@dataclass(frozen=True, eq=False)
class OofRows:
    """What a method is fitted on: logits (m, rows) of the runs brought to one scale, labels,
    folds and users (rows,)."""

    logits: NDArray[np.float64]
    label: NDArray[np.bool_]
    fold: NDArray[np.int16]
    user: NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Fitted:
    """A fitted method. ``apply(logits (m, rows), fold (rows,))`` gives logits (rows,).

    ``weights`` (m,) sum to 1, or None where a method has no weights.
    """

    apply: Callable[[NDArray[np.float64], NDArray[np.int16]], NDArray[np.float64]]
    weights: NDArray[np.float64] | None


def fit_mean(oof: OofRows, seed: int) -> Fitted:
    """Plain mean of the scaled logits."""
    del seed
    return _weighted(WeightedMean.equal(len(oof.logits)), oof)


def fit_greedy(oof: OofRows, seed: int) -> Fitted:
    """Mean of the scaled logits with weights from greedy selection."""
    return _weighted(select(oof.logits, oof.label, oof.fold, oof.user, seed), oof)


def fit_rank(oof: OofRows, seed: int) -> Fitted:
    """Mean of the ranks within each fold model's OOF."""
    del seed
    ranks = RankMean.fit(oof.logits, oof.fold)
    line = Line.fit(oof.label, ranks.apply(oof.logits, oof.fold))
    runs = len(oof.logits)
    return Fitted(
        lambda logits, fold: line.apply(ranks.apply(logits, fold)), np.full(runs, 1.0 / runs)
    )


def fit_lightgbm(oof: OofRows, seed: int) -> Fitted:
    """The monotone stacker."""
    stacker = Stacker.fit(oof.logits, oof.label, oof.user, seed)
    return Fitted(lambda logits, _fold: stacker.apply(logits), None)


METHODS: Mapping[Method, Callable[[OofRows, int], Fitted]] = MappingProxyType(
    {"mean": fit_mean, "rank": fit_rank, "greedy": fit_greedy, "lightgbm": fit_lightgbm}
)


def _weighted(mean: WeightedMean, oof: OofRows) -> Fitted:
    # A mean of calibrated logits is too timid where the runs differ: one more line mends that.
    line = Line.fit(oof.label, mean.apply(oof.logits))
    return Fitted(lambda logits, _fold: line.apply(mean.apply(logits)), mean.weights)
