"""Draws against the probabilities that define them."""

from itertools import permutations

import numpy as np
import pytest
from scipy.stats import chisquare

from mmctr_kit.datasets.synth.draw import (
    ABSENT,
    Preferences,
    block_catalogue,
    draw_group,
    draw_history,
)
from mmctr_kit.datasets.synth.oracle import power_sums
from mmctr_kit.datasets.synth.world import LATENT
from tests.datasets.synth.made import FEW, demo_world, small_world


def test_float32_sums_over_the_catalogue_agree_with_float64() -> None:
    world = demo_world()
    factors = 0.5 * np.random.default_rng(0).standard_normal((50, LATENT))
    sums = Preferences(factors, block_catalogue(world, test=True)).target_sums()
    p = world.weight * np.exp(factors @ world.factors.T)
    exact = power_sums(p, np.broadcast_to(world.q_test, p.shape))
    assert sums == pytest.approx(exact, rel=3e-6)


def test_targets_are_drawn_by_the_users_softmax_across_blocks() -> None:
    rng = np.random.default_rng(0)
    world = small_world(rng.random(520), rng.random(20), rng.standard_normal((540, LATENT)))
    factors = 0.6 * rng.standard_normal((2, LATENT))
    chunk = Preferences(factors, block_catalogue(world, test=True))
    users = np.repeat([1, 0], 60_000)
    for past, n_items in ((False, 540), (True, 520)):
        slots = chunk.draw(users, rng, past)
        for u in (0, 1):
            p = world.weight[:n_items] * np.exp(world.factors[:n_items] @ factors[u])
            found = np.bincount(slots[users == u], minlength=n_items)
            assert chisquare(found, 60_000 * p / p.sum()).pvalue > 1e-4


def test_histories_are_drawn_without_replacement_one_after_another() -> None:
    chunk = Preferences(np.zeros((40_000, LATENT)), block_catalogue(FEW, test=True))
    history = draw_history(chunk, np.full(40_000, 2), np.random.default_rng(0))
    p = FEW.weight[:7] / FEW.weight[:7].sum()
    expected = np.outer(p / (1 - p), p)
    off = ~np.eye(7, dtype=bool)
    found = np.bincount(history[:, 0] * 7 + history[:, 1], minlength=49).reshape(7, 7)
    assert not found[~off].any()
    assert chisquare(found[off], 40_000 * expected[off]).pvalue > 1e-4


def test_groups_are_those_of_the_definition() -> None:
    chunk = Preferences(np.zeros((40_000, LATENT)), block_catalogue(FEW, test=True))
    history = np.full((40_000, 2), ABSENT)
    history[:, 0] = 2
    groups = draw_group(chunk, history, np.random.default_rng(0))
    possible = list(permutations([0, 1, 3, 4, 5, 6, 7], 4))
    mass = np.array([FEW.weight[g[0]] * FEW.q_test[list(g[1:])].prod() for g in possible])
    index = {g: i for i, g in enumerate(possible)}
    found = np.bincount([index[tuple(g)] for g in groups.tolist()], minlength=len(possible))
    assert chisquare(found, 40_000 * mass / mass.sum()).pvalue > 1e-4
