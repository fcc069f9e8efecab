"""What the item, its id and its factors tell of a label."""

import numpy as np
from scipy.stats import spearmanr

from mmctr_kit.datasets.synth.world import LATENT
from mmctr_kit.metrics.auc import auc
from tests.datasets.synth.made import demo_users, demo_world


def test_the_item_alone_tells_something_and_a_mean_of_the_history_much() -> None:
    world, users = demo_world(), demo_users()
    item = np.log(world.popularity[users.item] / world.q_test[users.item])
    assert 0.6 < auc(users.label, item) < 0.7
    total = np.concatenate([np.zeros((1, LATENT)), np.cumsum(world.factors[users.history], 0)])
    ends = np.concatenate([[0], np.cumsum(users.length)])
    taste = (total[ends[1:]] - total[ends[:-1]]) / users.length[:, None]
    match = (np.repeat(taste, 4, axis=0) * world.factors[users.item]).sum(axis=1)
    assert auc(users.label, match + item) > 0.78


def test_ids_tell_nothing_of_items() -> None:
    world = demo_world()
    for known in (world.popularity, *world.factors.T[:3]):
        assert abs(spearmanr(world.item_id, known).statistic) < 4 / np.sqrt(len(known))
