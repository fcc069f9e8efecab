import math

import numpy as np
import pytest

from mmctr_kit.metrics.auc import AucSample
from mmctr_kit.metrics.chance import z_above_chance
from mmctr_kit.metrics.estimate import Estimate


def measured(stack, logits):
    """The mean fold AUC and each row's influence on it."""
    sample = AucSample(stack.label, stack.user, stack.fold)
    return sample.estimate(sample.influence(logits)), sample.row_influence(logits)


def both(stack, logits):
    """Standard errors above 0.5, by user alone and by user and item."""
    score, influence = measured(stack, logits)
    return score.z(0.5), z_above_chance(score, influence, stack.item)


def brute(score, label, logits, folds, items):
    """`z_above_chance` from all pairs of a positive and a negative, fold by fold."""
    influence = np.zeros(len(label))
    for fold in set(folds):
        rows = np.flatnonzero(folds == fold)
        high, low = rows[label[rows] == 1], rows[label[rows] == 0]
        won = np.array([[np.sign(logits[p] - logits[n]) / 2 + 0.5 for n in low] for p in high])
        influence[high] = (won.mean(1) - won.mean()) / len(high)
        influence[low] = (won.mean(0) - won.mean()) / len(low)
    influence /= len(set(folds))
    shared = sum(influence[items == item].sum() ** 2 for item in set(items)) - influence @ influence
    return (score.value - 0.5) / math.sqrt(score.se**2 + max(shared, 0.0))


@pytest.mark.parametrize("one_positive", [True, False])
def test_z_equals_the_one_counted_pair_by_pair_with_ties(memorised, one_positive):
    stack = memorised(0, users=60, items=8, one_positive=one_positive)
    logits = np.round(stack.oof[0], 1)
    score, influence = measured(stack, logits)
    found = z_above_chance(score, influence, stack.item)
    assert found == pytest.approx(brute(score, stack.label, logits, stack.fold, stack.item))


def test_memorised_items_scatter_as_far_as_z_says_and_further_than_users_alone(memorised):
    stacks = (memorised(seed, users=400, runs=4, noise=0.1) for seed in range(150))
    by_user, by_item = np.array([both(stack, stack.oof.mean(0)) for stack in stacks]).T
    assert by_user.std() > 1.2
    # Of 150 draws, the standard deviation lies within 0.17 of its own value 3 times in 1000.
    assert 0.83 < by_item.std() < 1.17


def test_scores_that_memorise_nothing_lie_as_far_as_their_clustered_standard_error_says(memorised):
    stack = memorised(1, users=1000)
    noise = np.random.default_rng(2).normal(size=len(stack.label))
    by_user, by_item = both(stack, noise)
    assert by_item == pytest.approx(by_user, rel=0.1)
    assert abs(by_item) <= abs(by_user)


def test_an_unknown_standard_error_stays_unknown(memorised):
    stack = memorised(0, users=60)
    unknown = Estimate(0.6, math.nan, len(stack.label))
    assert math.isnan(z_above_chance(unknown, measured(stack, stack.oof[0])[1], stack.item))
