import numpy as np
import pytest

from mmctr_kit.metrics.auc import mean_fold_auc
from mmctr_kit.metrics.binned_auc import BinnedAuc

ROWS = 12_000


def rows(seed=0):
    rng = np.random.default_rng(seed)
    label = rng.random(ROWS) < 0.25
    user = np.repeat(np.arange(ROWS // 4), 4)
    return rng, label, (user % 3).astype(np.int16), user


@pytest.mark.parametrize("shape", ["normal", "heavy", "skewed", "constant"])
def test_the_binned_auc_is_close_to_the_exact_one(shape):
    rng, label, fold, user = rows()
    scores = {
        "normal": rng.normal(size=ROWS) + label,
        "heavy": rng.standard_t(2, size=ROWS) + 3.0 * label,
        "skewed": np.exp(rng.normal(size=ROWS) + label),
        "constant": np.full(ROWS, 5.0),
    }[shape]
    binned = BinnedAuc.of(label, fold)
    exact = mean_fold_auc(label, scores, fold, user).value
    tolerance = {"normal": 1e-4, "heavy": 3e-3, "skewed": 1e-3, "constant": 1e-12}[shape]
    assert binned.of_scores(scores) == pytest.approx(exact, abs=tolerance)


def test_folds_without_both_classes_are_left_out_of_the_binned_auc():
    label, fold = np.array([True, False, True]), np.array([0, 0, 2], dtype=np.int16)
    assert BinnedAuc.of(label, fold).of_scores(np.array([1.0, 0.0, -9.0])) == 1.0
    assert BinnedAuc.of(label[2:], fold[2:]) is None
    assert BinnedAuc.of(label[:0], fold[:0]) is None


def test_sums_are_measured_like_the_scores_that_they_are():
    rng, label, fold, _ = rows()
    base, added = 3.0 + label + rng.normal(size=ROWS), rng.normal(size=(4, ROWS)) + label
    binned = BinnedAuc.of(label, fold)
    np.testing.assert_allclose(
        binned.of_sums(base, added), [binned.of_scores(base + x) for x in added], atol=1e-12
    )
