"""Constrained logistic regression on the runs' logits: no weight below 0.

Breiman, Stacked Regressions, Machine Learning 24 (1996): non-negative weights keep stacking from
setting correlated runs against each other.
"""

from collections.abc import Callable

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
    line = PlattScaling.fit(oof.label, oof.logits.mean(axis=0))
    start = np.append(np.full(runs, line.slope / runs), line.intercept)
    pull = np.zeros((runs + 1, runs + 1))
    pull[:runs, :runs] = PRIOR_ROWS * (np.eye(runs) - 1.0 / runs)
    lower = np.append(np.zeros(runs), -np.inf)

    def columns(block: slice) -> Floats:
        part = oof.logits[:, block]
        return np.vstack([part, np.ones(part.shape[1])])

    weights = least_logloss(columns, oof.label, start, pull, lower)[:-1]
    total = float(weights.sum())
    return WeightedMean(weights / total) if total > 0.0 else WeightedMean.equal(runs)


def least_logloss(
    columns: Callable[[slice], Floats], label: Flags, at: Floats, pull: Floats, lower: Floats
) -> Floats:
    """(p,) the coefficients, none below ``lower`` (p,), of a logistic regression, from ``at`` (p,).

    ``columns(rows)`` gives the regressors (p, rows) of a slice of rows; the objective is mean
    logloss + half of the quadratic form ``pull`` (p, p) / rows.
    Each Newton step solves the quadratic model within the bounds, a least-squares problem in the
    Hessian's Cholesky factor. (L-BFGS-B takes ten times as many passes over the rows if the runs
    are many, and SciPy 1.17's has been seen to stop far from the optimum.)
    """
    from scipy.optimize import lsq_linear

    gradient, hessian = _slopes(columns, label, at, pull)
    for _ in range(_STEPS):
        factor = np.linalg.cholesky(hessian)
        model = np.linalg.solve(factor, hessian @ at - gradient)
        step = lsq_linear(factor.T, model, (lower, np.inf), method="bvls", tol=1e-14).x - at
        if np.abs(step).max() <= _SETTLED:
            break
        before = gradient
        for _ in range(_HALVINGS):
            gradient, hessian = _slopes(columns, label, at + step, pull)
            # Convex along the step: an uphill slope steeper than the start's means an overshoot.
            if float(step @ (gradient + before)) <= 0.0:
                break
            step /= 2.0
        at = np.maximum(at + step, lower)
    return at


def _slopes(
    columns: Callable[[slice], Floats], label: Flags, at: Floats, pull: Floats
) -> tuple[Floats, Floats]:
    """Gradient (p,) and Hessian (p, p) of the objective."""
    n = len(label)
    gradient, hessian = np.zeros(len(at)), np.zeros((len(at), len(at)))
    for start in range(0, n, _BLOCK):
        block = slice(start, start + _BLOCK)
        x = columns(block)
        p = sigmoid(at @ x)
        gradient += x @ (p - label[block])
        hessian += (x * (p * (1.0 - p))) @ x.T
    gradient += pull @ at
    hessian += pull
    hessian /= n
    hessian[np.diag_indices(len(at))] += 1e-12  # if all probabilities saturate
    return gradient / n, hessian
