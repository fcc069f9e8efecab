"""Folds by user, by item and by time: what a row's fold depends on, and what its model has seen."""

from dataclasses import replace
from typing import get_args

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from mmctr_kit.data.dataset import Rows
from mmctr_kit.data.folds import (
    UNPREDICTED,
    FoldsBy,
    assign_folds,
    fold_fingerprint,
    held_out,
    trained_on,
    user_folds,
    user_hash,
)
from mmctr_kit.errors import DataError

USERS = st.lists(st.integers(-(2**63), 2**63 - 1), min_size=1, max_size=30)
SEED = st.integers(-(2**63), 2**63 - 1)
COUNT = st.integers(2, 100)


def ids(users: list[int]) -> NDArray[np.int64]:
    return np.array(users, np.int64)


@given(users=USERS, count=st.integers(2, 100), seed=SEED, data=st.data())
def test_rows_of_a_user_share_a_fold_whatever_stands_beside_them(
    users: list[int], count: int, seed: int, data: st.DataObject
) -> None:
    fold = user_folds(ids(users), count, seed)
    assert fold.dtype == np.int16
    assert ((fold >= 0) & (fold < count)).all()
    alone = [int(user_folds(ids([u]), count, seed)[0]) for u in users]
    assert fold.tolist() == alone
    order = data.draw(st.permutations(range(len(users))))
    assert user_folds(ids(users)[order], count, seed).tolist() == fold[order].tolist()


def test_folds_never_change_between_versions() -> None:
    users = ids([-(2**63), -1, 0, 1, 2, 3, 1_000_000, 2**63 - 1])
    assert user_folds(users, 5, 0).tolist() == [4, 1, 0, 0, 2, 4, 4, 4]
    # SplitMix64 of 0 is 0xE220A8397B1DCDAF: the key of seed 0, and of this user the other half
    assert user_hash(ids([0xE220A8397B1DCDAF - 2**64]), 0).tolist() == [0xE220A8397B1DCDAF]


@pytest.mark.parametrize("kind", [np.int32, np.uint32, np.int64, np.uint64])
def test_the_width_of_the_ids_changes_no_fold(kind: type[np.integer]) -> None:
    users = np.arange(100)
    np.testing.assert_array_equal(user_folds(users.astype(kind), 7, 3), user_folds(users, 7, 3))


@pytest.mark.parametrize("step", [1, 2, 5, 1024])
@pytest.mark.parametrize("seed", [0, 1])
def test_folds_are_of_equal_size_but_for_chance(step: int, seed: int) -> None:
    n, count = 20_000, 5
    sizes = np.bincount(user_folds(np.arange(n) * step, count, seed), minlength=count)
    chance = np.sqrt(n * (1 / count) * (1 - 1 / count))
    assert abs(sizes - n / count).max() < 5 * chance


def test_seeds_give_unrelated_folds() -> None:
    users = np.arange(20_000)
    same = np.mean(user_folds(users, 5, 0) == user_folds(users, 5, 1))
    assert abs(same - 0.2) < 5 * np.sqrt(0.2 * 0.8 / 20_000)


@pytest.mark.parametrize("count", [1, 0, -1])
def test_fewer_than_two_folds_are_refused(count: int) -> None:
    with pytest.raises(ValueError, match="at least 2"):
        user_folds(np.arange(3), count, 0)


@given(users=USERS, share=st.floats(0.01, 0.5), seed=SEED)
def test_a_user_is_held_out_with_all_rows_or_none(
    users: list[int], share: float, seed: int
) -> None:
    held = held_out(ids(users), share, seed)
    assert held.tolist() == [bool(held_out(ids([u]), share, seed)[0]) for u in users]


@pytest.mark.parametrize("share", [0.0, 0.05, 0.5, 1.0])
def test_about_the_share_is_held_out_of_every_fold(share: float) -> None:
    users = np.arange(50_000)
    held, fold = held_out(users, share, 0), user_folds(users, 5, 0)
    for f in range(5):
        found = held[fold == f].mean()
        assert abs(found - share) <= 5 * np.sqrt(share * (1 - share) / 10_000)


def test_a_fingerprint_tells_assignments_apart() -> None:
    fold = user_folds(np.arange(100), 5, 0)
    assert fold_fingerprint(fold) == fold_fingerprint(fold.copy())
    others = (user_folds(np.arange(100), 5, 1), fold[::-1], fold[:-1])
    assert all(fold_fingerprint(o) != fold_fingerprint(fold) for o in others)


