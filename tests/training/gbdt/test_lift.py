"""mmctr_kit.training.gbdt.lift: how much an item or a tag in the history raises the odds."""

from collections.abc import Iterator
from math import log

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from mmctr_kit.data.contract import SPLITS
from mmctr_kit.data.dataset import ChallengeData
from mmctr_kit.training.gbdt import lift as lift_module
from mmctr_kit.training.gbdt.history import Tags
from mmctr_kit.training.gbdt.lift import ItemLifts, TagLifts, lift_features, logit
from mmctr_kit.training.gbdt.packed import Packed
from mmctr_kit.training.gbdt.statistics import label_means
from tests.data.test_contexts import ITEMS
from tests.training.gbdt.loops import (
    Fold,
    assert_columns,
    item_lifts,
    lift_loops,
    make_fold,
    tag_lifts,
)
from tests.training.gbdt.worlds import SHRINKAGE, TAGS, Row, World, all_rows, in_memory, worlds

HALF_LIFE, MAX_HISTORY = 2.0, 5


def fit(data: ChallengeData, rows: NDArray[np.int64]) -> tuple[TagLifts, ItemLifts]:
    examples = data.examples("train", MAX_HISTORY).take(rows)
    item, label = data.train.item_id[rows].astype(np.int64), data.train.labels()[rows]
    rate = label_means(item, label, ITEMS + 1, SHRINKAGE.rate)
    tags = TagLifts.fit(data, examples, Tags.read(data), SHRINKAGE.pair)
    return tags, ItemLifts.fit(data, examples, rate, SHRINKAGE.pair)


def fold_of(world: World, rows: NDArray[np.int64]) -> Fold:
    return make_fold(world, rows.tolist(), max_history=MAX_HISTORY, half_life=HALF_LIFE)


def packed_splits(data: ChallengeData) -> Iterator[tuple[str, Packed]]:
    for split in SPLITS:
        yield split, Packed.of(data, data.examples(split, MAX_HISTORY), HALF_LIFE)


ROUNDING = 2 * 2**-25 / 1e-4
"""How far two log odds may be off: rates are float32, rounded by up to 2**-25 below 1, and clipped
to 1 - 1e-4, where the odds are that many times as sensitive."""


def assert_lifts(actual: NDArray[np.float32], expected: list[list[float]]) -> None:
    assert actual.dtype == np.float32
    flat = [value for row in expected for value in row]
    np.testing.assert_allclose(actual, np.array(flat), rtol=2e-4, atol=ROUNDING)


@settings(max_examples=40)
@given(worlds(), st.integers(1, 3))
def test_lifts_are_what_plain_loops_say(world: World, step: int) -> None:
    data = in_memory(world)
    rows = all_rows(data)[::step]
    fold, (tags, items) = fold_of(world, rows), fit(data, rows)
    for split, packed in packed_splits(data):
        shown = world.rows[split]
        assert_lifts(tags.at_positions(packed), [tag_lifts(fold, row) for row in shown])
        assert_lifts(items.at_positions(packed), [item_lifts(fold, row) for row in shown])
        actual = lift_features(packed, tags, items)
        assert_columns(actual, [lift_loops(fold, row) for row in shown], ROUNDING)


@settings(max_examples=30)
@given(worlds(), st.integers(1, 3))
def test_pairs_are_counted_of_the_most_frequent_tags(world: World, most: int) -> None:
    data = in_memory(world)
    rows = all_rows(data)
    number = {t: sum(t in tags for tags in world.tags.values()) for t in range(1, TAGS + 1)}
    # Of equally frequent tags the first by number.
    counted = sorted((t for t in number if number[t]), key=lambda t: (-number[t], t))[:most]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lift_module, "MOST_TAGS", most)
        tags, _ = fit(data, rows)
    fold = fold_of(world, rows)
    for split, packed in packed_splits(data):
        expected = [tag_lifts(fold, row, counted) for row in world.rows[split]]
        assert_lifts(tags.at_positions(packed), expected)


