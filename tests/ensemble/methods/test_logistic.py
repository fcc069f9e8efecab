import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import optimize

from mmctr_kit.ensemble.methods import logistic
from mmctr_kit.ensemble.methods.logistic import PRIOR_ROWS, fit_weights
from mmctr_kit.ensemble.stack import OofRows

ROWS = 6000
USER = np.repeat(np.arange(ROWS // 4), 4)


def oof(logits, label, context=None):
    fold = np.zeros(len(label), np.int16)
    return OofRows(logits, fold, context, label=label, user=USER)


def runs(seed, noises, rows=ROWS):
    rng = np.random.default_rng(seed)
    label = rng.random(rows) < 0.25
    noise = np.asarray(noises)[:, None]
    return 1.5 * label - 1.5 + noise * rng.normal(size=(len(noises), rows)), label


def objective(at, logits, label):
    eta = at[:-1] @ logits + at[-1]
    off = at[:-1] - at[:-1].mean()
    loss = np.logaddexp(0.0, eta).sum() - eta[label].sum()
    return (loss + 0.5 * PRIOR_ROWS * off @ off) / len(label)


@given(st.integers(0, 200), st.integers(2, 5))
@settings(max_examples=15, deadline=None)
def test_weights_sum_to_one_none_is_negative_and_no_other_weights_are_better(seed, count):
    rng = np.random.default_rng(seed)
    logits, label = runs(seed, rng.uniform(0.5, 3.0, count))
    logits[-1] = -0.5 * logits[0] + rng.normal(size=ROWS)  # best with a negative weight
    weights = fit_weights(oof(logits, label), 0).weights
    assert weights.sum() == pytest.approx(1.0)
    assert (weights >= 0.0).all()
    bounds = [(0.0, None)] * count + [(None, None)]
    best = optimize.minimize(
        objective, np.full(count + 1, 0.1), (logits, label), bounds=bounds, tol=1e-12
    ).x[:-1]
    np.testing.assert_allclose(weights, best / best.sum(), atol=2e-3)


def test_the_better_run_weighs_more_and_noise_next_to_nothing():
    logits, label = runs(1, [0.7, 1.4])
    noise = np.random.default_rng(0).normal(size=(2, ROWS))
    weights = fit_weights(oof(np.concatenate([logits, noise]), label), 0).weights
    assert weights[0] > 2.5 * weights[1] > 0.0
    assert weights[2:].max() < 0.1 * weights[0]


def test_copies_share_the_weight_of_one():
    logits, label = runs(2, [1.0, 1.0])
    weights = fit_weights(oof(logits[[0, 0, 0, 1]], label), 0).weights
    np.testing.assert_allclose(weights[:3], weights[0], rtol=1e-6)
    assert weights[:3].sum() == pytest.approx(weights[3], abs=0.1)


def test_the_order_of_runs_changes_nothing():
    logits, label = runs(3, [0.8, 1.2, 2.0])
    ours = fit_weights(oof(logits, label), 0).weights
    np.testing.assert_allclose(
        fit_weights(oof(logits[::-1], label), 0).weights[::-1], ours, atol=1e-7
    )


@pytest.mark.parametrize("kind", ["constant", "separated", "wrong"])
def test_degenerate_runs_still_give_weights(kind):
    logits, label = runs(4, [1.0, 1.0])
    logits = {
        "constant": np.full_like(logits, -1.0),
        "separated": np.where(label, 50.0, -50.0) + 0.0 * logits,
        "wrong": -logits,
    }[kind]
    weights = fit_weights(oof(logits, label), 0).weights
    assert np.isfinite(weights).all()
    assert weights.sum() == pytest.approx(1.0)
    assert (weights >= 0.0).all()


def test_one_run_takes_all():
    logits, label = runs(5, [1.0])
    np.testing.assert_array_equal(fit_weights(oof(logits, label), 0).weights, [1.0])


def test_of_very_many_rows_whole_users_are_drawn(monkeypatch):
    logits, label = runs(6, [0.8, 1.2])
    whole = fit_weights(oof(logits, label), 0).weights
    monkeypatch.setattr(logistic, "FIT_CELLS", ROWS)
    part = fit_weights(oof(logits, label), 0).weights
    assert part[0] != whole[0]
    np.testing.assert_allclose(part, whole, atol=0.1)
