"""How far a cross-fitted score is from chance, where fold models may have memorised the items.

The error of an OOF score counts users as the sample and folds as independent of each other. Fold
models that memorise items are not: model f learns an item's luck from the rows of fold g, and model
g the same luck from those of f, so the two folds' AUCs rise and fall together, and of pure noise
the score scatters up to sqrt(2) times as far as that error says. What they share they share by
item, so here rows are counted by item too, over all folds (Cameron, Gelbach & Miller, Journal of
Business & Economic Statistics 29, 2011): V = V_user + V_item - V_row.

This is an error under the hypothesis of no signal. Where there is one, items differ in truth, and
to count them as a sample would ask for more than new users; so it judges the distance from 0.5 and
no difference.
"""

import math
from collections.abc import Iterator
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from mmctr_kit.metrics.auc import Floats, Ids, Labels
from mmctr_kit.metrics.estimate import Estimate
from mmctr_kit.metrics.ranks import number_ids, order_of, twice_below_both

_ROUNDING = 1e-12


def errors_above_chance(
    score: Estimate, labels: Labels, logits: Floats, folds: Ids, items: Ids
) -> float:
    """How many errors the mean fold AUC ``score`` of ``logits`` (n,) lies above 0.5.

    ``score`` has the error clustered by user, which this never makes smaller; labels (n,) 0/1;
    folds and items (n,) integers. NaN where the score's error is, infinite where that is 0 but
    for rounding.
    """
    influence = np.empty(len(labels))
    parts = list(_influences(labels, logits, folds))
    for rows, values in parts:
        influence[rows] = values / len(parts)
    of_item = np.bincount(number_ids(items), influence)
    shared = float(of_item @ of_item) - float(influence @ influence)
    error = math.sqrt(score.error**2 + max(shared, 0.0))
    return Estimate(score.value, 0.0 if error < _ROUNDING else error, score.n).z(0.5)


def _influences(
    labels: Labels, logits: Floats, folds: Ids
) -> Iterator[tuple[NDArray[np.intp], Floats]]:
    """Of each fold its rows, and what each of them moves the fold's AUC by."""
    for fold in np.unique(folds):
        of_fold = folds == fold
        high_rows = np.flatnonzero(of_fold & (labels == 1))
        low_rows = np.flatnonzero(of_fold & (labels != 1))
        high_rows = high_rows[order_of(logits[high_rows])]
        low_rows = low_rows[order_of(logits[low_rows])]
        below, beneath = twice_below_both(logits[low_rows], logits[high_rows])
        highs, lows = len(high_rows), len(low_rows)
        won = below / (2 * lows)  # of each positive, the share of negatives that it beats
        lost = 1.0 - beneath / (2 * highs)  # of each negative, the share of positives above it
        yield (
            np.concatenate([high_rows, low_rows]),
            np.concatenate([(won - won.mean()) / highs, (lost - lost.mean()) / lows]),
        )


ERRORS = 2.0
"""A method must win by this many errors, before the correction for how many were tried."""


def errors_needed(methods: int) -> float:
    """How many errors a method must win by when the best of ``methods`` is looked at.

    Bonferroni: `ERRORS` for one method, and the same chance of a false alarm for several.
    """
    chance = 1.0 - NormalDist().cdf(ERRORS)
    return NormalDist().inv_cdf(1.0 - chance / methods)
