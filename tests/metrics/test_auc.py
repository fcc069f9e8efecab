import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from mmctr_kit.metrics.auc import (
    AucSample,
    auc,
    auc_difference,
    auc_with_se,
    logloss_with_se,
    mean_fold_auc,
    rank_correlation,
    tied_share,
)
from mmctr_kit.metrics.estimate import Estimate
from tests.studies.auc_bootstrap import compare


def clustered(seed, users=40, ties=True):
    """Rows of users of 1 to 6 rows, whose scores share a user effect; two correlated scores."""
    rng = np.random.default_rng(seed)
    user = np.repeat(rng.permutation(10 * users)[:users] - 5, rng.integers(1, 7, users))
    label = (rng.random(len(user)) < 0.35).astype(np.int64)
    label[:2] = [0, 1]
    effect = rng.normal(size=10 * users)[user + 5]
    a = label + effect + rng.normal(size=len(user))
    b = a + 0.7 * rng.normal(size=len(user))
    if ties:
        a, b = np.round(a), np.round(b)
    order = rng.permutation(len(user))
    return label[order], a[order], b[order], user[order]


def psi(label, score):
    """(positives, negatives): 1 where the positive lies above, 1/2 where they tie."""
    gap = score[label == 1][:, None] - score[label == 0][None, :]
    return (gap > 0) + 0.5 * (gap == 0)


def obuchowski_covariance(label, a, b, user):
    """Obuchowski (1997), equations for S10, S01, S11, written out user by user."""
    up, un = user[label == 1], user[label == 0]
    m, n, users = len(up), len(un), np.unique(user)
    v10, v01, area = {}, {}, {}
    for key, score in (("a", a), ("b", b)):
        p = psi(label, score)
        v10[key], v01[key], area[key] = p.mean(axis=1), p.mean(axis=0), p.mean()
    i10, i01, i = len(set(up)), len(set(un)), len(users)
    s10 = s01 = s11 = s11_swapped = 0.0
    for u in users:
        pos = {k: v10[k][up == u].sum() - (up == u).sum() * area[k] for k in "ab"}
        neg = {k: v01[k][un == u].sum() - (un == u).sum() * area[k] for k in "ab"}
        s10 += i10 / ((i10 - 1) * m) * pos["a"] * pos["b"]
        s01 += i01 / ((i01 - 1) * n) * neg["a"] * neg["b"]
        s11 += i / (i - 1) * pos["a"] * neg["b"]
        s11_swapped += i / (i - 1) * pos["b"] * neg["a"]
    return s10 / m + s01 / n + (s11 + s11_swapped) / (m * n)


@given(
    st.lists(st.tuples(st.booleans(), st.integers(-4, 4)), min_size=2, max_size=40).filter(
        lambda rows: len({y for y, _ in rows}) == 2
    )
)
def test_auc_counts_every_pair_and_ties_as_half(rows):
    label = np.array([y for y, _ in rows])
    score = np.array([s for _, s in rows], dtype=np.float64)
    assert auc(label, score) == pytest.approx(psi(label.astype(int), score).mean(), abs=1e-15)
    assert auc(label, score) + auc(label, -score) == pytest.approx(1.0, abs=1e-15)


def test_auc_takes_labels_of_any_integer_or_bool_dtype_and_infinite_scores():
    label, score, _, _ = clustered(0)
    score[3] = -np.inf
    wanted = psi(label, score).mean()
    for dtype in (np.bool_, np.int8, np.uint8, np.int64):
        assert auc(label.astype(dtype), score) == pytest.approx(wanted, abs=1e-15)


