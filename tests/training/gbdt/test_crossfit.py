"""mmctr_kit.training.gbdt.crossfit: whose labels a row may see."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from mmctr_kit.data.contexts import contexts
from mmctr_kit.data.dataset import ChallengeData
from mmctr_kit.data.folds import user_folds
from mmctr_kit.training.gbdt.crossfit import Groups, LabelOptions, label_means, others, shrunk
from tests.data.test_contexts import ITEMS
from tests.training.gbdt.worlds import (
    OPTIONS,
    Row,
    World,
    all_rows,
    in_memory,
    users_of,
    worlds,
)

COUNT = OPTIONS.groups


def groups_of(data: ChallengeData, options: LabelOptions = OPTIONS) -> Groups:
    rows = all_rows(data)
    return Groups.make(data, rows, contexts(data, rows, 64), options)


def item_rates(data: ChallengeData, groups: Groups) -> NDArray[np.float32]:
    return label_means(groups, data.train.item_id.astype(np.int64), ITEMS + 1)


def relabelled(data: ChallengeData, label: NDArray[np.int8]) -> ChallengeData:
    return replace(data, rows={**data.rows, "train": replace(data.train, label=label)})


def test_the_sum_of_the_other_groups_stands_beside_the_sum_of_all() -> None:
    actual = others(np.array([[1, 10], [2, 20], [4, 40]]))
    assert actual.tolist() == [[6, 60], [5, 50], [3, 30], [7, 70]]


def test_a_shrunk_mean_is_that_of_more_rows_with_the_usual_mean() -> None:
    seen, hits, prior = np.array([[8.0, 0.0]]), np.array([[6.0, 0.0]]), np.array([[0.25]])
    for shrinkage, expected in ((2.0, (6 + 0.5) / 10), (0.0, 0.75)):
        actual = shrunk(seen, hits, prior, shrinkage)
        assert actual.dtype == np.float32
        assert actual[0].tolist() == pytest.approx([expected, 0.25])


@settings(max_examples=25)
@given(worlds())
def test_all_rows_of_a_user_fall_into_the_group_of_the_users_hash(world: World) -> None:
    data = in_memory(world)
    groups, users = groups_of(data), np.array(users_of(world.rows["train"]))
    expected = user_folds(users, COUNT, OPTIONS.seed)
    assert groups.of_user.tolist() == expected.tolist()
    by_user = dict(zip(users.tolist(), expected.tolist(), strict=True))
    assert groups.of_row.tolist() == [by_user[row.user] for row in world.rows["train"]]
    number, sees = groups.locate(np.array([*users, 999, -1]))
    assert number.tolist() == [*range(len(users)), -1, -1]
    assert sees.tolist() == [*expected.tolist(), COUNT, COUNT]


@settings(max_examples=25)
@given(worlds(), st.sampled_from([0.0, 2.0, 30.0]))
def test_rates_are_what_plain_loops_say(world: World, shrinkage: float) -> None:
    data, options = in_memory(world), replace(OPTIONS, shrinkage=shrinkage)
    actual = item_rates(data, groups_of(data, options))
    train = world.rows["train"]
    users = np.array(users_of(train))
    by_hash = user_folds(users, COUNT, options.seed).tolist()
    group_of = dict(zip(users.tolist(), by_hash, strict=True))
    for group in range(COUNT + 1):
        seen = [row for row in train if group_of[row.user] != group]
        scale = len(train) / max(len(seen), 1)
        prior = sum(row.label for row in seen) / max(len(seen), 1)
        for item in range(1, ITEMS + 1):
            labels = [row.label for row in seen if row.target == item]
            weight = len(labels) * scale + shrinkage
            total = sum(labels) * scale + shrinkage * prior
            assert actual[group, item] == pytest.approx(total / weight if weight else prior)


@settings(max_examples=25)
@given(worlds(), st.integers(0, COUNT - 1))
def test_a_group_sees_no_label_of_its_own_rows(world: World, group: int) -> None:
    data = in_memory(world)
    groups = groups_of(data)
    flipped = np.where(groups.of_row == group, 1 - data.train.labels(), data.train.labels())
    other = replace(data.train, label=flipped.astype(np.int8))
    changed = replace(data, rows={**data.rows, "train": other})
    before, after = item_rates(data, groups), item_rates(changed, groups_of(changed))
    np.testing.assert_array_equal(after[group], before[group])


def crowd(per_group: int, label: Callable[[int, int], int]) -> Groups:
    """Groups of equally many users; each has a row of item 1 and a row of item 2, with the
    ``label`` of (group, item)."""
    users = np.arange(100)
    group = user_folds(users, COUNT, OPTIONS.seed)
    chosen = [users[group == g][:per_group] for g in range(COUNT)]
    pairs = [(user, g) for g, members in enumerate(chosen) for user in members.tolist()]
    rows = [Row(u, [], i, 1, 1, label(g, i)) for u, g in sorted(pairs) for i in (1, 2)]
    return groups_of(in_memory(World({"train": rows, "valid": [], "test": []}, {}, {}, {}, {}, {})))


@pytest.mark.parametrize("ones", range(COUNT))
def test_a_group_sees_the_labels_of_every_other_group(ones: int) -> None:
    groups = crowd(4, lambda group, _: int(group == ones))
    groups = replace(groups, options=replace(OPTIONS, shrinkage=0.0))
    actual = label_means(groups, np.tile([1, 2], 4 * COUNT), 3)
    for sees in range(COUNT):
        assert actual[sees, 1:].tolist() == pytest.approx(
            [0 if sees == ones else 1 / (COUNT - 1)] * 2
        )
    assert actual[COUNT, 1:].tolist() == pytest.approx([1 / COUNT] * 2)


@pytest.mark.parametrize("shrinkage", [0.5, 20.0])
def test_shrinkage_is_as_strong_on_training_rows_as_on_rows_to_predict(shrinkage: float) -> None:
    groups = crowd(3, lambda _, item: int(item == 1))
    groups = replace(groups, options=replace(OPTIONS, shrinkage=shrinkage))
    actual = label_means(groups, np.tile([1, 2], 3 * COUNT), 3)
    n = 3 * COUNT
    assert actual[COUNT].tolist() == pytest.approx(
        [0.5, (n + shrinkage / 2) / (n + shrinkage), shrinkage / 2 / (n + shrinkage)]
    )
    for sees in range(COUNT):
        np.testing.assert_allclose(actual[sees], actual[COUNT], rtol=1e-6)


def test_rates_can_be_of_some_of_the_rows_more_than_once_each() -> None:
    """A row counts once for each of its target's tags."""
    groups = replace(crowd(2, lambda _, item: int(item == 1)), options=OPTIONS)
    row = np.repeat(np.arange(len(groups.rows)), 2)
    key = np.tile([1, 2, 2, 3], len(groups.rows) // 2)  # item 1 has tags 1, 2; item 2 tags 2, 3
    actual = label_means(groups, key, 4, row)[COUNT]
    n, s = len(groups.rows) / 2, OPTIONS.shrinkage
    assert actual.tolist() == pytest.approx([0.5, (n + s / 2) / (n + s), 0.5, s / 2 / (n + s)])


def test_a_group_that_is_everybody_sees_no_label_at_all() -> None:
    users = np.arange(100)
    group = users[user_folds(users, COUNT, OPTIONS.seed) == 1][:5].tolist()
    rows = [Row(user, [], 1, 1, 1, 1) for user in group]
    data = in_memory(World({"train": rows, "valid": [], "test": []}, {}, {}, {}, {}, {}))
    actual = item_rates(data, groups_of(data))
    assert actual[1].tolist() == [0.0] * (ITEMS + 1)
    assert actual[COUNT, 1] == 1
