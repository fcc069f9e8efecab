"""Constrained logistic regression on the runs' logits: no weight below 0.

Breiman, Stacked Regressions, Machine Learning 24 (1996): non-negative weights keep stacking from
setting correlated runs against each other.
"""

import numpy as np

from mmctr_kit.data.folds import held_out
from mmctr_kit.ensemble.methods.average import WeightedMean
from mmctr_kit.ensemble.methods.scale import PlattScaling
from mmctr_kit.ensemble.stack import OofRows
from mmctr_kit.metrics.calibration import sigmoid
from mmctr_kit.metrics.ranks import Flags, Floats

FIT_CELLS = 10_000_000
"""Rows times runs that are fitted on; if there are more, whole users are drawn."""
PRIOR_ROWS = 100.0
"""How many rows the pull towards equal weights is worth."""
_STEPS = 60
_HALVINGS = 25
_SETTLED = 1e-9
_BLOCK = 1 << 15  # rows at a time, so that their intermediates stay in the CPU cache


def fit_weights(oof: OofRows, seed: int) -> WeightedMean:
    """Weights of runs with the least logloss, for logits (m, rows) on one scale.

    The objective is mean logloss + PRIOR_ROWS / rows * half the squared distance of the weights
    from their mean.
    """
    runs, rows = oof.logits.shape
    if runs == 1:
        return WeightedMean.equal(1)
    share = FIT_CELLS / (runs * rows)
    if share < 1.0:
        oof = oof.take(np.flatnonzero(held_out(oof.user, share, seed ^ 0x106_157)))
    logits, label = oof.logits, oof.label
    line = PlattScaling.fit(label, logits.mean(axis=0))
    start = np.append(np.full(runs, line.slope / runs), line.intercept)
    weights = _newton(logits, label, start)[:-1]
    total = float(weights.sum())
    return WeightedMean(weights / total) if total > 0.0 else WeightedMean.equal(runs)


def _newton(logits: Floats, label: Flags, at: Floats) -> Floats:
    """(m + 1,) the best weights, none below 0, and intercept, by Newton steps from ``at``.

    Each step solves the quadratic model within the bounds, a least-squares problem in the
    Hessian's Cholesky factor. (L-BFGS-B takes ten times as many passes over the rows if the runs
    are many, and SciPy 1.17's has been seen to stop far from the optimum.)
    """
    from scipy.optimize import lsq_linear

    lower = np.append(np.zeros(len(logits)), -np.inf)
    gradient, hessian = _slopes(logits, label, at)
    for _ in range(_STEPS):
        factor = np.linalg.cholesky(hessian)
        model = np.linalg.solve(factor, hessian @ at - gradient)
        step = lsq_linear(factor.T, model, (lower, np.inf), method="bvls", tol=1e-14).x - at
        if np.abs(step).max() <= _SETTLED:
            break
        before = gradient
        for _ in range(_HALVINGS):
            gradient, hessian = _slopes(logits, label, at + step)
            # Convex along the step: an uphill slope steeper than the start's means an overshoot.
            if float(step @ (gradient + before)) <= 0.0:
                break
            step /= 2.0
        at = np.maximum(at + step, lower)
    return at


def _slopes(logits: Floats, label: Flags, at: Floats) -> tuple[Floats, Floats]:
    """Gradient (m + 1,) and Hessian (m + 1, m + 1) of the objective."""
    m, n = logits.shape
    gradient, hessian = np.zeros(m + 1), np.zeros((m + 1, m + 1))
    for start in range(0, n, _BLOCK):
        block = slice(start, start + _BLOCK)
        x = np.vstack([logits[:, block], np.ones(len(label[block]))])
        p = sigmoid(at @ x)
        gradient += x @ (p - label[block])
        hessian += (x * (p * (1.0 - p))) @ x.T
    gradient[:m] += PRIOR_ROWS * (at[:m] - at[:m].mean())
    hessian[:m, :m] += PRIOR_ROWS * (np.eye(m) - 1.0 / m)
    hessian /= n
    hessian[np.diag_indices(m + 1)] += 1e-12  # if all probabilities saturate
    return gradient / n, hessian