@pytest.mark.parametrize(
    ("label", "score", "message"),
    [
        ([1, 1], [0.0, 1.0], "both classes"),
        ([0, 0], [0.0, 1.0], "both classes"),
        ([0, 1], [0.0, math.nan], "NaN"),
        ([0, 2], [0.0, 1.0], "0 or 1"),
        ([0, 1], [0.0, 1.0, 2.0], "shape"),
    ],
)
def test_auc_refuses_what_it_cannot_rank(label, score, message):
    with pytest.raises(ValueError, match=message):
        auc(np.array(label), np.array(score))
    if message != "shape":
        with pytest.raises(ValueError, match=message):
            auc_with_se(np.array(label), np.array(score), np.array([1, 2]))


@pytest.mark.parametrize("ties", [True, False])
@pytest.mark.parametrize("seed", range(4))
def test_the_error_is_obuchowskis_formula_and_the_difference_its_paired_form(seed, ties):
    label, a, b, user = clustered(seed, ties=ties)
    found = auc_with_se(label, a, user)
    assert found.value == pytest.approx(psi(label, a).mean(), abs=1e-14)
    assert found.se**2 == pytest.approx(obuchowski_covariance(label, a, a, user), rel=1e-10)
    assert found.n == len(label)
    paired = (
        obuchowski_covariance(label, a, a, user)
        + obuchowski_covariance(label, b, b, user)
        - 2 * obuchowski_covariance(label, a, b, user)
    )
    difference = auc_difference(label, a, b, user)
    assert difference.value == pytest.approx(auc(label, a) - auc(label, b), abs=1e-14)
    assert difference.se**2 == pytest.approx(paired, rel=1e-8)


def test_with_one_row_a_cluster_the_error_is_delongs():
    label, a, _, _ = clustered(5)
    p = psi(label, a)
    delong = (
        np.var(p.mean(axis=1), ddof=1) / p.shape[0] + np.var(p.mean(axis=0), ddof=1) / (p.shape[1])
    )
    found = auc_with_se(label, a, np.arange(len(label)))
    assert found.se**2 == pytest.approx(delong, rel=1e-12)


def test_the_clustered_error_covers_the_truth_where_the_unclustered_does_not():
    rng = np.random.default_rng(11)
    covered = {"clustered": 0, "rows": 0, "paired": 0}
    replicates, users, per = 300, 80, 8
    user = np.repeat(np.arange(users), per)
    # Label and score share a user effect, so rows of a user say the same thing over again.
    effect_truth = rng.normal(size=400_000)
    label_truth = rng.random(400_000) < 1 / (1 + np.exp(-1.5 * effect_truth))
    truth = auc(label_truth, 1.5 * effect_truth + rng.normal(size=400_000))
    for _ in range(replicates):
        effect = np.repeat(rng.normal(size=users), per)
        label = rng.random(users * per) < 1 / (1 + np.exp(-1.5 * effect))
        base = 1.5 * effect
        a, b = base + rng.normal(size=len(user)), base + rng.normal(size=len(user))
        one, rows = auc_with_se(label, a, user), auc_with_se(label, a, np.arange(len(user)))
        covered["clustered"] += abs(one.z(truth)) < 1.96
        covered["rows"] += abs(rows.z(truth)) < 1.96
        covered["paired"] += abs(auc_difference(label, a, b, user).z(0.0)) < 1.96
    assert 0.91 < covered["clustered"] / replicates < 0.98
    assert 0.91 < covered["paired"] / replicates < 0.98
    assert covered["rows"] / replicates < 0.9


def test_an_error_that_one_user_alone_decides_is_nan():
    label, score = np.array([1, 1, 0, 0]), np.array([1.0, 3.0, 2.0, 0.0])
    assert math.isnan(auc_with_se(label, score, np.array([7, 7, 8, 9])).se)


def test_a_score_against_itself_differs_by_nothing():
    label, a, _, user = clustered(1)
    assert auc_difference(label, a, a, user) == Estimate(0.0, 0.0, len(label))


