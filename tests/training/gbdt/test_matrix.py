"""mmctr_kit.training.gbdt.matrix: all columns together, against loops."""

from collections.abc import Sequence
from dataclasses import replace
from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from mmctr_kit.data.contract import SPLITS, Split
from mmctr_kit.data.dataset import ChallengeData
from mmctr_kit.items.features import ItemFeatures
from mmctr_kit.recipe import Recipe, load_recipe
from mmctr_kit.recipe.blocks import SIGNAL_KINDS
from mmctr_kit.training.gbdt.matrix import KIND, PART, FeatureInputs, Features, feature_meanings
from tests.data.test_contexts import ITEMS
from tests.training.gbdt.loops import (
    FeatureValues,
    all_loops,
    assert_columns,
    bucket_loops,
    code_loops,
    make_fold,
)
from tests.training.gbdt.test_statistics import COUNTS
from tests.training.gbdt.worlds import (
    SHRINKAGE,
    UNSEEN,
    Row,
    Vectors,
    World,
    all_rows,
    draw_world,
    in_memory,
    of_strangers,
    on_disk,
    users_of,
    worlds,
)

HALF_LIFE, MAX_HISTORY = 2.5, 4
SIGNAL_OPTIONS = ("signals.half_life=1.5", "signals.ease_l2=2.0")
"""The half-life of the signals is not HALF_LIFE, so that a test fails if the two are confused."""

Loops = dict[Split, list[FeatureValues]]
PARTS = ([], ["vector"], ["vector1", "vector2"])
SOME_KINDS = ((), SIGNAL_KINDS, ("ease", "next"))

RARE_SEED = 0
"""The seed of a world that holds every rare case."""


@pytest.fixture(scope="module")
def world() -> World:
    return draw_world(Random(RARE_SEED))


@pytest.fixture(scope="module")
def data(world: World, tmp_path_factory: pytest.TempPathFactory) -> ChallengeData:
    """Loaded from a folder, so that text and image are two modalities and every item's levels are
    known."""
    return on_disk(world, tmp_path_factory.mktemp("world"))


def recipe_of(embedding: str, kinds: Sequence[str] = SIGNAL_KINDS) -> Recipe:
    settings = [f"training.max_history={MAX_HISTORY}", f"items.embedding={embedding}"]
    settings += [f"signals.kinds=[{', '.join(kinds)}]"] if kinds else ["signals.kinds=none"]
    return load_recipe("gbdt_demo", [*settings, *(SIGNAL_OPTIONS if "ease" in kinds else ())])


def fit(data: ChallengeData, recipe: Recipe, rows: NDArray[np.int64]) -> Features:
    return Features.fit(
        FeatureInputs(recipe, data, ItemFeatures.derive(recipe, data)), rows, HALF_LIFE, SHRINKAGE
    )


def columns(features: Features, split: Split) -> dict[str, NDArray[np.float32]]:
    matrix = features.matrix(of_strangers(features.inputs.examples(split)))
    assert matrix.dtype == np.float32
    return dict(zip(features.inputs.names, matrix.T, strict=True))


def loops(world: World, rows: Sequence[int], recipe: Recipe, parts: dict[str, Vectors]) -> Loops:
    fold = make_fold(
        world,
        rows,
        max_history=MAX_HISTORY,
        half_life=HALF_LIFE,
        signals=recipe.signals,
        levels_of=world.shown if "vector" in parts else set(range(1, ITEMS + 1)),
    )
    kinds = recipe.signals.kinds
    return {s: [all_loops(fold, row, parts, kinds) for row in world.rows[s]] for s in SPLITS}


@pytest.mark.parametrize("kinds", SOME_KINDS, ids=str)
@pytest.mark.parametrize("parts", PARTS, ids=str)
def test_every_feature_has_a_loop(world: World, parts: list[str], kinds: tuple[str, ...]) -> None:
    vectors = dict.fromkeys(parts, world.text)
    actual = loops(world, [0], recipe_of("none", kinds), vectors)["train"][0]
    assert set(actual) == set(feature_meanings(parts, kinds))


