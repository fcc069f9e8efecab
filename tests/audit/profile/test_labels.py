"""Labels that the item, its number or its levels give away."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.audit.profile.leaks import Leak, assert_named, edited, rng


def parity_of_the_item_is_the_label(share: float) -> Callable[[Path], None]:
    def plant(folder: Path) -> None:
        for name in ("train", "valid"):
            with edited(folder, name) as c:
                item = c["item_id"]
                hit = (rng().random(len(item)) < share) & (item > 1) & (item < 300)
                item[hit] = (item // 2 * 2 + c["label"])[hit]

    return plant


def positives_have_items_of_their_own(folder: Path) -> None:
    for name in ("train", "valid"):
        with edited(folder, name) as c:
            half = rng().permutation(300) + 1
            place = np.argsort(half)[c["item_id"] - 1] // 2
            c["item_id"] = half[2 * place + c["label"]]


def items_that_are_never_a_negative(folder: Path) -> None:
    with edited(folder, "train") as c:
        popular = np.argsort(-np.bincount(c["item_id"]))[:40]
        wrong = np.isin(c["item_id"], popular) & (c["label"] == 0)
        others = np.setdiff1d(np.arange(1, 301), popular)
        c["item_id"][wrong] = rng().choice(others, int(wrong.sum()))


def levels_counted_with_the_label(folder: Path) -> None:
    with edited(folder, "train") as c:
        c["views_level"] = np.minimum(10, c["views_level"] + c["label"])


LEAKS = [
    Leak(parity_of_the_item_is_the_label(1.0), "item-code"),
    Leak(parity_of_the_item_is_the_label(0.3), "item-code"),
    Leak(positives_have_items_of_their_own, "item-label"),
    Leak(positives_have_items_of_their_own, "target-side"),
    Leak(items_that_are_never_a_negative, "item-purity"),
    Leak(levels_counted_with_the_label, "level-label"),
]


@pytest.mark.parametrize("leak", LEAKS, ids=str)
def test_a_planted_leak_is_named(leak: Leak, folder: Path) -> None:
    assert_named(leak, folder)
