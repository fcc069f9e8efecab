"""Greedy forward selection of runs with replacement, bagged.

Caruana, Niculescu-Mizil, Crew & Ksikes, Ensemble Selection from Libraries of Models, ICML 2004.
"""

import numpy as np

from mmctr_kit.data.folds import held_out
from mmctr_kit.ensemble.methods.average import WeightedMean
from mmctr_kit.ensemble.stack import OofRows
from mmctr_kit.metrics.binned_auc import BinnedAuc
from mmctr_kit.metrics.ranks import Floats

BAGS = 12
STEPS = 20
PATIENCE = 5
BAG_ROWS = 150_000
BAG_SHARE = 0.5
"""Half the users a bag (as good as a bootstrap, Buhlmann & Yu 2002), at most BAG_ROWS rows."""
BAG_RUNS = 20
"""If there are more runs than this, a bag sees half of them (and at least this many)."""


def select(oof: OofRows, seed: int) -> WeightedMean:
    """Weights of runs whose logits (m, rows) are on one scale, for the best mean fold AUC.

    Each bag sees half of the users and weighs a run by how often it picked it; bags are averaged.
    """
    runs, rows = oof.logits.shape
    if runs == 1:
        return WeightedMean.equal(1)
    random = np.random.default_rng(seed)
    share, size = min(BAG_SHARE, BAG_ROWS / rows), max(min(runs, BAG_RUNS), runs // 2)
    total = np.zeros(runs)
    for _ in range(BAGS):
        chosen = np.sort(random.choice(runs, size=size, replace=False))
        inside = np.flatnonzero(held_out(oof.user, share, int(random.integers(2**62))))
        auc = BinnedAuc.of(oof.label[inside], oof.fold[inside])
        if auc is None:
            continue
        total[chosen] += _forward(oof.logits[np.ix_(chosen, inside)], auc)
    return WeightedMean(total / total.sum()) if total.any() else WeightedMean.equal(runs)


def _forward(logits: Floats, auc: BinnedAuc) -> Floats:
    """(m,) weights: start at the best run, add the one that helps most, keep the best prefix."""
    total = np.zeros(logits.shape[1])
    picks: list[int] = []
    best, best_length = -1.0, 0
    for size in range(1, STEPS + 1):
        scores = auc.of_sums(total, logits)
        pick = int(np.argmax(scores))
        picks.append(pick)
        total += logits[pick]
        if scores[pick] > best:
            best, best_length = float(scores[pick]), size
        elif size >= best_length + PATIENCE:
            break
    return np.bincount(picks[:best_length], minlength=len(logits)) / best_length