def test_mean_fold_auc_ranks_within_folds_only_and_adds_their_variances():
    label, a, b, user = clustered(2, users=90)
    fold = (user % 3).astype(np.int16)
    parts = [auc_with_se(label[fold == f], a[fold == f], user[fold == f]) for f in range(3)]
    found = mean_fold_auc(label, a, fold, user)
    assert found.value == pytest.approx(np.mean([p.value for p in parts]), abs=1e-14)
    assert found.se == pytest.approx(math.sqrt(sum(p.se**2 for p in parts)) / 3, rel=1e-12)
    moved = mean_fold_auc(label, a + 100.0 * fold, fold, user)
    assert moved.value == pytest.approx(found.value, abs=1e-14)
    gaps = [
        auc_difference(label[fold == f], a[fold == f], b[fold == f], user[fold == f])
        for f in range(3)
    ]
    difference = auc_difference(label, a, b, user, fold)
    assert difference.value == pytest.approx(np.mean([g.value for g in gaps]), abs=1e-14)
    assert difference.se == pytest.approx(math.sqrt(sum(g.se**2 for g in gaps)) / 3)


def test_a_fold_without_positives_is_named():
    with pytest.raises(ValueError, match="in fold 4"):
        mean_fold_auc(
            np.array([0, 1, 0, 0]), np.arange(4.0), np.array([1, 1, 4, 4]), np.array([1, 2, 3, 4])
        )


def test_one_influence_a_score_serves_all_comparisons():
    label, a, b, user = clustered(3)
    sample = AucSample(label, user)
    x, y = sample.influence(a), sample.influence(b)
    assert sample.estimate(x) == auc_with_se(label, a, user)
    assert sample.difference(x, y) == auc_difference(label, a, b, user)


def test_far_apart_ids_and_row_order_change_nothing():
    label, a, _, user = clustered(4)
    far = user.astype(np.int64) * (2**55 // 400)
    order = np.random.default_rng(0).permutation(len(user))
    here, there = (
        auc_with_se(label, a, user),
        auc_with_se(label[order], a[order], far[order]),
    )
    assert (there.value, there.n) == (here.value, here.n)
    assert there.se == pytest.approx(here.se, rel=1e-12)


def test_logloss_is_exact_where_a_sigmoid_saturates():
    label = np.array([1, 0, 1, 0])
    logits = np.array([800.0, -50.0, -700.0, 40.0])
    found = logloss_with_se(label, logits, np.arange(4))
    assert found.value == pytest.approx((0.0 + np.exp(-50.0) + 700.0 + 40.0) / 4, rel=1e-12)


def test_the_error_of_logloss_is_clustered():
    label, a, _, user = clustered(7)
    p = 1 / (1 + np.exp(-a))
    loss = -np.where(label == 1, np.log(p), np.log(1 - p))
    rows = logloss_with_se(label, a, np.arange(len(label)))
    assert rows.value == pytest.approx(loss.mean(), rel=1e-12)
    assert rows.se == pytest.approx(loss.std(ddof=1) / math.sqrt(len(loss)), rel=1e-12)
    doubled = logloss_with_se(np.r_[label, label], np.r_[a, a], np.r_[user, user])
    once = logloss_with_se(label, a, user)
    assert doubled.se == pytest.approx(once.se, rel=1e-12)
    paired, b = logloss_with_se(label, a, user, 0.5 * a), logloss_with_se(label, 0.5 * a, user)
    assert paired.value == pytest.approx(once.value - b.value, abs=1e-14)
    assert paired.se < math.hypot(once.se, b.se)
    assert logloss_with_se(label, a, user, a).signed() == "+0.0000 ± 0"
    with pytest.raises(ValueError, match="finite"):
        logloss_with_se(np.array([0, 1]), np.array([0.0, np.inf]), np.arange(2))


def test_tied_share_counts_the_rows_that_share_their_score():
    assert tied_share(np.array([3.0, 1.0, 2.0, 1.0, 1.0])) == pytest.approx(0.6)
    assert tied_share(np.arange(5.0)) == 0.0
    assert tied_share(np.zeros(0)) == 0.0
    assert tied_share(np.array([0.0, -0.0])) == 1.0


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), min_size=3, max_size=30))
def test_rank_correlation_is_spearmans(pairs):
    a, b = np.array(pairs, dtype=np.float64).T
    if len(set(a)) == 1 or len(set(b)) == 1:
        assert math.isnan(rank_correlation(a, b))
    else:
        wanted = stats.spearmanr(a, b).statistic
        assert rank_correlation(a, b) == pytest.approx(wanted, abs=1e-12)


