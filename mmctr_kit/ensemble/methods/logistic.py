"""Constrained logistic regression on the runs' logits: no weight below 0.

Breiman, Stacked Regressions, Machine Learning 24 (1996): non-negative weights are what keeps
stacking from setting correlated runs against each other.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mmctr_kit.data.folds import held_out
from mmctr_kit.ensemble.methods.average import WeightedMean
from mmctr_kit.ensemble.methods.scale import Line
from mmctr_kit.metrics.calibration import sigmoid

FIT_CELLS = 10_000_000
"""Rows times runs that are fitted on; of more, whole users are drawn."""

PRIOR_ROWS = 100.0
"""How many rows the pull towards equal weights is worth."""

_STEPS = 60
_HALVINGS = 25
_SETTLED = 1e-12
_BLOCK = 1 << 15


def fit_weights(
    logits: NDArray[np.float64], label: NDArray[np.bool_], user: NDArray[np.int64], seed: int
) -> WeightedMean:
    """Weights of runs whose logits (m, rows) are on one scale, for the least logloss.

    The objective is mean logloss + PRIOR_ROWS / rows * half the squared distance of the weights
    from their mean. Projected Newton steps (Bertsekas, SIAM J. Control Optim. 20, 1982).
    """
    runs, rows = logits.shape
    if runs == 1:
        return WeightedMean.equal(1)
    share = FIT_CELLS / (runs * rows)
    if share < 1.0:
        inside = np.flatnonzero(held_out(user, share, seed ^ 0x106_157))
        logits, label = logits[:, inside], label[inside]
    line = Line.fit(label, logits.mean(axis=0))
    problem = _Problem(logits, label.astype(np.float64), PRIOR_ROWS / max(len(label), 1))
    weights = problem.solve(np.full(runs, line.slope / runs), line.intercept)
    total = float(weights.sum())
    return WeightedMean(weights / total) if total > 0.0 else WeightedMean.equal(runs)


@dataclass(frozen=True, eq=False)
class _Problem:
    logits: NDArray[np.float64]
    target: NDArray[np.float64]
    prior: float

    def solve(self, weights: NDArray[np.float64], intercept: float) -> NDArray[np.float64]:
        """(m,) weights, none below 0. Parameters are the weights, then the intercept."""
        at = np.append(weights, intercept)
        bounded = np.append(np.ones(len(weights), np.bool_), False)
        loss = self.loss(at)
        for _ in range(_STEPS):
            gradient, hessian = self.slopes(at)
            free = ~(bounded & (at <= 0.0) & (gradient > 0.0))
            step = np.zeros(len(at))
            step[free] = np.linalg.solve(hessian[np.ix_(free, free)], gradient[free])
            share = 1.0
            for _ in range(_HALVINGS):
                tried = at - share * step
                tried[bounded] = np.maximum(tried[bounded], 0.0)
                found = self.loss(tried)
                if found <= loss - 1e-4 * float(gradient @ (at - tried)):
                    break
                share /= 2.0
            else:
                break
            gain, at, loss = loss - found, tried, found
            if gain <= _SETTLED:
                break
        return at[:-1]

    def loss(self, at: NDArray[np.float64]) -> float:
        total = 0.0
        for block in self._blocks():
            eta = at[:-1] @ self.logits[:, block] + at[-1]
            total += float(np.logaddexp(0.0, eta).sum() - self.target[block] @ eta)
        off = at[:-1] - at[:-1].mean()
        return total / len(self.target) + 0.5 * self.prior * float(off @ off)

    def slopes(self, at: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Gradient (m + 1,) and Hessian (m + 1, m + 1) of `loss`."""
        m, n = self.logits.shape
        gradient, hessian = np.zeros(m + 1), np.zeros((m + 1, m + 1))
        for block in self._blocks():
            x = np.vstack([self.logits[:, block], np.ones(len(self.target[block]))])
            p = sigmoid(at @ x)
            gradient += x @ (p - self.target[block])
            hessian += (x * (p * (1.0 - p))) @ x.T
        gradient /= n
        hessian /= n
        gradient[:m] += self.prior * (at[:m] - at[:m].mean())
        hessian[:m, :m] += self.prior * (np.eye(m) - 1.0 / m)
        hessian[np.diag_indices(m + 1)] += 1e-12  # where all probabilities saturate
        return gradient, hessian

    def _blocks(self) -> list[slice]:
        return [slice(i, i + _BLOCK) for i in range(0, len(self.target), _BLOCK)]
