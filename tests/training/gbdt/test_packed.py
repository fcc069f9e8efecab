"""mmctr_kit.training.gbdt.packed: packed histories, and values pooled over each history."""

from itertools import pairwise
from math import nan

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from mmctr_kit.data.dataset import Examples
from mmctr_kit.training.gbdt.packed import Packed, ratio
from tests.training.gbdt.loops import largest, mean, recent, top3
from tests.training.gbdt.worlds import World, examples_of, in_memory, worlds

HALF_LIFE = 2.0
Values = list[list[float]]
"""A value for each position of each row, oldest first."""


def packed_of(rows: Values) -> tuple[Packed, NDArray[np.float32]]:
    """Packed rows with one position for each value, and the values as one array. A position's item
    is the position's index."""
    lengths = np.array([len(values) for values in rows], np.int64)
    end, level = np.cumsum(lengths), np.ones(len(rows), np.int8)
    row = np.repeat(np.arange(len(rows)), lengths)
    item = np.arange(len(row))
    users = np.arange(len(rows))
    examples = Examples(users, np.ones(len(rows), np.int32), level, level, end - lengths, end, None)
    values = np.array([v for values in rows for v in values], np.float32)
    return Packed(examples, item, row, end[row] - 1 - item, HALF_LIFE), values


rows_of_values = st.lists(st.lists(st.sampled_from([-1.5, 0.0, 0.25, 1.0, 3.0]), max_size=5))


def assert_rows(actual: NDArray[np.floating], expected: list[float]) -> None:
    assert actual.dtype == np.float32
    np.testing.assert_allclose(actual, np.array(expected), rtol=1e-5, atol=1e-6)


@settings(max_examples=25)
@given(worlds(), st.integers(1, 7))
def test_positions_are_the_newest_items_of_each_row_and_the_newest_has_age_zero(
    world: World, max_history: int
) -> None:
    data = in_memory(world)
    for split, examples in examples_of(data, max_history).items():
        packed = Packed.of(data, examples, HALF_LIFE)
        shown = [row.history[-max_history:] for row in world.rows[split]]
        assert packed.target.tolist() == [row.target for row in world.rows[split]]
        assert packed.length.tolist() == [len(history) for history in shown]
        assert packed.item.tolist() == [item for history in shown for item in history]
        assert packed.row.tolist() == [row for row, h in enumerate(shown) for _ in h]
        assert packed.age.tolist() == [age for h in shown for age in reversed(range(len(h)))]


def test_a_position_weighs_half_of_one_a_half_life_newer() -> None:
    packed, _ = packed_of([[0.0] * 5])
    assert packed.weight.tolist() == [0.25, np.float32(2**-1.5), 0.5, np.float32(2**-0.5), 1.0]


@settings(max_examples=25)
@given(rows_of_values)
def test_rows_are_pooled_by_their_largest_mean_recent_and_three_largest_values(
    rows: Values,
) -> None:
    packed, values = packed_of(rows)
    actual = packed.pool("x", values)
    assert_rows(actual["x_max"], [largest(row) for row in rows])
    assert_rows(actual["x_mean"], [mean(row) for row in rows])
    assert_rows(actual["x_recent"], [recent(row, HALF_LIFE) for row in rows])
    assert_rows(actual["x_top3"], [top3(row) for row in rows])
    assert list(packed.pool("x", values, ("top3", "max"))) == ["x_top3", "x_max"]


@settings(max_examples=25)
@given(rows_of_values)
def test_the_last_value_is_the_newest_positions(rows: Values) -> None:
    packed, values = packed_of(rows)
    assert_rows(packed.last(values), [row[-1] if row else nan for row in rows])


@settings(max_examples=25)
@given(rows_of_values)
def test_chosen_positions_are_counted_and_the_newest_of_them_is_the_last(rows: Values) -> None:
    packed, values = packed_of(rows)
    chosen = values > 0
    picked = [[v > 0 for v in row] for row in rows]
    assert_rows(packed.count(chosen), [sum(row) for row in picked])
    assert_rows(packed.share(chosen), [mean(row) for row in picked])
    ages = [row[::-1].index(True) if any(row) else nan for row in picked]
    assert_rows(packed.newest(chosen), ages)


@settings(max_examples=25)
@given(st.lists(st.lists(st.sampled_from([nan, 0.0, 1.0, 4.0]), max_size=5)))
def test_a_mean_is_of_the_values_that_are_known(rows: Values) -> None:
    packed, values = packed_of(rows)
    assert_rows(packed.mean(values), [mean([v for v in row if v == v]) for row in rows])


@settings(max_examples=25)
@given(rows_of_values)
def test_any_says_whether_some_position_of_the_row_meets_it(rows: Values) -> None:
    packed, values = packed_of(rows)
    actual = packed.any(np.stack([values > 0, values < 0], axis=1))
    assert actual.shape == (len(rows), 2)
    expected = [[any(v > 0 for v in row), any(v < 0 for v in row)] for row in rows]
    assert actual.tolist() == expected


@settings(max_examples=25)
@given(rows_of_values)
def test_a_sum_adds_up_the_vectors_of_a_rows_items(rows: Values) -> None:
    packed, values = packed_of(rows)
    table = np.arange(2.0 * (len(values) + 1)).reshape(-1, 2).astype(np.float32)
    ends = np.cumsum([0, *map(len, rows)]).tolist()
    for weight, of in ((1.0, np.ones(len(values))), (values, values)):
        actual = packed.sum(table, weight)
        assert actual.shape == (len(rows), 2)
        for row, (begin, end) in enumerate(pairwise(ends)):
            expected = sum((of[i] * table[i] for i in range(begin, end)), np.zeros(2))
            np.testing.assert_allclose(actual[row], expected, rtol=1e-5, atol=1e-4)


def test_a_ratio_to_nothing_is_nan() -> None:
    actual = ratio(np.array([0, 1, 3]), np.array([0, 0, 4]))
    assert actual.dtype == np.float32
    np.testing.assert_array_equal(actual, [nan, nan, 0.75])
