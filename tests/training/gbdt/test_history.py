"""mmctr_kit.training.gbdt.history: the target, the history, and both against each other."""

from math import log, nan
from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmctr_kit.data.dataset import ChallengeData
from mmctr_kit.items.features import item_levels
from mmctr_kit.training.gbdt.history import (
    Tags,
    length_features,
    level,
    level_features,
    tag_features,
    target_features,
)
from mmctr_kit.training.gbdt.packed import Columns, Packed
from tests.data.test_contexts import ITEMS
from tests.training.gbdt.loops import (
    assert_columns,
    length_loops,
    level_loops,
    make_fold,
    tag_loops,
    target_loops,
)
from tests.training.gbdt.worlds import TAGS, Row, World, examples_of, in_memory, worlds

HALF_LIFE = 2.0


def history_features(data: ChallengeData, packed: Packed) -> Columns:
    return {
        **length_features(packed),
        **level_features(packed, item_levels(data)),
        **tag_features(packed, Tags.read(data)),
    }


@settings(max_examples=25)
@given(worlds(), st.integers(1, 7))
def test_history_features_are_what_plain_loops_say(world: World, max_history: int) -> None:
    data = in_memory(world)
    fold = make_fold(world, [], max_history=max_history, half_life=HALF_LIFE, levels_of=world.shown)
    for split, examples in examples_of(data, max_history).items():
        expected = [
            {**length_loops(fold, row), **level_loops(fold, row), **tag_loops(fold, row)}
            for row in world.rows[split]
        ]
        packed = Packed.of(data, examples, HALF_LIFE)
        assert_columns(history_features(data, packed), expected)


def features_of(*asked: tuple[list[int], int]) -> list[dict[str, float]]:
    """The features of each (history, target). Item i has likes level i and views level 9 - i. Tag 1
    is on two of the eight items, tag 2 on three, tags 3 and 4 on one."""
    tags = {1: [1, 2], 2: [2], 3: [1, 2, 3], 4: [4]} | {item: [] for item in range(5, 9)}
    likes, views = {i: i for i in tags}, {i: 9 - i for i in tags}
    rows = [Row(1, h, target, likes[target], views[target], 0) for h, target in asked]
    # A row for each item, so that its levels are known.
    shows = [Row(2, [], item, likes[item], views[item], 0) for item in tags]
    world = World({"train": shows, "valid": [], "test": rows}, tags, likes, views, {}, {})
    data = in_memory(world)
    columns = history_features(data, Packed.of(data, data.examples("test", 64), HALF_LIFE))
    return [{n: float(c[i]) for n, c in columns.items()} for i in range(len(rows))]


def test_a_history_that_shows_the_target_and_repeats_an_item() -> None:
    (actual,) = features_of(([3, 2, 3, 4], 3))
    expected = {
        "history_length": 4,
        "history_distinct": 3,
        "history_repeats": 1 / 4,
        "target_in_history": 2,
        "target_age": 1,
        "history_likes_mean": 3,
        "history_likes_last": 4,
        "history_likes_spread": 0.5**0.5,
        "likes_over_history": 0,
        "likes_matches": 1 / 2,
        "history_views_mean": 6,
        "history_views_last": 5,
        "history_views_spread": 0.5**0.5,
        "views_over_history": 0,
        "views_matches": 1 / 2,
        "tags_shared_mean": (3 + 1 + 3 + 0) / 4,
        "tag_hits": 3,
        "tag_hit_share": 3 / 4,
        "tag_hit_age": 1,
        "tags_covered": 1,
        "history_tags_mean": (3 + 1 + 3 + 1) / 4,
        "tags_shared_rarity_top3": (2 * log(8 / 2 * 8 / 3 * 8) + log(8 / 3)) / 3,
    }
    assert {name: actual[name] for name in expected} == pytest.approx(expected, rel=1e-5, abs=1e-6)


