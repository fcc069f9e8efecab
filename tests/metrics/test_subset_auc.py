"""mmctr_kit.metrics.subset_auc: the AUC of some rows beside that of the others."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from mmctr_kit.metrics.auc import auc, auc_with_se, mean_fold_auc
from mmctr_kit.metrics.subset_auc import RankedRows

Arrays = tuple[NDArray[np.int8], NDArray[np.float64], NDArray[np.int64]]


def sample(rng: np.random.Generator, users: int, rows: int = 4) -> Arrays:
    """Labels, tied scores that share a part by user, and users."""
    user = np.repeat(np.arange(users), rows)
    label = (rng.random(len(user)) < 0.4).astype(np.int8)
    score = label + rng.standard_normal(users)[user] + rng.standard_normal(len(user))
    return label, np.round(score, 1), user


def by_pairs(
    label: NDArray[np.int8],
    score: NDArray[np.float64],
    fold: NDArray[np.int64],
    inside: NDArray[np.bool_],
) -> float | None:
    """The definition: wins over pairs of one fold."""
    won, pairs = 0.0, 0
    for i in np.flatnonzero(inside & (label == 1)):
        for j in np.flatnonzero(inside & (label == 0) & (fold == fold[i])):
            won += float(score[i] > score[j]) + 0.5 * float(score[i] == score[j])
            pairs += 1
    return won / pairs if pairs else None


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), folds=st.integers(1, 3), users=st.integers(1, 9))
def test_the_auc_is_that_of_the_pairs_within_one_fold_on_either_side(
    seed: int, folds: int, users: int
) -> None:
    rng = np.random.default_rng(seed)
    label, score, user = sample(rng, users)
    fold = user % folds * 7 - 3
    inside = rng.random(len(label)) < 0.5
    found = RankedRows(label, score, user, fold).contrast(inside)
    for estimate, rows in ((found.chosen, inside), (found.rest, ~inside)):
        expected = by_pairs(label, score, fold, rows)
        assert (estimate is None) == (expected is None)
        if estimate is not None:
            assert estimate.value == pytest.approx(expected, abs=1e-12)
            assert estimate.n == rows.sum()


def test_in_one_fold_value_and_error_are_those_of_the_slice_alone() -> None:
    label, score, user = sample(np.random.default_rng(0), 200)
    inside = np.arange(len(label)) % 3 == 0
    found = RankedRows(label, score, user).contrast(inside)
    for estimate, rows in ((found.chosen, inside), (found.rest, ~inside)):
        assert estimate is not None
        expected = auc_with_se(label[rows], score[rows], user[rows])
        assert estimate.value == pytest.approx(expected.value, abs=1e-12)
        assert estimate.se == pytest.approx(expected.se, rel=1e-9)


def test_over_folds_it_is_near_the_mean_fold_auc_with_its_error() -> None:
    label, score, user = sample(np.random.default_rng(1), 3000)
    fold = user % 3
    everything = np.ones(len(label), np.bool_)
    found = RankedRows(label, score, user, fold).contrast(everything)
    expected = mean_fold_auc(label, score, fold, user)
    assert found.chosen is not None
    assert found.chosen.value == pytest.approx(expected.value, abs=expected.se / 10)
    assert found.chosen.se == pytest.approx(expected.se, rel=0.02)
    assert (found.rest, found.gap) == (None, None)


def test_folds_on_another_scale_change_nothing() -> None:
    label, score, user = sample(np.random.default_rng(2), 100)
    fold = user % 2
    inside = np.arange(len(label)) % 2 == 0
    ranked = RankedRows(label, score, user, fold).contrast(inside)
    assert RankedRows(label, score + 100 * fold, user, fold).contrast(inside) == ranked


def test_the_error_of_the_gap_is_what_the_gap_scatters_by_where_users_are_on_both_sides() -> None:
    rng = np.random.default_rng(3)
    gaps, errors, apart = [], [], []
    for _ in range(300):
        label, _, user = sample(rng, 60, rows=8)
        # Users differ in how well they are ranked: what is in the slice tells of the rest.
        skill = np.where(rng.random(60) < 0.5, 3.0, -2.0)
        score = label * skill[user] + rng.standard_normal(len(user))
        found = RankedRows(label, score, user).contrast(np.arange(len(label)) % 2 == 0)
        assert found.gap is not None
        assert found.chosen is not None
        assert found.rest is not None
        gaps.append(found.gap.value)
        errors.append(found.gap.se)
        apart.append(math.hypot(found.chosen.se, found.rest.se))
    scatter = float(np.std(gaps))
    assert float(np.mean(errors)) == pytest.approx(scatter, rel=0.12)
    assert float(np.mean(apart)) > 1.2 * scatter


def test_one_positive_a_fold_leaves_an_error_that_is_not_near_nothing() -> None:
    rng = np.random.default_rng(4)
    fold = np.repeat(np.arange(5), 40)
    label = np.tile(np.r_[1, np.zeros(39)], 5).astype(np.int8)
    values, errors = [], []
    for _ in range(200):
        found = RankedRows(label, rng.standard_normal(200) + label, np.arange(200), fold)
        whole = found.contrast(np.ones(200, np.bool_)).chosen
        assert whole is not None
        values.append(whole.value)
        errors.append(whole.se)
    assert float(np.mean(errors)) == pytest.approx(float(np.std(values)), rel=0.2)


def test_one_label_has_no_auc_and_one_user_no_error() -> None:
    label = np.array([1, 1, 0, 1, 0, 0], np.int8)
    score = np.arange(6.0)
    user = np.array([0, 0, 1, 1, 2, 3])
    found = RankedRows(label, score, user).contrast(np.array([1, 1, 0, 0, 0, 0], np.bool_))
    assert found.chosen is None
    assert found.rest is not None
    assert math.isnan(found.rest.se)
    assert found.gap is None
    alone = RankedRows(label, score, np.zeros(6, np.int64)).contrast(label == label)
    assert alone.chosen is not None
    assert alone.chosen.value == auc(label, score)
    assert math.isnan(alone.chosen.se)
    assert alone.positive_clusters == alone.negative_clusters == 1


def test_rows_of_a_fold_without_a_pair_count_for_nothing() -> None:
    label, score, user = sample(np.random.default_rng(5), 20)
    inside = np.ones(len(label), np.bool_)
    plain = RankedRows(label, score, user).contrast(inside)
    more = RankedRows(
        np.append(label, [1, 1]),
        np.append(score, [9.0, 8.0]),
        np.append(user, [100, 101]),
        np.append(np.zeros(len(user), np.int64), [1, 1]),
    ).contrast(np.append(inside, [True, True]))
    assert more.positive_clusters == plain.positive_clusters
    assert plain.chosen is not None
    assert more.chosen is not None
    assert more.chosen.value == plain.chosen.value
    assert more.chosen.se == pytest.approx(plain.chosen.se, rel=1e-12)


def test_a_handful_of_rows_never_shows_a_gap_that_is_certain_by_chance() -> None:
    label = np.array([0, 0, 0, 1, 1, 0, 1, 1])
    score = np.array([-0.73, -1.9, 0.2, 0.78, 2.36, 2.13, 0.21, -0.99])
    user = np.array([0, 0, 1, 0, 1, 0, 1, 1])
    both = [np.concatenate([x, y]) for x, y in ((label, label), (score, score), (user, user + 2))]
    part = RankedRows(*both).contrast(np.arange(16) < 8)
    assert part.chosen is not None
    assert part.gap is not None
    assert (part.chosen.compact(), part.gap.signed()) == ("0.6875 ± n/a", "+0.0000 ± n/a")
