"""Curves that reduce millions of rows to the few points that a figure shows. Numpy only."""

from collections.abc import Mapping

import numpy as np

from mmctr_kit.metrics.auc import clustered_mean_se
from mmctr_kit.metrics.calibration import calibration
from mmctr_kit.metrics.ranks import Floats, Ids, Labels, group_starts

ROC_POINTS = 200
BINS = 40


def roc_curve(labels: Labels, scores: Floats, points: int = ROC_POINTS) -> tuple[Floats, Floats]:
    """(false positive rate, true positive rate), (points,) each, at even steps of the first.

    Between the thresholds it is interpolated, so that ties count as one half, as in AUC. Steps are
    finer below 0.1, since the curve is steep there. Raises ValueError if a class is absent.
    """
    order = np.argsort(-scores, kind="stable")
    positive, ordered = labels[order] == 1, scores[order]
    ends = np.append(np.flatnonzero(group_starts(ordered))[1:], len(ordered)) - 1
    hits = np.cumsum(positive)[ends]
    alarms = 1 + ends - hits
    if hits[-1] == 0 or alarms[-1] == 0:
        raise ValueError("a ROC curve needs both classes, but there is only one")
    x = np.r_[0.0, alarms / alarms[-1]]
    y = np.r_[0.0, hits / hits[-1]]
    fine = points // 3
    low = np.linspace(0.0, 0.1, fine, endpoint=False)
    grid = np.concatenate([low, np.linspace(0.1, 1.0, points - fine)])
    # At one x the curve may rise straight up: its upper end is what later points begin from.
    return grid, np.interp(grid, x, y)


def mean_roc(labels: Labels, scores: Floats, folds: Ids) -> tuple[Floats, Floats]:
    """The mean of the folds' ROC curves at each false positive rate.

    The area under it is the mean of the folds' AUCs (Fawcett 2006, vertical averaging).
    """
    each = [roc_curve(labels[folds == f], scores[folds == f]) for f in np.unique(folds)]
    mean: Floats = np.stack([y for _, y in each]).mean(axis=0)
    return each[0][0], mean


def reliability(labels: Labels, logits: Floats, users: Ids) -> tuple[Floats, Floats, Floats, float]:
    """Mean prediction, mean label and its SE, clustered by user, in ten equal bins; and the ECE."""
    fit = calibration(labels, logits)
    ordered = np.sort(logits)
    cuts = ordered[(np.arange(1, 10) * len(ordered)) // 10]
    of = np.searchsorted(cuts, logits, side="right")
    used = np.flatnonzero(np.bincount(of, minlength=10))
    standard_errors = [clustered_mean_se(labels[of == b], users[of == b]) for b in used]
    return fit.bin_prediction, fit.bin_label, np.array(standard_errors), fit.ece


def histograms(scores: Mapping[str, Floats]) -> tuple[Floats, dict[str, Floats]]:
    """Shared bin edges (BINS + 1,), and for each score the share of rows in every bin (BINS,).

    The bins reach from the 0.1 % to the 99.9 % quantile of all; what lies beyond is counted in the
    outermost ones.
    """
    ends = [np.quantile(x, (0.001, 0.999)) for x in scores.values() if len(x)]
    low, high = min(e[0] for e in ends), max(e[1] for e in ends)
    if not high > low:
        low, high = low - 0.5, high + 0.5
    edges = np.linspace(low, high, BINS + 1)
    shares = {
        name: np.histogram(np.clip(x, low, high), edges)[0] / max(1, len(x))
        for name, x in scores.items()
    }
    return edges, shares
