"""The LightGBM stacker: shallow, few-leaved, monotone in each run's logit.

It is boosted from most of the logistic regression's weighted mean, so it learns a correction: with
no signal in the correction it keeps the mean's order, and its scores tie no more than the mean's
do. The trees may see a row's context too: they can then trust a run more if the history is long.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from mmctr_kit.data.folds import held_out
from mmctr_kit.ensemble.methods.average import WeightedMean
from mmctr_kit.ensemble.methods.scale import PlattScaling
from mmctr_kit.ensemble.stack import OofRows
from mmctr_kit.metrics.ranks import Floats, Floats32

MEAN_SHARE = 0.9
"""The share of the mean's slope that the trees start from. Monotone trees can only add: with all of
it they cannot take back what the mean gives to a run; with less they rebuild in steps what was
smooth."""
ROUNDS = 100
LEAVES = 4
DEPTH = 3
LEARNING_RATE = 0.05
MIN_LEAF_SHARE = 0.01
FIT_ROWS = 500_000
"""More rows only cost time with trees this small; whole users are drawn."""
FIT_CELLS = 20_000_000
"""Rows times runs: with very many runs, fewer rows are fitted on, so that they fit in memory."""
ROWS_FOR_TWO_THREADS = 200_000
"""LightGBM's sums depend on its thread count: the data decides it, so the machine does not."""


@dataclass(frozen=True, eq=False)
class Stacker:
    """A fitted stacker: the scaled weighted mean plus the trees' sum, in logits."""

    mean: WeightedMean
    line: PlattScaling
    booster: Any  # lightgbm.Booster, which has no types

    @classmethod
    def fit(cls, oof: OofRows, mean: WeightedMean, seed: int) -> "Stacker":
        """Boost from ``mean`` on OOF rows; the trees are not monotone in the rows' context."""
        import lightgbm

        most, rows = min(FIT_ROWS, FIT_CELLS // len(oof.logits)), len(oof.label)
        if rows > most:
            oof = oof.take(np.flatnonzero(held_out(oof.user, most / rows, seed ^ 0x57AC4)))
        logits, label = oof.logits, oof.label
        start = mean.apply(logits)
        whole = PlattScaling.fit(label, start)
        slope = MEAN_SHARE * whole.slope  # turned around the centre, whose logit stays
        line = PlattScaling(slope, whole.intercept + (whole.slope - slope) * float(start.mean()))
        matrix = _columns(logits, oof.context)
        data = lightgbm.Dataset(
            matrix, label=label.astype(np.float32), init_score=line.apply(start)
        )
        free = matrix.shape[1] - len(logits)
        parameters = _parameters(len(logits), free, len(label), seed)
        return cls(mean, line, lightgbm.train(parameters, data, ROUNDS))

    def apply(self, logits: Floats, context: Floats32 | None = None) -> Floats:
        """(rows,) logits from logits (m, rows), and the context if it was fitted on one."""
        start = self.mean.apply(logits)
        added = self.booster.predict(_columns(logits, context), raw_score=True, num_threads=2)
        return np.asarray(self.line.apply(start) + added)


def _columns(logits: Floats, context: Floats32 | None) -> Floats:
    """(rows, m + c), the layout that LightGBM takes."""
    return logits.T if context is None else np.vstack([logits, context]).T


def _parameters(runs: int, free: int, rows: int, seed: int) -> dict[str, object]:
    return {
        "objective": "binary",
        "boost_from_average": False,
        "num_leaves": LEAVES,
        "max_depth": DEPTH,
        "learning_rate": LEARNING_RATE,
        "min_data_in_leaf": max(20, int(MIN_LEAF_SHARE * rows)),
        "lambda_l2": MIN_LEAF_SHARE * rows / 10.0,
        "monotone_constraints": [1] * runs + [0] * free,
        "monotone_constraints_method": "basic",
        "seed": seed % 2**31,
        "deterministic": True,
        "force_row_wise": True,
        "num_threads": 1 if rows < ROWS_FOR_TWO_THREADS else 2,
        "verbosity": -1,
    }
