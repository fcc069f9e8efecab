"""The presets are as hard to predict as they promise."""

import numpy as np
import pytest

from mmctr_kit.datasets.synth.world import build_world
from mmctr_kit.metrics.auc import auc, auc_with_se
from tests.datasets.synth.made import TINY, demo_world, simulate


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_row_oracles_auc_on_demo_is_within_the_issues_range(seed: int) -> None:
    for test in (False, True):
        users = simulate(demo_world(seed), 20_000, test, seed)
        assert 0.88 < auc(users.label, users.log_odds) < 0.92


@pytest.mark.parametrize("seed", [0, 1, 2, 3])
def test_the_row_oracles_auc_on_tiny_is_in_range_but_for_sampling_error(seed: int) -> None:
    world = build_world(TINY, np.random.default_rng(seed))
    for rows, test in ((2_000, False), (400, False), (400, True)):
        users = simulate(world, rows, test, seed)
        found = auc_with_se(users.label, users.log_odds, np.arange(rows) // 4)
        assert 0.88 - 3 * found.se < found.value < 0.92 + 3 * found.se
