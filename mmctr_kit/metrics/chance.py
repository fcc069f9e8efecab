"""How far a cross-fitted score is from chance if fold models may have memorised the items.

The standard error of an OOF score counts users as the sample and folds as independent of each
other. Fold models that memorise items are not independent: model f learns an item's luck from the
rows of fold g, and model g learns the same luck from the rows of f, so the two folds' AUCs rise and
fall together, and the score of pure noise scatters up to sqrt(2) times as far as that standard
error says. What they share they share by item, so here rows are counted by item too, over all folds
(Cameron, Gelbach & Miller, Journal of Business & Economic Statistics 29, 2011):
V = V_user + V_item - V_row.

This is a standard error under the hypothesis of no signal. If there is a signal, items differ in
truth, and counting them as a sample would ask for more than new users; so it judges the distance
from 0.5 and no difference.
"""

import math

import numpy as np

from mmctr_kit.metrics.estimate import Estimate
from mmctr_kit.metrics.ranks import Floats, Ids, number_ids

_ROUNDING = 1e-12


def z_above_chance(score: Estimate, influence: Floats, items: Ids) -> float:
    """How many standard errors a mean fold AUC lies above 0.5, counted by user and by item.

    ``score`` has the standard error clustered by user, which this never makes smaller;
    ``influence`` (n,) is :meth:`AucSample.row_influence`; items (n,) integers. NaN if the score's
    standard error is, infinite if that is 0 but for rounding.
    """
    of_item = np.bincount(number_ids(items), influence)
    shared = float(of_item @ of_item) - float(influence @ influence)
    se = math.sqrt(score.se**2 + max(shared, 0.0))
    return Estimate(score.value, 0.0 if se < _ROUNDING else se, score.n).z(0.5)
