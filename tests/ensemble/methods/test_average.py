import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from mmctr_kit.ensemble.methods.average import (
    RankMean,
    WeightedMean,
    logit_of_rank,
    mean_without_oof,
    rank_without_oof,
)
from mmctr_kit.metrics.auc import rank_correlation, tied_share

ROWS = 9000


def oof(seed=0, runs=2):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(runs, ROWS)), rng.integers(0, 2, ROWS).astype(np.int16)


def test_a_weighted_mean_is_one():
    logits = np.array([[1.0, 2.0], [3.0, -4.0]])
    np.testing.assert_allclose(WeightedMean(np.array([0.25, 0.75])).apply(logits), [2.5, -2.5])
    np.testing.assert_allclose(WeightedMean.equal(2).apply(logits), [2.0, -1.0])


def test_the_mean_rank_of_oof_is_that_of_each_folds_own_ranks():
    logits, fold = oof()
    wanted = np.empty(ROWS)
    for f in (0, 1):
        inside = fold == f
        ranks = [(stats.rankdata(x[inside]) - 0.5) / inside.sum() for x in logits]
        wanted[inside] = np.mean(ranks, axis=0)
    found = 1 / (1 + np.exp(-RankMean.fit(logits, fold).apply(logits, fold)))
    np.testing.assert_allclose(found, wanted, atol=5e-4)  # knots, not every row, carry the curve


def test_a_row_gets_the_same_rank_whatever_rows_stand_beside_it():
    logits, fold = oof()
    ranks = RankMean.fit(logits, fold)
    all_rows = ranks.apply(logits, fold)
    np.testing.assert_array_equal(ranks.apply(logits[:, 5:9], fold[5:9]), all_rows[5:9])


def test_a_fold_models_scale_does_not_matter_to_ranks():
    logits, fold = oof()
    shifted = np.where(fold == 1, 40.0 + 9.0 * logits, logits)
    np.testing.assert_allclose(
        RankMean.fit(shifted, fold).apply(shifted, fold),
        RankMean.fit(logits, fold).apply(logits, fold),
        atol=1e-6,
    )


@given(st.integers(0, 10), st.sampled_from([1.0, 50.0, 1e6]))
def test_one_runs_ranks_rise_strictly_inside_and_beyond_what_oof_has_seen(seed, reach):
    rng = np.random.default_rng(seed)
    seen = np.round(rng.normal(size=300), 1)  # with ties
    new = np.unique(rng.normal(size=200) * reach)
    out = RankMean.fit(seen[None], np.zeros(300, dtype=np.int16)).apply(
        new[None], np.zeros(len(new), dtype=np.int16)
    )
    assert np.isfinite(out).all()
    assert (np.diff(out) > 0).all()


def test_a_constant_run_has_the_middle_rank():
    constant = np.full((1, 50), 3.0)
    fold = np.zeros(50, dtype=np.int16)
    np.testing.assert_allclose(RankMean.fit(constant, fold).apply(constant, fold), 0.0, atol=1e-12)


def test_a_logit_of_a_rank_is_finite_at_the_ends():
    out = logit_of_rank(np.array([0.0, 0.5, 1.0]))
    assert np.isfinite(out).all()
    assert out[1] == 0.0


def test_without_oof_runs_count_alike_whatever_their_scale():
    rng = np.random.default_rng(3)
    valid = rng.normal(size=(2, 3, 400))
    scaled = valid * np.array([1.0, 500.0])[:, None, None] + np.array([0.0, 9.0])[:, None, None]
    even, uneven = mean_without_oof(valid, valid), mean_without_oof(scaled, scaled)
    assert even.shape == (3, 400)
    assert rank_correlation(even[0], uneven[0]) > 0.999
    # One run alone comes back as it was.
    np.testing.assert_allclose(mean_without_oof(valid[:1], valid[:1]), valid[0], atol=1e-12)


def test_without_oof_ranks_are_taken_within_the_set_itself():
    logits = np.array([[[1.0, 5.0, 3.0, 3.0]]])
    out = 1 / (1 + np.exp(-rank_without_oof(logits)))
    np.testing.assert_allclose(out, [[0.125, 0.875, 0.5, 0.5]], atol=0.5 / 4)
    assert out[0, 2] == out[0, 3]
    rng = np.random.default_rng(0)
    many = rng.normal(size=(2, 1, 1000)) * np.array([1.0, 700.0])[:, None, None]
    out = 1 / (1 + np.exp(-rank_without_oof(many)))
    wanted = np.mean([stats.rankdata(x[0]) for x in many], axis=0) / 1000
    np.testing.assert_allclose(out[0], wanted, atol=1 / 1000)


def test_continuous_logits_are_not_tied_by_ranking():
    logits, fold = oof()
    assert tied_share(RankMean.fit(logits, fold).apply(logits, fold)) == 0.0
    assert tied_share(rank_without_oof(logits[:, None])[0]) == 0.0
