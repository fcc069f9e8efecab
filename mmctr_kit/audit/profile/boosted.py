"""Boosted trees for the probes that need a model, cross-fitted (scikit-learn's histogram ones)."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from mmctr_kit.metrics.auc import auc

_FEW_ROWS = 100_000
"""Rows below which one thread fits the trees."""
_ROUNDS = 40
_LEAVES = 15
_JUDGED_ROWS = 2_000
"""Rows of the first fold, half of each label, on which columns are shuffled."""

Matrix = NDArray[np.float32]
Labels = NDArray[np.integer]


def crossfit_scores(
    x: Matrix, label: Labels, folds: NDArray[np.int16]
) -> tuple[NDArray[np.float64], list[Any]]:
    """(rows,) log odds of each row from trees that saw none of its fold, and each fold's trees."""
    from sklearn.ensemble import HistGradientBoostingClassifier

    # Threads that wait for each other cost more than they bring where there is little to do, and
    # minutes where other work keeps the cores busy.
    with threadpool_limits(1 if len(x) < _FEW_ROWS else None, user_api="openmp"):
        return _crossfit(HistGradientBoostingClassifier, x.copy(), label, folds)


def _crossfit(
    trees: type[Any], x: Matrix, label: Labels, folds: NDArray[np.int16]
) -> tuple[NDArray[np.float64], list[Any]]:
    scores = np.empty(len(x))
    models = []
    for fold in range(int(folds.max()) + 1):
        inside = folds == fold
        # A column without any number is left out of the splits so; scikit-learn refuses it as NaN.
        x[:, np.isnan(x[~inside]).all(axis=0)] = 0.0
        model = trees(
            max_iter=_ROUNDS,
            max_leaf_nodes=_LEAVES,
            learning_rate=0.15,
            max_bins=63,
            min_samples_leaf=40,
            early_stopping=False,
            random_state=0,
        ).fit(x[~inside], label[~inside])
        scores[inside] = model.decision_function(x[inside])
        models.append(model)
    return scores, models


def telling_columns(
    models: list[Any], x: Matrix, label: Labels, folds: NDArray[np.int16], names: tuple[str, ...]
) -> list[tuple[str, float]]:
    """The three columns whose shuffling costs the first fold most AUC, and what it costs.

    The fold has both labels, and so have the rows that are judged, however rare one is.
    """
    rng = np.random.default_rng(0)
    of_label = [np.flatnonzero((folds == 0) & (label == y)) for y in (0, 1)]
    inside = np.sort(np.concatenate([rng.permutation(x)[: _JUDGED_ROWS // 2] for x in of_label]))
    judged, truth = x[inside].copy(), label[inside]
    with threadpool_limits(1, user_api="openmp"):  # few rows, many times
        whole = auc(truth, models[0].decision_function(judged))
        lost = []
        for i in range(len(names)):
            kept = judged[:, i].copy()
            judged[:, i] = rng.permutation(kept)
            lost.append(whole - auc(truth, models[0].decision_function(judged)))
            judged[:, i] = kept
    best = sorted(range(len(names)), key=lambda i: -lost[i])[:3]
    return [(names[i], lost[i]) for i in best]
