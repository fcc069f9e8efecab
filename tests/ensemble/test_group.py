"""The group step: what it is worth, what it must not break, and where it is refused."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmctr_kit.data.folds import user_folds
from mmctr_kit.ensemble.crossfit import user_groups
from mmctr_kit.ensemble.group import GroupSoftmax, group_softmax
from mmctr_kit.errors import RunError
from mmctr_kit.metrics.auc import auc_with_se, mean_fold_auc, tied_share
from mmctr_kit.runs.predictions import Keys, OutOfFold, Predictions

FOLDS = 3


def rows_of(rng, users, first, per=4, own=1.0):
    """Keys, labels and true logits of users with one positive in ``per`` rows.

    A row's logit holds ``own`` times what is the user's alone, which says nothing within a user
    and spoils the order between them.
    """
    user = np.repeat(np.arange(first, first + users), per)
    seen = rng.normal(size=(users, per)) * 1.5
    odds = np.exp(seen)
    pick = (np.cumsum(odds, axis=1) > rng.random((users, 1)) * odds.sum(axis=1)[:, None]).argmax(1)
    label = (np.arange(per) == pick[:, None]).astype(np.int8).ravel()
    logit = (seen + own * rng.normal(size=(users, 1))).ravel()
    item = np.arange(len(user), dtype=np.int32)
    return Keys(user, item, np.zeros(len(user), np.int32)), label, logit


def made(seed=0, users=1500, own=1.0, scale=1.0, test_per=4):
    """Predictions and the labels of test."""
    rng = np.random.default_rng(seed)
    keys, label, logit = rows_of(rng, users, 0, own=own)
    fold = user_folds(keys.user_id, FOLDS, 1)
    valid_keys, valid_label, valid = rows_of(rng, users // 2, 10_000, own=own)
    test_keys, test_label, test = rows_of(rng, users // 2, 20_000, test_per, own)
    found = Predictions(
        OutOfFold(keys, label, fold, scale * logit),
        valid_keys,
        valid_label,
        np.stack([scale * valid + 0.01 * f for f in range(FOLDS)]),
        test_keys,
        np.stack([scale * test] * FOLDS),
    )
    return found, test_label


def test_it_lifts_what_differs_between_users_and_says_how_much():
    found, test_label = made()
    after, report = group_softmax(found, 0)
    user = found.test_keys.user_id
    before = auc_with_se(test_label, found.test_mean(), user)
    lifted = auc_with_se(test_label, after.test_mean(), user)
    assert lifted.value > before.value + 0.03
    assert report.oof_difference.z(0.0) > 5.0
    assert report.valid_difference.z(0.0) > 5.0
    assert report.valid == auc_with_se(
        found.valid_label, after.valid_mean(), found.valid_keys.user_id
    )
    oof = after.oof
    wanted = mean_fold_auc(oof.label, oof.logit, oof.fold, oof.keys.user_id)
    assert report.oof == wanted
    assert report.oof_difference.value == pytest.approx(wanted.value - report.oof_plain.value)


@pytest.mark.parametrize("scale", [0.25, 1.0, 4.0])
def test_the_temperature_is_the_scale_that_the_logits_stand_on(scale):
    found, _ = made(1, users=6000, scale=scale)
    _, report = group_softmax(found, 0)
    assert report.temperature == pytest.approx(scale, rel=0.06)


def test_it_is_a_logit_of_the_softmax_over_the_users_rows():
    step = GroupSoftmax(0.5, 3, 0.0)
    z = np.array([1.0, -2.0, 4.0, 0.5, 0.1, 7.0])
    user = np.array([9, 3, 9, 3, 9, 3])
    share = 1.0 / (1.0 + np.exp(-step.apply(z, user)))
    for of in (3, 9):
        odds = np.exp(0.5 * z[user == of])
        np.testing.assert_allclose(share[user == of], odds / odds.sum(), rtol=1e-12)


@given(
    st.lists(st.integers(1, 6), min_size=1, max_size=8),
    st.integers(0, 99),
    st.sampled_from([1.0, 40.0, 3000.0]),
)
@settings(deadline=None)
def test_scores_are_finite_and_keep_each_users_order_untied_however_sure(sizes, seed, reach):
    rng = np.random.default_rng(seed)
    user = rng.permutation(np.repeat(np.arange(len(sizes)), sizes))
    z = reach * rng.normal(size=len(user))
    out = GroupSoftmax(1.0, 4, -0.3).apply(z, user)
    assert np.isfinite(out).all()
    for of in np.unique(user):
        order = np.argsort(z[user == of])
        assert (np.diff(out[user == of][order]) > 0.0).all()


def test_what_is_the_users_alone_and_the_order_of_rows_change_nothing():
    found, _ = made(2, users=200)
    step = GroupSoftmax(1.3, 4, 0.0)
    z, user = found.oof.logit, found.oof.keys.user_id
    out = step.apply(z, user)
    np.testing.assert_allclose(step.apply(z + user % 7, user), out, atol=1e-9)
    order = np.random.default_rng(0).permutation(len(z))
    np.testing.assert_allclose(step.apply(z[order], user[order]), out[order], atol=1e-12)


def test_a_group_that_is_cut_off_counts_its_missing_rows_as_average_ones():
    step = GroupSoftmax(1.0, 4, np.log(2.0))
    np.testing.assert_allclose(step.apply(np.array([1.0]), np.array([5])), 1.0 - np.log(3 * 2.0))


def test_no_row_of_oof_is_scored_with_its_own_users_labels():
    found, _ = made(3, users=300)
    group = user_groups(found.oof.keys.user_id, 0)
    label = found.oof.label.reshape(-1, 4)
    turned = np.where((group == 2).reshape(-1, 4), np.roll(label, 1, axis=1), label).ravel()
    other = replace(found, oof=replace(found.oof, label=turned))
    ours, theirs = (group_softmax(x, 0)[0].oof.logit for x in (found, other))
    np.testing.assert_array_equal(ours[group == 2], theirs[group == 2])
    assert not np.allclose(ours[group != 2], theirs[group != 2])


def test_of_noise_it_stays_noise_and_finite():
    rng = np.random.default_rng(99)
    found, _ = made(4)
    noise = replace(found, oof=replace(found.oof, logit=rng.normal(size=len(found.oof.logit))))
    after, report = group_softmax(noise, 0)
    assert abs(report.oof.z(0.5)) < 3.0
    assert np.isfinite(after.test).all()


def test_scores_stay_untied():
    after, _ = group_softmax(made(5)[0], 0)
    assert tied_share(after.test_mean()) == 0.0


def test_one_cut_off_group_among_many_is_no_reason_to_refuse():
    found, _ = made(6)
    short = len(found.test_keys) - 2
    keys = Keys(
        *(getattr(found.test_keys, k)[:short] for k in ("user_id", "item_id", "occurrence"))
    )
    after, _ = group_softmax(replace(found, test_keys=keys, test=found.test[:, :short]), 0)
    assert np.isfinite(after.test).all()


@pytest.mark.parametrize("per", [1, 3])
def test_test_users_with_other_numbers_of_rows_are_refused(per):
    found, _ = made(7, test_per=per)
    match = rf"rows in test as in OOF \(mostly 4\), but test has mostly {per} "
    with pytest.raises(RunError, match=match):
        group_softmax(found, 0)


def test_valid_users_with_other_numbers_of_rows_are_refused():
    found, _ = made(8)
    alone = replace(found.valid_keys, user_id=np.arange(len(found.valid_keys)) + 50_000)
    with pytest.raises(RunError, match="as many rows in valid"):
        group_softmax(replace(found, valid_keys=alone), 0)


@pytest.mark.parametrize("kind", ["none", "two", "alone"])
def test_oof_without_a_single_positive_a_user_is_refused(kind):
    found, _ = made(9)
    label, keys = found.oof.label.copy(), found.oof.keys
    if kind == "alone":
        keys = replace(keys, user_id=np.arange(len(label)))
    else:
        label[: len(label) // 4] = int(kind == "two")
    with pytest.raises(RunError, match="one positive among several rows") as caught:
        group_softmax(replace(found, oof=replace(found.oof, label=label, keys=keys)), 0)
    assert "\n" not in str(caught.value)


def test_without_oof_there_is_nothing_to_fit_a_temperature_on():
    with pytest.raises(RunError, match="fits its temperature on OOF"):
        group_softmax(replace(made(10)[0], oof=None), 0)
