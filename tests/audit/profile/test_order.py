"""Labels that the order of rows gives away."""

from pathlib import Path

import numpy as np
import pytest

from tests.audit.profile.leaks import Leak, assert_named, edited, rng


def rows_sorted_by_label(folder: Path) -> None:
    with edited(folder, "train") as c:
        order = np.argsort(c["label"], kind="stable")
        c.update({n: v[order] for n, v in c.items()})


def positive_first_of_each_user(folder: Path) -> None:
    with edited(folder, "train") as c:
        order = np.lexsort((-c["label"], c["user_id"]))
        c.update({n: v[order] for n, v in c.items()})


def positive_second_of_each_user_shuffled_users(folder: Path) -> None:
    """No trend and no first place: the users' rows are apart, the positive is their second."""
    with edited(folder, "train") as c:
        order = np.lexsort((rng().random(len(c["label"])), c["user_id"])).reshape(-1, 4)
        at = np.argmax(c["label"][order] == 1, axis=1)
        each = np.arange(len(order))
        order[each, at], order[each, 1] = order[each, 1].copy(), order[each, at].copy()
        c.update({n: v[order.T.ravel()] for n, v in c.items()})


LEAKS = [
    Leak(rows_sorted_by_label, "row-order"),
    Leak(positive_first_of_each_user, "row-order"),
    Leak(positive_second_of_each_user_shuffled_users, "row-order"),
]


@pytest.mark.parametrize("leak", LEAKS, ids=str)
def test_a_planted_leak_is_named(leak: Leak, folder: Path) -> None:
    assert_named(leak, folder)
