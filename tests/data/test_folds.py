"""A user's fold is a hash of the user and the seed, and of nothing else."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from mmctr_kit.data.folds import fold_fingerprint, held_out, user_folds, user_hash

USERS = st.lists(st.integers(-(2**63), 2**63 - 1), min_size=1, max_size=30)
SEED = st.integers(-(2**63), 2**63 - 1)


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