def test_every_meaning_can_be_read_alone() -> None:
    meanings = feature_meanings(["text"], SIGNAL_KINDS, buckets=3, levels=2)
    unclear = [f"{k}: {v}" for k, v in meanings.items() if "the same" in v or "they" in v]
    assert unclear == []
    assert len(set(meanings.values())) == len(meanings)


def test_the_world_holds_what_is_rare(world: World) -> None:
    every = [row for split in SPLITS for row in world.rows[split]]
    train = world.rows["train"]
    assert not all(row.history for row in train)
    assert any(len(row.history) > MAX_HISTORY for row in train)
    assert any(len(set(row.history)) < len(row.history) for row in train)
    assert any(row.target in row.history for row in train)
    assert len({(row.user, row.target) for row in train}) < len(train)
    assert any(UNSEEN in (row.target, *row.history) for row in every)
    assert not all(world.tags.values())
    assert {0, 2} < set(world.likes.values())
    assert not all(row.likes for row in every)
    assert {1, 2} < set(users_of(world.rows["test"]))
    assert set(world.text) - set(world.image)
    assert set(world.image) - set(world.text)


@pytest.mark.parametrize("kinds", SOME_KINDS, ids=str)
@pytest.mark.parametrize("step", [1, 2])
def test_every_column_is_what_a_plain_loop_says(
    world: World, data: ChallengeData, kinds: tuple[str, ...], step: int
) -> None:
    rows, recipe = all_rows(data)[::step], recipe_of("raw", kinds)
    features = fit(data, recipe, rows)
    expected = loops(world, rows.tolist(), recipe, {"vector1": world.text, "vector2": world.image})
    for split in SPLITS:
        assert_columns(columns(features, split), expected[split])


def test_buckets_of_similarity_and_common_codes_are_columns_beside_the_others(
    world: World, data: ChallengeData
) -> None:
    buckets, levels = 4, 2
    settings = ["codes.of=text", f"codes.levels={levels}", "codes.size=2"]
    recipe = load_recipe("gbdt_demo", [f"training.max_history={MAX_HISTORY}", *settings])
    recipe = recipe.changed({"items.embedding": "raw", "signals.kinds": "none"})
    inputs = FeatureInputs(recipe, data, ItemFeatures.derive(recipe, data), buckets)
    parts, rows = {"vector1": world.text, "vector2": world.image}, all_rows(data)
    assert inputs.names == tuple(feature_meanings(list(parts), (), buckets, levels))
    features = Features.fit(inputs, rows, HALF_LIFE, SHRINKAGE)
    codes = {item: list(of) for item, of in enumerate(features.codes.tolist()) if any(of)}
    assert set(codes) == set(world.text)
    fold = make_fold(world, rows.tolist(), max_history=MAX_HISTORY, half_life=HALF_LIFE)
    for split, expected in loops(world, rows.tolist(), recipe, parts).items():
        for row, values in zip(world.rows[split], expected, strict=True):
            for name, vectors in parts.items():
                values |= bucket_loops(fold, row, name, vectors, buckets)
            values |= code_loops(fold, row, codes)
        assert_columns(columns(features, split), expected)


@pytest.mark.slow
@settings(max_examples=20)
@given(worlds(), st.integers(1, 3))
def test_every_column_of_a_table_of_one_modality_is_what_a_plain_loop_says(
    world: World, step: int
) -> None:
    data, recipe = in_memory(world), recipe_of("item_info")
    rows = all_rows(data)[::step]
    features = fit(data, recipe, rows)
    expected = loops(world, rows.tolist(), recipe, {"vector": world.text})
    for split in SPLITS:
        assert_columns(columns(features, split), expected[split])


