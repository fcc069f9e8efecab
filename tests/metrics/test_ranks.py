import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from mmctr_kit.metrics.ranks import (
    count_below_x2,
    count_below_x2_both,
    midranks,
    number_ids,
    order_of,
    order_within,
    whole_numbers,
)


def near(base: float, steps: int) -> float:
    """The float so many representable ones above ``base`` (below it where ``base`` is negative)."""
    return float((np.array([base]).view(np.int64) + steps).view(np.float64)[0])


NEIGHBOURS = st.builds(near, st.sampled_from([1.0, -1.0, 0.1, 5e-320, -5e-320]), st.integers(0, 90))
"""Values that often differ in their last bits alone, and are often equal."""
FLOATS = st.floats(allow_nan=False) | st.sampled_from([0.0, -0.0]) | NEIGHBOURS


@given(st.lists(FLOATS, max_size=40))
def test_the_order_is_that_of_a_stable_argsort(values):
    x = np.array(values, dtype=np.float64)
    np.testing.assert_array_equal(order_of(x), np.argsort(x, kind="stable"))


def test_many_neighbours_among_many_rows_come_in_order():
    random = np.random.default_rng(0)
    x = np.array([near(1.0, int(k)) for k in random.integers(0, 1 << 18, 20_000)])
    x[::2] *= -1
    before = x.copy()
    np.testing.assert_array_equal(order_of(x), np.argsort(x, kind="stable"))
    np.testing.assert_array_equal(x, before)


@given(st.lists(st.tuples(st.integers(0, 3), FLOATS), max_size=40))
def test_within_groups_the_order_is_a_stable_lexsort(rows):
    group = number_ids(np.array([g for g, _ in rows], dtype=np.int64))
    x = np.array([v for _, v in rows], dtype=np.float64)
    np.testing.assert_array_equal(order_within(group, x), np.lexsort((x, group)))


@given(st.lists(FLOATS, max_size=20), st.lists(FLOATS, max_size=20))
def test_rows_below_are_counted_pair_by_pair(low, high):
    a, b = np.sort(np.array(low, dtype=np.float64)), np.sort(np.array(high, dtype=np.float64))
    below, beneath = count_below_x2_both(a, b)
    wanted = 2 * (a[None, :] < b[:, None]).sum(1) + (a[None, :] == b[:, None]).sum(1)
    np.testing.assert_array_equal(below, wanted)
    np.testing.assert_array_equal(count_below_x2(a, b), wanted)
    np.testing.assert_array_equal(beneath, count_below_x2(b, a))


@given(st.lists(st.integers(-3, 3), min_size=1, max_size=30))
def test_midranks_share_the_mean_of_tied_ranks(values):
    x = np.array(values, dtype=np.float64)
    np.testing.assert_array_equal(midranks(x), stats.rankdata(x))


@pytest.mark.parametrize("spread", [1, 2**50])
def test_ids_are_numbered_in_their_order_without_gaps(spread):
    ids = np.array([5, -3, 5, 900, -3, 0], dtype=np.int64) * spread
    np.testing.assert_array_equal(number_ids(ids), [2, 0, 2, 3, 0, 1])
    assert len(number_ids(ids[:0])) == 0


def test_count_below_x2_counts_ties_once():
    found = count_below_x2(np.array([1.0, 2.0, 2.0, 3.0]), np.array([0.0, 2.0, 4.0]))
    np.testing.assert_array_equal(found, [0, 4, 8])


@pytest.mark.parametrize(("kind", "digits"), [("f8", 53), ("f4", 24), ("f2", 11)])
def test_whole_floats_are_read_up_to_the_first_that_another_number_rounds_to(kind, digits):
    values = np.array([2**digits - 2, 2**digits - 1, 2**digits, 2**digits + 1], kind)
    assert values[2] == values[3]
    assert whole_numbers(values[:2]).tolist() == [2**digits - 2, 2**digits - 1]
    for refused in (values[1:3], -values[2:], np.array([np.nan], kind), np.array([0.5], kind)):
        with pytest.raises(ValueError, match=r"different ids would be one|fractions"):
            whole_numbers(refused)


def test_whole_numbers_keep_every_digit_of_64_bits():
    for kind, most in ((np.int64, 2**63 - 1), (np.uint64, 2**63 - 1), (np.uint8, 255)):
        assert whole_numbers(np.array([0, most], kind)).tolist() == [0, most]
    with pytest.raises(ValueError, match="beyond int64"):
        whole_numbers(np.array([2**63], np.uint64))
