import math

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from mmctr_kit.metrics.calibration import calibration, ece_by_chance, logistic_line, sigmoid


def drawn(rows, seed=0):
    """Logits and labels drawn from them: calibrated by construction."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(-1.0, 1.5, rows)
    return rng.random(rows) < sigmoid(logits), logits


def test_the_line_is_that_of_an_unpenalised_logistic_regression():
    label, logits = drawn(20_000)
    slope, intercept = logistic_line(label, 3.0 * logits + 50.0)
    wanted = LogisticRegression(C=np.inf, tol=1e-10).fit((3 * logits + 50)[:, None], label)
    # Platt's smoothed targets move it by about 1 / rows.
    assert slope == pytest.approx(wanted.coef_[0, 0], abs=1e-3)
    assert slope * 50 + intercept == pytest.approx(
        wanted.coef_[0, 0] * 50 + wanted.intercept_[0], abs=2e-3
    )


def test_a_start_changes_the_work_and_not_the_line():
    label, logits = drawn(5_000)
    cold = logistic_line(label, logits)
    for start in (cold, (0.5, 0.0), (-3.0, 9.0), (40.0, -100.0)):
        assert logistic_line(label, logits, start) == pytest.approx(cold, abs=1e-6)


@pytest.mark.parametrize("rows", [4, 400])
def test_classes_that_separate_give_a_finite_rising_line(rows):
    logits = np.linspace(-1.0, 1.0, rows)
    slope, intercept = logistic_line(logits > 0, logits)
    assert 0.0 < slope < math.inf
    assert math.isfinite(intercept)
    outlier = np.r_[logits, 1e6]
    assert all(math.isfinite(v) for v in logistic_line(outlier > 0, outlier))


def test_the_targets_are_platts():
    logits = np.repeat([-1.0, 1.0], [30, 10])
    slope, intercept = logistic_line(logits > 0, logits)
    np.testing.assert_allclose(
        sigmoid(np.array([intercept - slope, intercept + slope])), [1 / 32, 11 / 12], rtol=1e-6
    )


def test_constant_logits_give_the_base_rate():
    label = np.arange(100) < 25
    slope, intercept = logistic_line(label, np.full(100, 3.7))
    assert slope == 0.0
    assert sigmoid(np.array([intercept]))[0] == pytest.approx(0.25, abs=0.01)


def test_calibrated_logits_are_found_calibrated_and_distorted_ones_are_not():
    label, logits = drawn(100_000)
    good, bad = calibration(label, logits), calibration(label, 2.0 * logits + 0.5)
    assert good.ece < 0.01 < 0.05 < bad.ece
    assert good.slope == pytest.approx(1.0, abs=0.03)
    assert good.intercept == pytest.approx(0.0, abs=0.03)
    assert bad.slope == pytest.approx(good.slope / 2, rel=1e-6)
    assert good.ratio == pytest.approx(1.0, abs=0.02)
    assert good.mean_prediction == pytest.approx(sigmoid(logits).mean())
    assert good.mean_label == label.mean()


def test_ece_is_the_weighted_gap_over_bins_of_equal_size():
    logits = np.array([-2.0, -1.0, 0.0, 1.0])
    label = np.array([1, 0, 1, 1])
    found = calibration(label, logits, bins=2)
    p = sigmoid(logits)
    wanted = 0.5 * abs(0.5 - p[:2].mean()) + 0.5 * abs(1.0 - p[2:].mean())
    assert found.ece == pytest.approx(wanted)
    np.testing.assert_array_equal(found.bin_rows, [2, 2])
    np.testing.assert_allclose(found.bin_label, [0.5, 1.0])


def test_tied_logits_share_a_bin():
    found = calibration(np.array([0, 1, 0, 1, 1]), np.zeros(5), bins=4)
    np.testing.assert_array_equal(found.bin_rows, [5])
    assert found.ece == pytest.approx(0.1)


def test_infinite_or_missing_logits_are_refused():
    for logits in (np.array([0.0, np.inf]), np.array([0.0, np.nan]), np.array([0.0])):
        with pytest.raises(ValueError, match="finite logit"):
            calibration(np.array([0, 1]), logits)


@pytest.mark.parametrize("rows", [8, 200])
def test_a_calibrated_model_is_hardly_ever_above_the_ece_of_chance(rows: int) -> None:
    rng, ratios = np.random.default_rng(rows), []
    for _ in range(200):
        logit = rng.normal(-1.1, 0.5, rows)
        found = calibration((rng.random(rows) < sigmoid(logit)).astype(np.int8), logit)
        ratios.append(found.ece / ece_by_chance(found.mean_prediction, rows))
    assert np.mean(np.array(ratios) > 1) < 0.06
    assert np.mean(ratios) > 0.5