@pytest.mark.parametrize("kinds", SOME_KINDS, ids=str)
def test_the_names_are_those_of_the_meanings_in_their_order(
    data: ChallengeData, kinds: tuple[str, ...]
) -> None:
    for embedding, parts in zip(("none", "image", "raw"), PARTS, strict=True):
        settings = ["items.image_dim=2"] if embedding == "image" else []
        recipe = load_recipe(
            "gbdt_demo",
            [f"items.embedding={embedding}", f"signals.kinds={list(kinds) or 'none'}", *settings],
        )
        assert FeatureInputs(recipe, data, ItemFeatures.derive(recipe, data)).names == tuple(
            feature_meanings(parts, kinds)
        )


COUNTED = (*COUNTS, *(f"{kind}_{name}" for kind in SIGNAL_KINDS for name in KIND), "ease_sum")
"""The features that are counted of users who took items, not means of labels."""


def test_a_label_changes_the_features_of_rows_of_other_users(data: ChallengeData) -> None:
    """The tests of what changes no feature would also pass if no feature ever changed."""
    recipe, rows = recipe_of("raw"), all_rows(data)
    before = columns(fit(data, recipe, rows), "valid")
    after = columns(fit(relabelled(data, rows), recipe, rows), "valid")
    changed = {n for n in before if not np.array_equal(before[n], after[n], equal_nan=True)}
    assert {n for n in before if "rate" in n or "lift" in n} <= changed
    assert changed <= {n for n in before if "rate" in n or "lift" in n or n in COUNTED}


@settings(max_examples=20)
@given(worlds(), st.integers(2, 3))
def test_no_feature_knows_a_label_of_rows_outside_the_fold(world: World, step: int) -> None:
    data, recipe = in_memory(world), recipe_of("item_info")
    outside = np.isin(data.train.user_id % step, 0)
    rows = all_rows(data)[~outside]
    before = fit(data, recipe, rows)
    valid = replace(data.valid, label=1 - data.valid.labels())
    other = relabelled(data, np.flatnonzero(outside))
    after = fit(replace(other, rows={**other.rows, "valid": valid}), recipe, rows)
    for split in SPLITS:
        actual, expected = (f.matrix(f.inputs.examples(split)) for f in (after, before))
        np.testing.assert_array_equal(actual, expected)


@settings(max_examples=20)
@given(worlds())
def test_no_feature_of_other_rows_knows_a_history_of_rows_outside_the_fold(world: World) -> None:
    """The rows of user 1, who has rows in every split, are outside the fold. Their histories are
    emptied."""
    emptied = {
        s: [replace(r, history=[]) if r.user == 1 else r for r in world.rows[s]] for s in SPLITS
    }
    matrices = []
    for data in (in_memory(world), in_memory(replace(world, rows=emptied))):
        features = fit(data, recipe_of("item_info"), all_rows(data)[data.train.user_id != 1])
        for split in SPLITS:
            examples = features.inputs.examples(split)
            others = examples.take(np.flatnonzero(examples.user_id != 1))
            matrices.append(features.matrix(others))
    for before, after in zip(matrices[:3], matrices[3:], strict=True):
        np.testing.assert_array_equal(before, after)


def relabelled(data: ChallengeData, rows: NDArray[np.int64]) -> ChallengeData:
    """The same data, with the labels of these train rows inverted."""
    label = data.train.labels().copy()
    label[rows] = 1 - label[rows]
    return replace(data, rows={**data.rows, "train": replace(data.train, label=label)})


@pytest.mark.parametrize("size", [1, 5, 1000])
def test_a_rows_features_depend_on_no_other_row_and_on_no_size_of_chunks(
    data: ChallengeData, size: int
) -> None:
    features = fit(data, recipe_of("raw"), all_rows(data))
    examples = features.inputs.examples("train")
    whole = features.matrix(examples)
    order = np.random.default_rng(0).permutation(len(examples))
    features.inputs.chunk = size
    actual = features.matrix(examples.take(order))
    np.testing.assert_allclose(actual, whole[order], rtol=1e-6, atol=1e-7)
    nobody = features.matrix(examples.take(slice(0, 0)))
    assert nobody.shape == (0, len(features.inputs.names))


