"""Leaks through histories and through users with two ids."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.audit.profile.leaks import Leak, assert_named, edited


def targets_into_histories(folder: Path) -> None:
    for name in ("train", "valid"):
        with edited(folder, name) as c:
            hit = c["label"] == 1
            c["item_seq"][hit, -1] = c["item_id"][hit]


def the_users_positive_into_all_their_histories(folder: Path) -> None:
    with edited(folder, "train") as c:
        of_user = dict(zip(*(c[n][c["label"] == 1] for n in ("user_id", "item_id")), strict=True))
        c["item_seq"][:, -1] = [of_user[u] for u in c["user_id"].tolist()]


def users_of_train_in_valid(folder: Path) -> None:
    with edited(folder, "train") as c:
        some = np.unique(c["user_id"])[:5]
    with edited(folder, "valid") as c:
        own = np.unique(c["user_id"])[:5]
        for old, new in zip(own, some, strict=True):
            c["user_id"][c["user_id"] == old] = new


def valid_is_train_under_new_ids(longer: int) -> Callable[[Path], None]:
    """``longer``: the copies' histories have so many items more."""

    def plant(folder: Path) -> None:
        with edited(folder, "train") as c:
            order = np.argsort(c["user_id"], kind="stable")[:40]
            copied = {n: v[order] for n, v in c.items()}
        with edited(folder, "valid") as c:
            for name in ("item_seq", "item_id", "label", "likes_level", "views_level"):
                c[name][:40] = copied[name]
            c["user_id"][:40] = 10**6 + copied["user_id"]
            if longer:
                past = c["item_seq"][:40]
                c["item_seq"][:40] = np.hstack([past[:, 1:], (past[:, -1:] % 300) + 1])

    return plant


def users_twice_within_train(folder: Path) -> None:
    with edited(folder, "train") as c:
        order = np.argsort(c["user_id"], kind="stable")[:80]
        for name, values in c.items():
            more = values[order] + 10**6 if name == "user_id" else values[order]
            c[name] = np.concatenate([values, more])


def test_rows_twice(folder: Path) -> None:
    with edited(folder, "test") as c:
        for name, values in c.items():
            c[name] = np.concatenate([values, values[:20]])
        c["ID"] = np.arange(len(c["ID"]))


def positives_have_shorter_histories(folder: Path) -> None:
    with edited(folder, "train") as c:
        c["item_seq"][c["label"] == 1, :-3] = 0


LEAKS = [
    Leak(targets_into_histories, "target-in-history"),
    Leak(the_users_positive_into_all_their_histories, "target-in-history"),
    Leak(users_of_train_in_valid, "split-users"),
    Leak(valid_is_train_under_new_ids(0), "sibling-rows"),
    Leak(valid_is_train_under_new_ids(1), "sibling-rows"),
    Leak(users_twice_within_train, "sibling-rows"),
    Leak(test_rows_twice, "duplicate-rows"),
    Leak(positives_have_shorter_histories, "history-label"),
]


@pytest.mark.parametrize("leak", LEAKS, ids=str)
def test_a_planted_leak_is_named(leak: Leak, folder: Path) -> None:
    assert_named(leak, folder)
