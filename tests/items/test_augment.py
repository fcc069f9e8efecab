"""mmctr_kit.items.augment: extra examples from training users' own histories."""

from dataclasses import replace

import numpy as np
import pytest

from mmctr_kit.data.dataset import ChallengeData, Examples
from mmctr_kit.items.augment import next_item_examples
from mmctr_kit.items.features import item_levels
from mmctr_kit.recipe import Augmentation

MOST = 64


@pytest.fixture(scope="module")
def rows(tiny: ChallengeData) -> np.ndarray:
    """Half of the train users' rows."""
    users = np.unique(tiny.train.user_id)
    return np.flatnonzero(np.isin(tiny.train.user_id, users[::2]))


def made(tiny: ChallengeData, rows: np.ndarray, most: int = MOST, seed: int = 0) -> Examples:
    return next_item_examples(
        tiny, rows, Augmentation(per_user=2, negatives=3), most, item_levels(tiny), seed
    )


def history(data: ChallengeData, user: int) -> list[int]:
    row = int(np.flatnonzero(data.train.user_id == user)[0])
    h = data.train.history[row]
    return data.histories.values[slice(*data.histories.offsets[h : h + 2])].tolist()


def test_a_positive_is_a_later_item_and_its_history_what_came_before(
    tiny: ChallengeData, rows: np.ndarray
) -> None:
    found = made(tiny, rows)
    assert found.label is not None
    for i in np.flatnonzero(found.label):
        whole = history(tiny, int(found.user_id[i]))
        shown = tiny.histories.values[found.begin[i] : found.end[i]].tolist()
        assert len(shown) >= 2
        assert whole[: len(shown)] == shown
        assert whole[len(shown)] == found.item_id[i]


def test_negatives_share_the_history_and_are_not_in_it(
    tiny: ChallengeData, rows: np.ndarray
) -> None:
    found = made(tiny, rows)
    assert found.label is not None
    assert np.array_equal(found.label.reshape(-1, 4), [[1, 0, 0, 0]] * (len(found) // 4))
    for column in (found.user_id, found.begin, found.end):
        assert (column.reshape(-1, 4) == column[::4, None]).all()
    for user, item in zip(found.user_id, found.item_id, strict=True):
        index = np.flatnonzero((found.user_id == user) & (found.item_id == item))
        assert found.label[index].max() == 1 or item not in history(tiny, int(user))


def test_what_a_user_took_next_is_no_negative(tiny: ChallengeData, rows: np.ndarray) -> None:
    positive = rows[tiny.train.labels()[rows] == 1]
    took = set(zip(tiny.train.user_id[positive], tiny.train.item_id[positive], strict=True))
    assert len(took) > 50
    wanted = Augmentation(per_user=3, negatives=60, sampling="uniform")
    found = next_item_examples(tiny, rows, wanted, MOST, item_levels(tiny), 0)
    assert found.label is not None
    negative = found.label == 0
    drawn = set(zip(found.user_id[negative], found.item_id[negative], strict=True))
    assert len(drawn) > 1000
    assert not drawn & took


def test_only_users_of_the_given_rows_are_used_each_at_most_so_often(
    tiny: ChallengeData, rows: np.ndarray
) -> None:
    found = made(tiny, rows)
    assert set(found.user_id) <= set(tiny.train.user_id[rows])
    users, count = np.unique(found.user_id[found.label == 1], return_counts=True)
    able = [u for u in np.unique(tiny.train.user_id[rows]) if len(history(tiny, int(u))) > 2]
    assert users.tolist() == able
    expected = [min(2, len(history(tiny, int(u))) - 2) for u in users]
    assert count.tolist() == expected
    places = found.end[found.label == 1]
    assert len(np.unique(places)) == len(places)


def test_levels_are_the_items_own(tiny: ChallengeData, rows: np.ndarray) -> None:
    found, (likes, views) = made(tiny, rows), item_levels(tiny)
    assert np.array_equal(found.likes_level, likes[found.item_id])
    assert np.array_equal(found.views_level, views[found.item_id])


def test_histories_are_cut_to_the_most_recent(tiny: ChallengeData, rows: np.ndarray) -> None:
    whole, cut = made(tiny, rows), made(tiny, rows, most=3)
    assert np.array_equal(cut.end, whole.end)
    assert np.array_equal(cut.begin, np.maximum(whole.begin, whole.end - 3))


def test_the_draws_depend_on_the_seed_and_on_no_label_of_other_rows(
    tiny: ChallengeData, rows: np.ndarray
) -> None:
    again, other = made(tiny, rows), made(tiny, rows, seed=1)
    assert np.array_equal(made(tiny, rows).item_id, again.item_id)
    assert not np.array_equal(other.item_id, again.item_id)
    label = tiny.train.labels().copy()
    outside = np.setdiff1d(np.arange(len(label)), rows)
    label[outside] = 1 - label[outside]
    relabelled = replace(tiny, rows={**tiny.rows, "train": replace(tiny.train, label=label)})
    assert np.array_equal(made(relabelled, rows).item_id, again.item_id)


def test_negatives_come_from_where_the_recipe_says(tiny: ChallengeData, rows: np.ndarray) -> None:
    def drawn(**options: object) -> np.ndarray:
        wanted = Augmentation.model_validate({"per_user": 3, "negatives": 10, **options})
        found = next_item_examples(tiny, rows, wanted, MOST, item_levels(tiny), 0)
        return np.bincount(found.item_id[found.label == 0], minlength=tiny.n_items + 1)

    shown = tiny.train.item_id[rows][tiny.train.labels()[rows] == 0]
    like_rows = np.bincount(shown, minlength=tiny.n_items + 1)
    assert not drawn(sampling="rows")[like_rows == 0].any()
    held = np.bincount(
        [i for u in np.unique(tiny.train.user_id[rows]) for i in history(tiny, int(u))],
        minlength=tiny.n_items + 1,
    )
    assert not drawn(sampling="histories")[held == 0].any()
    assert np.corrcoef(drawn(sampling="histories"), held)[0, 1] > 0.9
    uniform = drawn(sampling="uniform")[1:]
    assert uniform.std() < 2 * np.sqrt(uniform.mean())


def test_a_user_who_has_every_item_gets_no_negative(tiny: ChallengeData) -> None:
    rows = np.arange(4)
    everything = np.arange(1, tiny.n_items + 1, dtype=np.int32)
    histories = replace(
        tiny.histories,
        values=everything,
        offsets=np.array([0] + [tiny.n_items] * len(tiny.histories), np.int64),
    )
    history = np.zeros(len(tiny.train), np.int32)
    train = replace(tiny.train, history=history)
    whole = replace(tiny, histories=histories, rows={**tiny.rows, "train": train})
    found = next_item_examples(whole, rows, Augmentation(per_user=1), MOST, item_levels(whole), 0)
    assert found.label is not None
    assert (found.label == 1).all()