ZERO_WITHOUT_HISTORY = (
    "history_length",
    "history_distinct",
    "target_in_history",
    "tag_hits",
    "tags_covered",
)
"""These are 0, not NaN, if the history is empty."""

OF_NO_HISTORY = {
    "history_repeats",
    "target_age",
    *(f"history_{level}_{of}" for level in ("likes", "views") for of in ("mean", "last", "spread")),
    *("likes_over_history", "likes_matches", "views_over_history", "views_matches"),
    *("tags_shared_mean", "tags_shared_recent", "tags_shared_rarity_mean"),
    *("tags_shared_rarity_recent", "tags_shared_rarity_top3"),
    *("tag_hit_share", "tag_hit_age", "history_tags_mean"),
    *("history_users_mean", "history_users_recent", "history_users_last", "users_over_history"),
    *("history_rate_mean", "history_rate_recent", "rate_over_history"),
    *(f"tag_lift_{how}" for how in ("max", "mean", "recent", "top3")),
    *(f"item_lift_{how}" for how in ("max", "mean", "recent", "sum")),
    *(f"vector_{name}" for name in PART if name not in ("norm", "missing")),
    *(f"{kind}_{name}" for kind in SIGNAL_KINDS for name in KIND),
    "ease_sum",
}
NAN_OF: dict[str, tuple[Row, set[str]]] = {
    "everything is known": (Row(9, [1, 2, 3], 1, 1, 1, 0), set()),
    "no history": (Row(9, [], 1, 1, 1, 0), OF_NO_HISTORY),
    "the history shows neither target nor tag": (
        Row(9, [4, 5], 1, 1, 1, 0),
        {"target_age", "tag_hit_age"},
    ),
    "the target's likes level is unknown": (
        Row(9, [1, 2], 1, 0, 1, 0),
        {"likes_level", "likes_over_history"},
    ),
    "the target's views level is unknown": (
        Row(9, [1, 2], 1, 1, 0, 0),
        {"views_level", "views_over_history"},
    ),
    "the newest item's levels are unknown": (
        Row(9, [1, 8], 1, 1, 1, 0),
        {"history_likes_last", "history_views_last"},
    ),
    "the target has no tags": (
        Row(9, [6, 1], 6, 6, 6, 0),
        {"tag_rarity", "tag_hit_age", "tags_covered", "tag_rate_max", "tag_rate_mean"},
    ),
    "the target has no vector": (Row(9, [7, 1], 7, 7, 7, 0), set()),
    "no item of the history has a vector": (
        Row(9, [7, 7], 7, 7, 7, 0),
        {"vector_centre", "vector_centre_recent"},
    ),
    "the target was never seen": (
        Row(9, [5, 2], 4, 4, 4, 0),
        {"target_age"},
    ),
}


@pytest.mark.parametrize("what", NAN_OF)
def test_nan_stands_exactly_where_the_meaning_says_so(what: str) -> None:
    """Item 8's levels are unknown, item 6 has no tags, item 7 no vector."""
    row, expected = NAN_OF[what]
    items = range(1, ITEMS + 1)
    tags = {i: [1 + (i > 3)] for i in items} | {6: []}
    levels = {i: i for i in items} | {8: 0}
    vectors = {i: [1.0, float(i), 0.0] for i in items if i != 7}
    train = [Row(i, [1, 2, 5], i, levels[i], levels[i], i % 2) for i in items if i != 4]
    shows = [Row(50, [1], 1, 1, 1, 0), Row(50, [1], 4, 4, 4, 0)]
    rows: dict[Split, list[Row]] = {"train": train, "valid": [row], "test": shows}
    data = in_memory(World(rows, tags, levels, levels, vectors, {}))
    actual = columns(fit(data, recipe_of("item_info"), all_rows(data)), "valid")
    assert {name for name, column in actual.items() if np.isnan(column[0])} == expected
    if what == "no history":
        assert [actual[name][0] for name in ZERO_WITHOUT_HISTORY] == [0] * 5