@settings(max_examples=20)
@given(worlds(), st.sampled_from([1, 3, 10]))
def test_lifts_do_not_depend_on_the_size_of_chunks(world: World, size: int) -> None:
    data = in_memory(world)
    rows = all_rows(data)
    whole = fit(data, rows)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lift_module, "_CHUNK_POSITIONS", size)
        parts = fit(data, rows)
    np.testing.assert_array_equal(parts[0].of, whole[0].of)
    for name in ("keys", "counts"):
        np.testing.assert_array_equal(getattr(parts[1], name), getattr(whole[1], name))


def crowd(pair_rows: int) -> ChallengeData:
    """Items 1 and 2, with tags 1 and 2, each shown to twelve training users, a quarter of whom
    take it. ``pair_rows`` more users have item 3, with tag 3, before item 1, and all take it.
    The one test row asks for item 1 after items 3 and 4, and item 4 has tag 4."""
    train = [Row(u, [5], 1 + u % 2, 1, 1, int(u % 8 < 2)) for u in range(24)]
    train += [Row(100 + u, [3], 1, 1, 1, 1) for u in range(pair_rows)]
    test = [Row(999, [3, 4], 1, 1, 1, 0)]
    tags = {1: [1], 2: [2], 3: [3], 4: [4]} | {item: [] for item in range(5, 9)}
    return in_memory(World({"train": train, "valid": [], "test": test}, tags, {}, {}, {}, {}))


def lifts_of_test(data: ChallengeData) -> tuple[list[float], list[float]]:
    """The tag lifts and the item lifts at the two positions of the test row."""
    packed = Packed.of(data, data.examples("test", MAX_HISTORY), HALF_LIFE)
    tags, items = fit(data, all_rows(data))
    return tags.at_positions(packed).tolist(), items.at_positions(packed).tolist()


def log_odds(rate: float) -> float:
    return log(rate / (1 - rate))


def test_the_lift_of_an_item_that_everybody_took_after_another() -> None:
    _, items = lifts_of_test(crowd(5))
    s, pull = SHRINKAGE.rate, SHRINKAGE.pair
    overall = (6 + 5) / (24 + 5)
    usual = (3 + 5 + s * overall) / (12 + 5 + s)
    expected = log_odds((5 + pull * usual) / (5 + pull)) - log_odds(usual)
    assert expected > 0.5
    assert items == pytest.approx([expected, 0], rel=1e-4)


@pytest.mark.parametrize(("rows", "known"), [(0, False), (1, False), (2, True)])
def test_a_pair_of_items_is_known_from_its_second_row_on(rows: int, known: bool) -> None:
    _, (seen, never) = lifts_of_test(crowd(rows))
    assert (seen > 0) == known
    assert never == 0


def test_a_history_item_that_makes_no_difference_has_no_lift() -> None:
    """After item 3 and after item 4, half of the rows are positive."""
    train = [Row(u, [3 + u // 2 % 2], 1, 1, 1, u % 2) for u in range(16)]
    test = [Row(999, [3, 4], 1, 1, 1, 0)]
    tags = {1: [1], 3: [2], 4: [3]} | {item: [] for item in (2, 5, 6, 7, 8)}
    data = in_memory(World({"train": train, "valid": [], "test": test}, tags, {}, {}, {}, {}))
    for lifts in lifts_of_test(data):
        assert lifts == pytest.approx([0, 0], abs=1e-6)


def test_log_odds_are_natural_and_bounded() -> None:
    rates = np.array([0.0, 1e-5, 0.25, 0.5, 1.0], np.float32)
    edge = log_odds(1e-4)
    expected = [edge, edge, log(1 / 3), 0, -edge]
    assert logit(rates).tolist() == pytest.approx(expected, rel=1e-3, abs=1e-6)


def test_without_any_history_nothing_is_lifted() -> None:
    train = [Row(user, [], 1, 1, 1, user % 2) for user in range(6)]
    tags = {item: [1] for item in range(1, ITEMS + 1)}
    test = [Row(999, [], 1, 1, 1, 0), Row(999, [2, 3], 1, 1, 1, 0)]
    data = in_memory(World({"train": train, "valid": [], "test": test}, tags, {}, {}, {}, {}))
    packed = Packed.of(data, data.examples("test", MAX_HISTORY), HALF_LIFE)
    actual = lift_features(packed, *fit(data, all_rows(data)))
    for name, column in actual.items():
        np.testing.assert_array_equal(column, [np.nan, 0], err_msg=name)
