"""The LightGBM stacker: shallow, few-leaved, monotone in each run's logit.

It is boosted from most of the calibrated plain mean, so what it learns is a correction: with no
signal in the correction it keeps the mean's order, and its scores tie no more than the mean's do.
What is known of a row besides (its context) may be shown to the trees: they can then trust a run
more where, say, histories are long.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmctr_kit.data.folds import held_out
from mmctr_kit.ensemble.methods.average import WeightedMean
from mmctr_kit.ensemble.methods.scale import Line

MEAN_SHARE = 0.75
"""How much of the mean's slope the trees start from. Being monotone they can only add: from all of
it they cannot take back what the mean gives to a copy or a weak run, from less they rebuild in
steps what was smooth."""

ROUNDS = 100
LEAVES = 4
DEPTH = 3
LEARNING_RATE = 0.05
MIN_LEAF_SHARE = 0.01
FIT_ROWS = 500_000
"""More rows than this add time and nothing to trees this small; whole users are drawn."""
FIT_CELLS = 20_000_000
"""Rows times runs: of very many runs fewer rows are fitted on, so that memory holds them."""
ROWS_FOR_TWO_THREADS = 200_000
"""LightGBM's sums depend on its thread count: the data decides it, so the machine does not."""


@dataclass(frozen=True, eq=False)
class Stacker:
    """A fitted stacker: a line through the plain mean, plus the trees' sum, in logits."""

    line: Line
    booster: Any  # lightgbm.Booster, which has no types

    @classmethod
    def fit(
        cls,
        logits: NDArray[np.float64],
        label: NDArray[np.bool_],
        user: NDArray[np.int64],
        seed: int,
        context: NDArray[np.float32] | None = None,
    ) -> "Stacker":
        """From OOF logits (m, rows) on one scale, labels (rows,) and users (rows,), and what is
        known of the rows, (c, rows), in which the trees are not monotone."""
        import lightgbm

        most = min(FIT_ROWS, FIT_CELLS // len(logits))
        if len(label) > most:
            inside = np.flatnonzero(held_out(user, most / len(label), seed ^ 0x57AC4))
            logits, label = logits[:, inside], label[inside]
            context = None if context is None else context[:, inside]
        mean = WeightedMean.equal(len(logits)).apply(logits)
        line = _shrunk(Line.fit(label, mean), float(mean.mean()))
        columns = _columns(logits, context)
        data = lightgbm.Dataset(
            columns, label=label.astype(np.float32), init_score=line.apply(mean)
        )
        free = columns.shape[1] - len(logits)
        parameters = _parameters(len(logits), free, len(label), seed)
        return cls(line, lightgbm.train(parameters, data, ROUNDS))

    def apply(
        self, logits: NDArray[np.float64], context: NDArray[np.float32] | None = None
    ) -> NDArray[np.float64]:
        """(rows,) logits from logits (m, rows), and from the context where it was fitted on one."""
        mean = WeightedMean.equal(len(logits)).apply(logits)
        added = self.booster.predict(_columns(logits, context), raw_score=True, num_threads=2)
        out: NDArray[np.float64] = self.line.apply(mean) + added
        return out


def _shrunk(line: Line, centre: float) -> Line:
    """The same logit at ``centre``, `MEAN_SHARE` of the slope."""
    slope = MEAN_SHARE * line.slope
    return Line(slope, line.intercept + (line.slope - slope) * centre)


def _columns(
    logits: NDArray[np.float64], context: NDArray[np.float32] | None
) -> NDArray[np.float64]:
    """(rows, m + c), as LightGBM takes it."""
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
