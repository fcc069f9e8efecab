"""mmctr_kit.training.gbdt.target: the target's levels and tags."""

from math import log, nan

import numpy as np
import pytest
from hypothesis import given, settings

from mmctr_kit.training.gbdt.packed import Packed
from mmctr_kit.training.gbdt.target import Tags, level, target_features
from tests.items.similarity.test_contexts import ITEMS
from tests.training.gbdt.loops import assert_columns, target_loops
from tests.training.gbdt.worlds import TAGS, World, examples_of, in_memory, worlds


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
