"""mmctr_kit.training.gbdt.crossfit: from which users a row's features are counted."""

from dataclasses import replace
from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from mmctr_kit.data.contract import SPLITS
from mmctr_kit.data.dataset import ChallengeData
from mmctr_kit.data.folds import user_folds
from mmctr_kit.items.features import ItemFeatures
from mmctr_kit.metrics.auc import auc
from mmctr_kit.recipe import Recipe
from mmctr_kit.training.gbdt.crossfit import FoldFeatures
from mmctr_kit.training.gbdt.matrix import FeatureInputs
from tests.training.gbdt.loops import all_loops, assert_columns, make_fold
from tests.training.gbdt.test_matrix import HALF_LIFE, MAX_HISTORY, recipe_of, relabelled
from tests.training.gbdt.worlds import (
    GROUPS,
    SEED,
    SHRINKAGE,
    World,
    all_rows,
    draw_world,
    in_memory,
    on_disk,
    users_of,
    worlds,
)


def fold_of(data: ChallengeData, recipe: Recipe, rows: NDArray[np.int64]) -> FoldFeatures:
    inputs = FeatureInputs(recipe, data, ItemFeatures.derive(recipe, data))
    return FoldFeatures(inputs, rows, GROUPS, SEED, HALF_LIFE, SHRINKAGE)


@pytest.mark.slow
@settings(max_examples=15)
@given(worlds(), st.integers(1, 3))
def test_every_column_is_what_a_plain_loop_says(world: World, step: int) -> None:
    data, recipe = in_memory(world), recipe_of("item_info")
    rows = all_rows(data)[::step]
    features = fold_of(data, recipe, rows)
    fold = make_fold(
        world,
        rows.tolist(),
        GROUPS,
        max_history=MAX_HISTORY,
        half_life=HALF_LIFE,
        signals=recipe.signals,
        levels_of=world.shown,
    )
    parts, kinds = {"vector": world.text}, recipe.signals.kinds
    for split in SPLITS:
        matrix = features.matrix(features.inputs.examples(split))
        columns = dict(zip(features.inputs.names, matrix.T, strict=True))
        assert_columns(columns, [all_loops(fold, row, parts, kinds) for row in world.rows[split]])


@settings(max_examples=15)
@given(worlds(), st.integers(0, GROUPS - 1))
def test_no_feature_of_a_training_row_knows_a_label_of_its_users_group(
    world: World, group: int
) -> None:
    data, recipe = in_memory(world), recipe_of("item_info")
    rows = all_rows(data)
    of_group = user_folds(data.train.user_id, GROUPS, SEED) == group
    before = fold_of(data, recipe, rows)
    after = fold_of(relabelled(data, rows[of_group]), recipe, rows)
    for split in SPLITS:
        examples = before.inputs.examples(split)
        users = np.isin(examples.user_id, data.train.user_id[of_group])
        blind = examples.take(np.flatnonzero(users))
        np.testing.assert_array_equal(after.matrix(blind), before.matrix(blind))


def test_a_row_of_a_user_who_trains_nothing_is_counted_from_all_groups(tiny: ChallengeData) -> None:
    rows = all_rows(tiny)[:1200]
    features = fold_of(tiny, recipe_of("item_info"), rows)
    examples = features.inputs.examples("valid")
    np.testing.assert_array_equal(features.matrix(examples), features.whole.matrix(examples))


def test_all_rows_of_a_user_are_in_the_group_of_the_users_hash() -> None:
    world = draw_world(Random(0))
    data = in_memory(world)
    features = fold_of(data, recipe_of("none"), all_rows(data))
    users = np.array(users_of(world.rows["train"]))
    assert features.group_of(users).tolist() == user_folds(users, GROUPS, SEED).tolist()


@pytest.mark.parametrize("embedding", ["item_info", "factors"])
def test_with_random_labels_no_feature_of_a_training_row_predicts_its_label(
    tiny: ChallengeData, embedding: str
) -> None:
    """If a row's own label entered a feature, the feature would predict the label."""
    label = np.random.default_rng(0).permutation(tiny.train.labels())
    noise = replace(tiny, rows={**tiny.rows, "train": replace(tiny.train, label=label)})
    features = fold_of(noise, recipe_of(embedding), all_rows(noise))
    matrix = features.matrix(features.inputs.examples("train"))
    positive, negative = (label == 1).sum(), (label == 0).sum()
    standard_error = np.sqrt((positive + negative + 1) / (12 * positive * negative))
    for name, column in zip(features.inputs.names, matrix.T, strict=True):
        value = auc(label, np.nan_to_num(column, nan=-99.0))
        assert abs(value - 0.5) < 4 * standard_error, name


def test_vectors_learned_from_users_come_from_the_other_groups_too(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    """Inverting the labels of a group changes factors of positives, but not for the group."""
    data = on_disk(draw_world(Random(1), 12), tmp_path_factory.mktemp("world"))
    recipe = recipe_of("factors").changed(
        {"items.factors_dim": 2, "items.factors_from": "positives"}
    )
    rows = all_rows(data)
    of_group = user_folds(data.train.user_id, GROUPS, SEED) == 0
    one, two = (fold_of(d, recipe, rows) for d in (data, relabelled(data, rows[of_group])))
    examples = one.inputs.examples("train")
    same = one.matrix(examples) == two.matrix(examples)
    same |= np.isnan(one.matrix(examples)) & np.isnan(two.matrix(examples))
    vectors = [name.startswith("vector") for name in one.inputs.names]
    assert same[of_group].all()
    assert not same[~of_group][:, vectors].all()
