"""Vectors that belong to other items."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from mmctr_kit.data.contract import FILES
from tests.audit.profile.leaks import Leak, assert_named, edited, rng


def vectors_of_other_items(name: str, *columns: str) -> Callable[[Path], None]:
    def plant(folder: Path) -> None:
        with edited(folder, name) as c:
            first = 1 if name == "item_info" else 0
            order = np.r_[np.arange(first), first + rng().permutation(300)]
            for column in columns:
                c[column] = c[column][order]

    return plant


def alone(name: str, plant: Callable[[Path], None]) -> Callable[[Path], None]:
    """The fault where no other embedding file is there to compare with."""

    def both(folder: Path) -> None:
        plant(folder)
        for other in ("item_feature", "item_emb"):
            if other != name:
                (folder / FILES[other].path).unlink()

    return both


def vectors_shifted_by_one(folder: Path) -> None:
    with edited(folder, "item_info") as c:
        c["item_emb_d128"][1:] = np.roll(c["item_emb_d128"][1:], 1, axis=0)


INFO = vectors_of_other_items("item_info", "item_emb_d128")
GIVEN = vectors_of_other_items("item_emb", *(f"item_emb_d128_{v}" for v in ("v1", "v2", "v3")))
TEXT = vectors_of_other_items("item_feature", "txt_emb_BERT")
IMAGE = vectors_of_other_items("item_feature", "img_emb_CLIPRN50")

LEAKS = [
    Leak(INFO, "item-info-alignment"),
    Leak(INFO, "embedding-order"),
    Leak(alone("item_info", INFO), "embedding-order"),
    Leak(alone("item_info", vectors_shifted_by_one), "embedding-order"),
    Leak(GIVEN, "item-info-alignment"),
    Leak(alone("item_emb", GIVEN), "embedding-order"),
    Leak(TEXT, "item-feature-alignment"),
    Leak(alone("item_feature", TEXT), "embedding-order"),
    Leak(alone("item_feature", IMAGE), "embedding-order"),
]


@pytest.mark.slow
@pytest.mark.parametrize("leak", LEAKS, ids=str)
def test_a_planted_leak_is_named(leak: Leak, folder: Path) -> None:
    assert_named(leak, folder)