def test_correlations_are_those_of_the_paired_estimates():
    """By polarisation: the variance of a sum less that of a difference is 4 covariances."""
    rng = np.random.default_rng(0)
    user = np.repeat(np.arange(60), 5)
    label, fold = (rng.random(300) < 0.3).astype(np.int64), user % 2
    sample = AucSample(label, user, fold)
    a, b, c = (sample.influence(label + rng.normal(size=300)) for _ in range(3))
    x, y = a.less(c), b.less(c)
    less = sample.estimate(x.less(y)).se ** 2
    own = [sample.estimate(part).se for part in (x, y)]
    wanted = (own[0] ** 2 + own[1] ** 2 - less) / (2.0 * own[0] * own[1])
    np.testing.assert_allclose(sample.correlations([x, y]), [[1.0, wanted], [wanted, 1.0]])


@pytest.mark.parametrize("users", [20, 60])
def test_standard_errors_are_those_of_a_bootstrap_of_users(users):
    rng = np.random.default_rng(users)
    each = np.array([compare(rng, users, 300) for _ in range(12)])
    assert np.abs(np.log(np.median(each[:, :2], axis=0))).max() < 0.1
    assert np.abs(np.log(each[:, :2])).max() < 0.4
    assert each[:, 2].max() < 1e-15


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_rows_that_are_all_ranked_right_or_wrong_show_no_standard_error(sign):
    label, _, _, user = clustered(4)
    found = auc_with_se(label, sign * label, user)
    assert found.value == (sign + 1) / 2
    assert str(found).endswith("± n/a")
    equal = auc_difference(label, sign * label, 2 * sign * label, user)
    assert equal.signed() == "+0.0000 ± 0"


def test_users_whose_influences_happen_to_cancel_tell_no_standard_error():
    label = np.array([0, 0, 0, 1, 1, 0, 1, 1])
    score = np.array([-0.73, -1.9, 0.2, 0.78, 2.36, 2.13, 0.21, -0.99])
    user = np.array([0, 0, 1, 0, 1, 0, 1, 1])
    assert str(auc_with_se(label, score, user)) == "0.6875 ± n/a"
    assert auc_with_se(label, np.zeros(8), user).se == 0.0  # ties whatever users are drawn


def test_many_users_whose_influences_cancel_by_design_have_a_standard_error_of_0():
    of_user = np.random.default_rng(0).normal(size=200)
    label, score, user = np.tile([1, 0, 0, 0], 200), np.repeat(of_user, 4), np.repeat(range(200), 4)
    assert str(auc_with_se(label, score, user)) == "0.5000 ± 0"
    assert str(auc_with_se(label[:24], score[:24], user[:24])) == "0.5000 ± n/a"


@given(st.integers(0, 10_000))
def test_a_variance_is_never_below_0_nor_a_standard_error_a_shown_0_by_rounding(seed):
    rng = np.random.default_rng(seed)
    user = rng.integers(0, 4, 10)
    label = np.array([0, 1, *rng.integers(0, 2, 8)])
    score = np.round(label + rng.normal(size=10), rng.integers(0, 3))
    sample = AucSample(label, user)
    of = sample.influence(score)
    squares = sum(float(x @ x) for side in (of.positive, of.negative) for x in side)
    se = sample.estimate(of).se
    assert np.isnan(se) or (se == 0.0 if squares < 1e-18 else se > 1e-6)
