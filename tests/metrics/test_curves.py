"""Curves that a figure shows: the area is the AUC, the size does not grow with the rows."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmctr_kit.metrics.auc import auc, mean_fold_auc
from mmctr_kit.metrics.calibration import calibration
from mmctr_kit.metrics.curves import BINS, ROC_POINTS, histograms, mean_roc, reliability, roc_curve


def rows(seed: int, n: int, steps: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """Labels and scores; ``steps`` rounds the scores, for ties."""
    rng = np.random.default_rng(seed)
    labels = rng.permutation(np.arange(n) % 4 == 0).astype(np.int8)
    scores = labels + rng.normal(size=n)
    return labels, np.round(scores / steps) * steps if steps else scores


@given(seed=st.integers(0, 1000), steps=st.sampled_from([0.0, 0.5, 3.0]))
def test_the_area_under_the_curve_is_the_auc_ties_or_not(seed: int, steps: float) -> None:
    labels, scores = rows(seed, 2000, steps)
    x, y = roc_curve(labels, scores)
    assert np.trapezoid(y, x) == pytest.approx(auc(labels, scores), abs=2e-3)


@given(seed=st.integers(0, 1000), n=st.integers(8, 300))
def test_a_curve_rises_from_corner_to_corner_with_as_many_points_as_ever(seed: int, n: int) -> None:
    x, y = roc_curve(*rows(seed, n))
    assert x.shape == y.shape == (ROC_POINTS,)
    assert (np.diff(x) > 0).all()
    assert (np.diff(y) >= 0).all()
    assert (x[0], x[-1], y[-1]) == (0.0, 1.0, 1.0)


def test_a_perfect_score_is_found_before_any_false_alarm() -> None:
    labels = np.array([0, 0, 1, 1], np.int8)
    assert roc_curve(labels, labels.astype(np.float64))[1].min() == 1.0
    with pytest.raises(ValueError, match="only one"):
        roc_curve(np.ones(3, np.int8), np.zeros(3))


def test_the_mean_of_the_folds_curves_has_the_area_of_their_mean_auc() -> None:
    labels, scores = rows(0, 3000)
    folds = np.arange(3000) % 3
    scores = scores + 50.0 * folds  # folds are never ranked against each other
    x, y = mean_roc(labels, scores, folds)
    expected = mean_fold_auc(labels, scores, folds, np.arange(3000)).value
    assert np.trapezoid(y, x) == pytest.approx(expected, abs=2e-3)


def test_bins_are_those_of_calibration_with_errors_clustered_by_user() -> None:
    labels, scores = rows(0, 4000)
    alone = np.arange(4000)
    prediction, label, error, ece = reliability(labels, scores, alone)
    known = calibration(labels, scores)
    np.testing.assert_array_equal(prediction, known.bin_prediction)
    np.testing.assert_array_equal(label, known.bin_label)
    assert ece == known.ece
    np.testing.assert_allclose(error, np.sqrt(label * (1 - label) / 400), rtol=0.01)
    copied = reliability(np.repeat(labels, 10), np.repeat(scores, 10), np.repeat(alone, 10))
    np.testing.assert_allclose(copied[2], error, rtol=0.01)  # copies of a row tell nothing new


def test_one_user_alone_has_an_error_that_is_not_known() -> None:
    labels, scores = rows(0, 100)
    assert np.isnan(reliability(labels, scores, np.zeros(100, np.int64))[2]).all()


def test_histograms_share_edges_and_count_every_row_outliers_too() -> None:
    rng = np.random.default_rng(0)
    wild = np.concatenate([rng.normal(size=5000), [1e6, -1e6]])
    edges, shares = histograms({"a": wild, "b": rng.normal(size=100), "none": np.zeros(0)})
    assert len(edges) == BINS + 1
    assert edges[-1] < 10
    assert shares["a"].sum() == pytest.approx(1.0)
    assert shares["b"].sum() == pytest.approx(1.0)
    assert shares["none"].sum() == 0.0


def test_constant_scores_have_a_histogram_too() -> None:
    edges, shares = histograms({"a": np.full(5, 2.0)})
    assert edges[0] < 2.0 < edges[-1]
    assert shares["a"].max() == 1.0
