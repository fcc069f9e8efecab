"""Histories, groups of rows and their log odds."""

import numpy as np
import pytest
from scipy.stats import chisquare

from tests.datasets.synth.made import FEW, demo_users, demo_world, enumerated_log_odds, simulate


@pytest.mark.parametrize("test", [False, True])
def test_drawn_rows_carry_the_enumerated_log_odds_and_a_short_last_user_too(test: bool) -> None:
    users = simulate(FEW, 42, test)
    p = FEW.weight if test else np.where(np.arange(8) < FEW.n_warm, FEW.weight, 0.0)
    q = FEW.q(test)
    ends = np.cumsum(users.length)
    for u, (end, length) in enumerate(zip(ends, users.length, strict=True)):
        past = set(users.history[end - length : end].tolist())
        rows = slice(4 * u, min(4 * u + 4, 42))
        items = users.item[rows].tolist()
        alone = [enumerated_log_odds(p, q, past, [i])[0] for i in items]
        assert users.log_odds[rows] == pytest.approx(alone, abs=1e-5)
        together = enumerated_log_odds(p, q, past, items)
        assert users.group_log_odds[rows] == pytest.approx(together, abs=1e-5)


def test_history_lengths_are_three_plus_geometric_with_mean_nine() -> None:
    length = demo_users().length
    assert (length.min(), length.max() <= 64) == (3, True)
    assert abs(length.mean() - 9.0) < 5 * length.std() / np.sqrt(len(length))
    assert abs((length == 3).mean() - 1 / 7) < 0.02


def test_the_positives_place_in_the_group_is_uniform() -> None:
    place = demo_users().label.reshape(-1, 4).argmax(axis=1)
    assert chisquare(np.bincount(place, minlength=4)).pvalue > 1e-4


def test_cold_items_are_two_percent_of_test_targets_and_nowhere_else() -> None:
    world, users = demo_world(), demo_users()
    assert 0.015 < (users.item >= world.n_warm).mean() < 0.026
    assert (users.history < world.n_warm).all()
    assert (simulate(world, 20_000, test=False).item < world.n_warm).all()


def test_the_number_of_threads_changes_nothing() -> None:
    one, three = (simulate(demo_world(), 40_000, False, 5, workers) for workers in (1, 3))
    assert (one.item == three.item).all()
    assert (one.history == three.history).all()
    assert (one.log_odds == three.log_odds).all()
