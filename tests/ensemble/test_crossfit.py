"""Cross-fitting predicts each row by a fit on other users, on one level."""

from dataclasses import replace

import numpy as np
import pytest

from mmctr_kit.data.folds import user_folds
from mmctr_kit.ensemble.blend import blend
from mmctr_kit.ensemble.stack import Stack
from mmctr_kit.errors import RunError
from mmctr_kit.metrics.auc import mean_fold_auc
from tests.ensemble.test_blend import PLAIN


def test_no_row_of_a_user_is_predicted_with_the_users_own_labels(informative):
    stack, _ = informative(4, users=400)
    group = user_folds(stack.user, 5, 0x57AC_5EED)
    label = stack.label.copy()
    label[group == 2] = 1 - label[group == 2]
    flipped = replace(stack, label=label)
    for method in PLAIN:
        gaps = blend(stack, method).oof[group == 2] - blend(flipped, method).oof[group == 2]
        np.testing.assert_allclose(gaps, gaps[0], atol=1e-9)  # but for the common level


def test_cross_fitted_intercepts_do_not_rank_groups_against_their_labels():
    """Constant runs: all that could rank rows is the fits' base rate, low where the group left
    out has many positives. Uncentred, this scores far below 0.5."""
    rng = np.random.default_rng(0)
    user = np.repeat(np.arange(300), 4)
    group = user_folds(user, 5, 0x57AC_5EED)
    label = (rng.random(len(user)) < 0.1 + 0.15 * group).astype(np.int64)
    fold = user_folds(user, 3, 7)
    flat = np.zeros((2, len(user)))
    stack = Stack(
        ("a", "b"), flat, label, user, user, fold, np.zeros((2, 3, 4)), np.zeros((2, 3, 4))
    )
    for method in PLAIN:
        # Rounded, because equal up to rounding is what is promised.
        crossed = np.round(blend(stack, method).oof, 9)
        assert mean_fold_auc(label, crossed, fold, user).value == 0.5


def test_too_few_users_are_an_error_and_not_a_crash():
    user = np.repeat(np.arange(6), 2)
    fold = (user // 2).astype(np.int16)
    label = np.tile([0, 1], 6)
    label[user == 1] = 0
    logits = np.random.default_rng(0).normal(size=(2, 12))
    later = np.zeros((2, 3, 4))
    stack = Stack(("a", "b"), logits, label, user, user, fold, later, later)
    with pytest.raises(RunError, match="too few users"):
        blend(stack, "auto")
