import numpy as np
import pytest
from scipy import stats

from mmctr_kit.submission.checks.local_agreement import same_but_for, unit_ranks, weak_segment

RNG = np.random.default_rng(4)
N = 8_000
A = unit_ranks(RNG.normal(size=N))
B = unit_ranks(A + 0.01 * RNG.normal(size=N))


def test_products_of_unit_ranks_are_rank_correlations() -> None:
    assert float(A @ B) == pytest.approx(stats.spearmanr(A, B)[0])
    assert np.isnan(unit_ranks(np.ones(5))).all()
    assert np.isnan(unit_ranks(np.array([1.0, np.nan]))).all()


def test_what_agrees_evenly_has_no_weak_segment() -> None:
    assert weak_segment(A, B) is None
    assert weak_segment(A, -B) is None
    assert weak_segment(A, unit_ranks(RNG.normal(size=N))) is None


def test_a_weak_segment_is_found_where_it_lies_with_both_correlations() -> None:
    mixed = np.r_[A[:2_000], RNG.permutation(A[2_000:4_000]), A[4_000:]]
    found = weak_segment(unit_ranks(mixed), B)
    assert found is not None
    assert (found.first, found.last, found.share) == (2_000, 3_999, 0.75)
    assert found.elsewhere == pytest.approx(float(A @ B), abs=0.05)
    assert abs(found.here) < 0.1


def test_few_rows_have_no_segments() -> None:
    a, b = A[:900], np.r_[A[:450], RNG.permutation(A[450:900])]
    assert weak_segment(unit_ranks(a), unit_ranks(b)) is None
    assert same_but_for(unit_ranks(a), unit_ranks(b)) is None


def test_a_segment_of_one_value_agrees_with_nothing() -> None:
    flat = A.copy()
    flat[:1_000] = 0.0
    found = weak_segment(unit_ranks(flat), A)
    assert found is not None
    assert (found.first, found.last, found.here) == (0, 999, 0.0)


def test_the_same_ranks_everywhere_or_nowhere_are_not_the_same_in_part() -> None:
    assert same_but_for(A, A) is None
    assert same_but_for(A, B) is None
    assert same_but_for(A, unit_ranks(RNG.permutation(A))) is None