def rows_of(item: list[int], time: list[int] | None = None) -> Rows:
    n, small = len(item), np.zeros(len(item), np.int8)
    return Rows(
        user_id=np.arange(n),
        item_id=np.array(item, np.int32),
        occurrence=np.zeros(n, np.int32),
        likes_level=small,
        views_level=small,
        history=np.zeros(n, np.int32),
        label=small,
        time=None if time is None else np.array(time, np.int64),
    )


def test_folds_by_user_are_those_of_the_users() -> None:
    rows = rows_of([3, 1, 2, 2])
    fold = assign_folds(rows, "user", 3, 7)
    np.testing.assert_array_equal(fold, user_folds(rows.user_id, 3, 7))


def many(rows: int = 4000) -> Rows:
    """Rows of 300 users and 100 items, at random."""
    rng = np.random.default_rng(0)
    made = rows_of(rng.integers(1, 101, rows).tolist())
    return replace(made, user_id=rng.integers(300, size=rows))


def test_item_folds_ask_new_users_for_new_items() -> None:
    rows = many()
    fold = assign_folds(rows, "item", 4, 0)
    np.testing.assert_array_equal(
        fold, np.where(fold == UNPREDICTED, UNPREDICTED, user_folds(rows.user_id, 4, 0))
    )
    assert 0.2 < np.mean(fold != UNPREDICTED) < 0.3
    for f in range(4):
        trained, predicted = trained_on(rows, fold, f), fold == f
        assert set(rows.item_id[trained]).isdisjoint(rows.item_id[predicted])
        assert set(rows.user_id[trained]).isdisjoint(rows.user_id[predicted])
        # Nobody else is left out.
        known = set(rows.item_id[predicted]), set(rows.user_id[predicted])
        left_out = np.flatnonzero(~trained)
        assert all(rows.item_id[i] in known[0] or rows.user_id[i] in known[1] for i in left_out)
    assert len(set(rows.item_id[fold == 0]) & set(rows.item_id[fold == 1])) == 0


def test_an_items_fold_is_unrelated_to_the_fold_of_the_user_with_its_number() -> None:
    items = list(range(20_000))
    rows = replace(rows_of(items), user_id=np.array(items))
    assert abs(np.mean(assign_folds(rows, "item", 5, 0) >= 0) - 0.2) < 0.02


TIMES = st.lists(st.integers(-(2**62), 2**62) | st.integers(0, 12), min_size=1, max_size=60)


@given(times=TIMES, count=st.integers(2, 8))
def test_time_folds_follow_each_other_and_a_model_has_seen_nothing_later(
    times: list[int], count: int
) -> None:
    rows = rows_of([1] * len(times), times)
    try:
        fold = assign_folds(rows, "time", count, 0)
    except DataError:
        # Some block would be empty, since rows of one time have more than a block's share.
        assert max(map(times.count, times)) > len(times) // (count + 1)
        return
    assert sorted(set(fold.tolist())) == list(range(-1, count))
    time = np.array(times)
    for f in range(count):
        trained, predicted = time[trained_on(rows, fold, f)], time[fold == f]
        assert trained.max() < predicted.min()
        assert (trained_on(rows, fold, f) == (time < predicted.min())).all()


def test_blocks_of_time_are_of_equal_size_and_the_seed_does_nothing() -> None:
    times = np.random.default_rng(0).permutation(600)
    fold = assign_folds(rows_of([1] * 600, times.tolist()), "time", 5, 0)
    assert (np.bincount(fold + 1) == 100).all()
    assert ((fold == UNPREDICTED) == (times < 100)).all()
    again = assign_folds(rows_of([1] * 600, times.tolist()), "time", 5, 3)
    np.testing.assert_array_equal(fold, again)


def test_time_folds_without_times_or_with_too_few_say_in_one_line_what_to_do() -> None:
    with pytest.raises(DataError, match=r"no column time; write it .*, or set folds.by=user"):
        assign_folds(rows_of([1, 2]), "time", 2, 0)
    with pytest.raises(
        DataError, match=r"6 train rows at 2 distinct times cannot .* 3 blocks.* folds.count lower"
    ):
        assign_folds(rows_of([1] * 6, [5, 5, 5, 9, 9, 9]), "time", 2, 0)


def test_other_folds_models_train_on_all_other_folds() -> None:
    fold = np.array([0, 1, 2, 1], np.int16)
    assert trained_on(rows_of([1, 2, 3, 4]), fold, 1).tolist() == [True, False, True, False]


def test_a_fingerprint_tells_by_what_rows_are_kept_apart() -> None:
    fold = user_folds(np.arange(100), 5, 0)
    assert len({fold_fingerprint(fold, by) for by in get_args(FoldsBy)}) == 3
    assert fold_fingerprint(fold, "user") == fold_fingerprint(fold)
