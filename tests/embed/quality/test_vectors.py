"""Vectors near zero, equal, nearly equal, and far from all others."""

import numpy as np
import pytest
from numpy.typing import NDArray

from mmctr_kit.embed.quality.vectors import duplicates, far, near_duplicates, near_zero, same_keys

ROWS = np.arange(1, 601)


def vectors(scale: float = 1.0) -> NDArray[np.float32]:
    """Row 0 is padding; the others lie around a centre that is far from zero."""
    rng = np.random.default_rng(0)
    table = np.vstack([np.zeros(40), 2 + rng.standard_normal((600, 40))])
    return (scale * table).astype(np.float32)


@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e4])
def test_clean_vectors_of_any_scale_raise_no_alarm(scale: float) -> None:
    for check in (near_zero, duplicates, near_duplicates, far):
        items, why = check(vectors(scale), ROWS)
        assert (len(items), why) == (0, [])


@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e4])
def test_short_vectors_are_near_zero_the_shortest_first(scale: float) -> None:
    x = vectors(scale)
    x[7] *= 1e-3
    x[5] *= 1e-5
    items, why = near_zero(x, ROWS)
    assert items.tolist() == [5, 7]
    assert why[0].startswith("length ")


def test_equal_vectors_are_duplicates_the_largest_group_first() -> None:
    x = vectors()
    x[[20, 30]] = x[10]
    x[4] = x[3]
    items, why = duplicates(x, ROWS)
    assert items.tolist() == [10, 20, 30, 3, 4]
    assert why[1] == "one vector for 3 items, of which 10 is the first"


def test_only_the_rows_asked_for_are_looked_at() -> None:
    x = vectors()
    x[20] = x[10]
    assert not len(duplicates(x, ROWS[ROWS != 20])[0])
    assert not len(near_zero(x, ROWS)[0])  # the padding row is zero


@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e4])
def test_vectors_that_differ_by_little_are_near_duplicates_and_equal_ones_are_not(
    scale: float,
) -> None:
    x = vectors(scale)
    x[20] = x[10] * 1.001
    x[30] = x[40]
    x[50] = x[60]
    x[50, 0] += scale  # a fifteenth of the usual distance
    items, why = near_duplicates(x, ROWS)
    assert sorted(items.tolist()) == [10, 20]
    assert why[0].endswith(("from item 20", "from item 10"))


def test_near_duplicates_are_those_that_all_pairs_give() -> None:
    x = vectors()
    rng = np.random.default_rng(1)
    x[1:201] = x[201:401] + rng.uniform(0, 0.12, (200, 1)).astype(np.float32) * rng.standard_normal(
        (200, 40)
    ).astype(np.float32)
    distance = np.linalg.norm(x[1:, None].astype(np.float64) - x[None, 1:], axis=2)
    usual = np.median(distance[np.triu_indices(600, 1)])
    np.fill_diagonal(distance, np.inf)
    clear = np.abs(distance.min(axis=1) / usual - 0.05) > 0.003  # the usual distance is a sample's
    expected = set((1 + np.flatnonzero(clear & (distance.min(axis=1) < 0.05 * usual))).tolist())
    assert 20 < len(expected) < 380
    items = near_duplicates(x, ROWS)[0]
    assert {i for i in items.tolist() if clear[i - 1]} == expected


def test_a_vector_far_from_the_centre_is_far_however_many_there_are() -> None:
    x = vectors()
    centre = x[1:].mean(axis=0)
    bad = np.arange(1, 61)
    x[bad] = centre + 4 * (x[bad] - centre)
    x[100] = centre + 40 * (x[100] - centre)
    items, why = far(x, ROWS)
    assert items[0] == 100
    assert set(items.tolist()) == {*bad.tolist(), 100}
    assert why[0].endswith("times as far from the centre as most")


def test_few_or_equal_items_are_no_problem() -> None:
    x = np.ones((4, 5), np.float32)
    for rows in (ROWS[:0], ROWS[:1], ROWS[:3]):
        assert len(duplicates(x, rows)[0]) == (3 if len(rows) == 3 else 0)
        for check in (near_zero, near_duplicates, far):
            assert not len(check(x, rows)[0])


def test_keys_may_be_bytes() -> None:
    items, why = same_keys(np.array([b"x", b"y", b"x"]), np.array([4, 9, 2]), "picture")
    assert items.tolist() == [2, 4]
    assert "one picture for 2 items" in why[0]
