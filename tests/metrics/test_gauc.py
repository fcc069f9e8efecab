"""GAUC: the mean of the users' own AUCs, and its paired difference."""

import math

import numpy as np
import pytest

from mmctr_kit.metrics.auc import auc
from mmctr_kit.metrics.gauc import gauc
from tests.metrics.test_auc import clustered


@pytest.mark.parametrize("ties", [True, False])
def test_gauc_is_the_mean_of_the_users_aucs_without_one_class_users(ties):
    label, a, _, user = clustered(6, users=60, ties=ties)
    each = [
        auc(label[user == u], a[user == u])
        for u in np.unique(user)
        if 0 < label[user == u].sum() < (user == u).sum()
    ]
    found = gauc(label, a, user)
    assert found.value == pytest.approx(np.mean(each), abs=1e-14)
    assert found.se == pytest.approx(np.std(each, ddof=1) / math.sqrt(len(each)), rel=1e-12)
    assert found.n == len(each)


def test_gauc_needs_a_user_with_both_classes():
    with pytest.raises(ValueError, match="both classes"):
        gauc(np.array([0, 1]), np.array([0.0, 1.0]), np.array([1, 2]))


def test_far_apart_ids_and_row_order_change_no_gauc():
    label, a, _, user = clustered(4)
    far = user.astype(np.int64) * (2**55 // 400)
    order = np.random.default_rng(0).permutation(len(user))
    there = gauc(label[order], a[order], far[order])
    assert there.value == pytest.approx(gauc(label, a, user).value, abs=1e-14)


def test_a_difference_is_taken_user_by_user():
    label, a, b, user = clustered(8, users=60)
    paired, first, second = gauc(label, a, user, b), gauc(label, a, user), gauc(label, b, user)
    assert paired.value == pytest.approx(first.value - second.value, abs=1e-14)
    assert 0 < paired.se < math.hypot(first.se, second.se)
    assert paired.n == first.n
    assert gauc(label, a, user, a).signed() == "+0.0000 ± 0"
