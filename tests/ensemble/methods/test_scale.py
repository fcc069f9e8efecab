import numpy as np
import pytest

from mmctr_kit.ensemble.methods.scale import MIN_SLOPE, PlattScaling, apply_scalings, fit_scalings
from mmctr_kit.metrics.calibration import logistic_line, sigmoid


def drawn(seed=0, rows=4000):
    rng = np.random.default_rng(seed)
    logits = rng.normal(-1.0, 1.0, rows)
    return rng.random(rows) < sigmoid(logits), logits


def test_runs_on_any_scale_come_to_the_same_logits():
    label, logits = drawn()
    runs = np.stack([logits, 7.0 * logits - 20.0, 0.01 * logits + 3.0])
    scaled = apply_scalings(fit_scalings(label, runs), runs)
    np.testing.assert_allclose(scaled[1], scaled[0], atol=1e-6)
    np.testing.assert_allclose(scaled[2], scaled[0], atol=1e-6)
    assert PlattScaling.fit(label, logits).slope == logistic_line(label, logits)[0]


def test_a_run_that_points_the_wrong_way_is_muted_and_never_turned():
    label, logits = drawn()
    line = PlattScaling.fit(label, -logits)
    assert line.slope * logits.std() == pytest.approx(MIN_SLOPE)
    assert sigmoid(line.apply(-logits)).mean() == pytest.approx(label.mean(), abs=1e-3)


def test_a_constant_run_still_rises():
    label, _ = drawn()
    line = PlattScaling.fit(label, np.full(len(label), 2.0))
    assert line.slope > 0.0
    assert sigmoid(line.apply(np.array([2.0])))[0] == pytest.approx(label.mean(), abs=1e-3)


def test_a_start_from_the_whole_does_not_change_the_part():
    label, logits = drawn()
    part = slice(0, 3000)
    start = fit_scalings(label, logits[None])
    cold, warm = (
        fit_scalings(label[part], logits[None, part]),
        fit_scalings(label[part], logits[None, part], start),
    )
    assert warm[0].slope == pytest.approx(cold[0].slope, abs=1e-6)
    assert warm[0].intercept == pytest.approx(cold[0].intercept, abs=1e-6)


def test_one_absurd_logit_changes_nothing_for_the_others():
    label, logits = drawn()
    odd = logits.copy()
    odd[7], label[7] = -3e6, False
    usual, found = PlattScaling.fit(label, logits), PlattScaling.fit(label, odd)
    np.testing.assert_allclose(found.apply(logits), usual.apply(logits), atol=0.03)
    assert -100 < found.apply(odd).min() < -10
