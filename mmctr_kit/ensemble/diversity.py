"""Diversity of a blend's runs: their rank correlations, and what each run adds to the blend."""

from collections.abc import Mapping

import numpy as np

from mmctr_kit.activity import doing
from mmctr_kit.data.folds import held_out
from mmctr_kit.ensemble.crossfit import CrossFit
from mmctr_kit.ensemble.methods.catalogue import Method
from mmctr_kit.ensemble.stack import Stack
from mmctr_kit.metrics.auc import AucSample
from mmctr_kit.metrics.estimate import Estimate
from mmctr_kit.metrics.ranks import Floats, midranks

CORRELATION_ROWS = 100_000
"""Enough for a correlation to 0.003; if there are more rows, whole users are drawn."""
LEFT_OUT_CELLS = 50_000_000
"""Rows times runs for leaving each run out; if there are more, whole users are drawn."""


def correlations(stack: Stack) -> Floats:
    """(m, m) Spearman's correlations of the runs' OOF within folds; 0 if a run is constant.

    Without OOF, of the fold means' valid rows, or test rows if there are no valid ones.
    """
    if stack.oof is None:
        source = stack.valid if stack.valid.shape[2] else stack.test
        ranks = np.stack([midranks(x) for x in source.mean(axis=1)])
        return _pearson(ranks - ranks.mean(axis=1, keepdims=True))
    inside = held_out(stack.user, CORRELATION_ROWS / len(stack.user), 0xC0_44E1)
    parts = []
    for f in range(stack.folds):
        rows = np.flatnonzero(inside & (stack.fold == f))
        if len(rows):
            ranks = np.stack([midranks(x[rows]) for x in stack.oof])
            parts.append((ranks - ranks.mean(axis=1, keepdims=True)) / len(rows))
    return _pearson(np.concatenate(parts, axis=1)) if parts else np.eye(stack.runs)


def leave_one_out_gain(crossed: CrossFit, method: Method, whole: Floats) -> Mapping[int, Estimate]:
    """Run number -> mean fold AUC of the blend less its AUC without the run, cross-fitted, paired.

    ``whole`` (n,) are the blend's cross-fitted logits. Empty for a single run. A run that others
    can replace adds little, however good it is.
    """
    rows = crossed.rows
    runs, n = rows.logits.shape
    if runs == 1:
        return {}
    doing("working out what each run adds")
    inside = None
    if runs * n > LEFT_OUT_CELLS:
        inside = held_out(rows.user, LEFT_OUT_CELLS / (runs * n), 0xADD5)
    rest = slice(None) if inside is None else inside
    sample = AucSample(rows.label[rest], rows.user[rest], rows.fold[rest])
    full = sample.influence(whole[rest])
    return {
        run: sample.difference(full, sample.influence(crossed.without(method, run, inside)))
        for run in range(runs)
    }


def _pearson(centred: Floats) -> Floats:
    """(m, m) correlations of rows (m, n) of mean 0."""
    size = np.sqrt((centred * centred).sum(axis=1))
    size[size == 0.0] = np.inf
    matrix: Floats = np.clip((centred @ centred.T) / np.outer(size, size), -1.0, 1.0)
    np.fill_diagonal(matrix, 1.0)
    return matrix