def test_the_newest_item_weighs_most() -> None:
    older, newer = features_of(([2, 4, 4], 1), ([4, 4, 2], 1))
    assert older["tags_shared_mean"] == newer["tags_shared_mean"]
    weights = [2 ** (-age / HALF_LIFE) for age in range(3)]
    assert newer["tags_shared_recent"] == pytest.approx(weights[0] / sum(weights))
    assert older["tags_shared_recent"] == pytest.approx(weights[2] / sum(weights))
    assert (older["tag_hit_age"], newer["tag_hit_age"]) == (2, 0)


def test_there_is_no_age_of_what_the_history_does_not_show() -> None:
    (actual,) = features_of(([2, 3], 4))
    assert (actual["target_in_history"], actual["tag_hits"], actual["tags_covered"]) == (0, 0, 0)
    assert np.isnan([actual["target_age"], actual["tag_hit_age"]]).all()


def test_a_history_of_unknown_levels_has_no_mean_and_no_spread() -> None:
    levels = dict.fromkeys(range(1, 9), 0) | {1: 5}
    rows = [Row(1, [2, 3], 1, 5, 5, 0), Row(2, [1, 2], 1, 5, 5, 0), Row(3, [1], 2, 0, 0, 0)]
    tags = {item: [1] for item in levels}
    data = in_memory(World({"train": [], "valid": [], "test": rows}, tags, levels, levels, {}, {}))
    packed = Packed.of(data, data.examples("test", 64), HALF_LIFE)
    actual = level_features(packed, item_levels(data))
    for name in ("likes", "views"):
        np.testing.assert_array_equal(actual[f"history_{name}_mean"], [nan, 5, 5])
        np.testing.assert_array_equal(actual[f"history_{name}_spread"], [nan, 0, 0])
        np.testing.assert_array_equal(actual[f"history_{name}_last"], [nan, nan, 5])
        np.testing.assert_array_equal(actual[f"{name}_over_history"], [nan, 0, nan])
        np.testing.assert_array_equal(actual[f"{name}_matches"], [0, 0.5, 0])


@given(st.randoms(), st.permutations(range(6)))
def test_only_ages_and_recency_know_the_order_of_the_history(
    random: Random, order: list[int]
) -> None:
    history = [random.randint(1, 8) for _ in order]
    before, after = features_of((history, 3), ([history[i] for i in order], 3))
    for name, value in before.items():
        if not name.endswith(("_age", "_last", "_recent")):
            assert after[name] == pytest.approx(value, rel=1e-5, abs=1e-6)


@settings(max_examples=25)
@given(worlds())
def test_target_features_are_what_plain_loops_say(world: World) -> None:
    data = in_memory(world)
    for split, examples in examples_of(data, 64).items():
        packed = Packed.of(data, examples, 1.0)
        expected = [target_loops(world, row) for row in world.rows[split]]
        assert_columns(target_features(packed, Tags.read(data)), expected)


def test_the_rarity_of_a_tag_is_the_natural_logarithm_of_items_per_item_with_it() -> None:
    tags = {1: [1, 2], 2: [1], 3: [1, 3], 4: [1]} | {item: [] for item in range(5, ITEMS + 1)}
    actual = Tags.read(
        in_memory(World({"train": [], "valid": [], "test": []}, tags, {}, {}, {}, {}))
    )
    assert actual.items.tolist() == [0, 4, 1, 1]
    assert actual.number.tolist() == [0, 2, 1, 2, 1, 0, 0, 0, 0]
    assert actual.rarity.tolist() == pytest.approx([0, log(8 / 4), log(8), log(8)])


@settings(max_examples=25)
@given(worlds())
def test_the_padding_tag_is_on_no_item_and_is_not_rare(world: World) -> None:
    actual = Tags.read(in_memory(world))
    assert actual.items[0] == actual.rarity[0] == actual.number[0] == 0
    assert len(actual.items) <= TAGS + 1
    assert actual.items.sum() == sum(map(len, world.tags.values()))


def test_the_padding_level_is_unknown() -> None:
    actual = level(np.array([0, 1, 10], np.int8))
    assert actual.dtype == np.float32
    np.testing.assert_array_equal(actual, [nan, 1, 10])
