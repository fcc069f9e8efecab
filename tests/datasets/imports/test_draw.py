"""Negatives are drawn as the SPEC says: by popularity, uniformly, or as taken recently."""

from pathlib import Path

import numpy as np
import pytest

from tests.datasets.imports.made import Event, names, row_times, rows_of, spec_of

DAY = 86_400_000


def frequencies(folder: Path, negatives: str, power: float = 1.0) -> np.ndarray:
    """How often each of items 0 to 4, taken 50, 40, 30, 20 and 10 times, is drawn."""
    crowd = [Event(u, i, i, 5) for i in range(5) for u in range(50 - 10 * i)]
    # Users who took another item alone; each has one target and one negative.
    buyers = [Event(100 + u, 5, 100, 5) for u in range(2000)]
    spec = spec_of(
        interactions={"positive": None, "negative": None},
        rows={
            "negatives": negatives, "power": power, "min_history": 0, "per_positive": 1,
            "target_share": 1.0,
        },
    )  # fmt: skip
    log, rows = rows_of(folder, crowd + buyers, spec)
    drawn = np.flatnonzero(rows.event < 0)
    pairs = [names(log, rows.user[r], rows.item[r]) for r in drawn]
    count = np.bincount([item for user, item in pairs if user >= 100], minlength=5)
    return count / count.sum()


@pytest.mark.parametrize(("power", "expected"), [(1.0, [50, 40, 30, 20, 10]), (0.0, [1] * 5)])
def test_a_negative_is_drawn_by_its_count_to_a_power(
    tmp_path: Path, power: float, expected: list[int]
) -> None:
    share = np.array(expected) / sum(expected)
    np.testing.assert_allclose(frequencies(tmp_path, "popularity", power), share, atol=0.04)


def test_uniform_is_the_power_zero(tmp_path: Path) -> None:
    np.testing.assert_allclose(frequencies(tmp_path, "uniform"), [0.2] * 5, atol=0.04)


def test_recent_draws_what_was_taken_in_the_days_before(tmp_path: Path) -> None:
    old = [Event(u, i, 0, 5) for i in range(6) for u in range(20)]
    new = [Event(u, i, 40 * DAY, 5) for i in range(6, 12) for u in range(30, 50)]
    buyers = [Event(100 + u, 20, 50 * DAY + u, 5) for u in range(200)]
    spec = spec_of(
        interactions={"positive": None, "negative": None},
        rows={"negatives": "recent", "min_history": 0, "per_positive": 2, "target_share": 1.0},
    )
    log, rows = rows_of(tmp_path, old + new + buyers, spec)
    late = (rows.event < 0) & (row_times(log, rows) >= 50 * DAY)
    items = {names(log, rows.user[r], rows.item[r])[1] for r in np.flatnonzero(late)}
    assert items == set(range(6, 12))


def test_a_user_whose_items_hardly_suffice_gets_what_there_is(tmp_path: Path) -> None:
    # 6 items; user 0 took 4 of them, so 2 are left: enough for 2 targets, not for 4.
    events = [Event(0, i, 10 + i, 5) for i in range(4)]
    events += [Event(1, i, i, 5) for i in range(6)]
    spec = spec_of(
        interactions={"positive": None, "negative": None},
        rows={"min_history": 0, "per_positive": 1, "target_share": 1.0},
    )
    log, rows = rows_of(tmp_path, events, spec)
    of_first = [r for r in range(len(rows)) if names(log, rows.user[r], rows.item[r])[0] == 0]
    drawn = {names(log, rows.user[r], rows.item[r])[1] for r in of_first if rows.event[r] < 0}
    assert drawn == {4, 5}
    assert sum(rows.label[r] for r in of_first) == 2


def test_another_seed_draws_others(tmp_path: Path) -> None:
    events = [Event(u, (7 * u + k) % 40, u + k, 5) for u in range(30) for k in range(5)]
    positive = {"positive": None, "negative": None}
    made = [
        rows_of(tmp_path, events, spec_of(interactions=positive, seed=seed))[1]
        for seed in (0, 0, 1)
    ]
    assert np.array_equal(made[0].item, made[1].item)
    assert not np.array_equal(made[0].item, made[2].item)
