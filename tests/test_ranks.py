import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from mmctr_kit.ranks import midranks, number_ids, twice_below


@given(st.lists(st.integers(-3, 3), min_size=1, max_size=30))
def test_midranks_share_the_mean_of_tied_ranks(values):
    x = np.array(values, dtype=np.float64)
    np.testing.assert_array_equal(midranks(x), stats.rankdata(x))


@pytest.mark.parametrize("spread", [1, 2**50])
def test_ids_are_numbered_in_their_order_without_gaps(spread):
    ids = np.array([5, -3, 5, 900, -3, 0], dtype=np.int64) * spread
    np.testing.assert_array_equal(number_ids(ids), [2, 0, 2, 3, 0, 1])
    assert len(number_ids(ids[:0])) == 0


def test_twice_below_counts_ties_once():
    found = twice_below(np.array([1.0, 2.0, 2.0, 3.0]), np.array([0.0, 2.0, 4.0]))
    np.testing.assert_array_equal(found, [0, 4, 8])
