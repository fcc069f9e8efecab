"""Splits that differ."""

from pathlib import Path

import pytest

from tests.audit.profile.leaks import Leak, assert_named, edited, rng


def valid_of_short_histories(folder: Path) -> None:
    with edited(folder, "valid") as c:
        c["item_seq"][:, :-3] = 0


def test_of_other_items(folder: Path) -> None:
    with edited(folder, "test") as c:
        hit = rng().random(len(c["item_id"])) < 0.4
        c["item_id"][hit] = rng().integers(1, 30, int(hit.sum()))


LEAKS = [
    Leak(valid_of_short_histories, "split-shift"),
    Leak(test_of_other_items, "popularity-shift"),
]


@pytest.mark.slow
@pytest.mark.parametrize("leak", LEAKS, ids=str)
def test_a_planted_leak_is_named(leak: Leak, folder: Path) -> None:
    assert_named(leak, folder)
