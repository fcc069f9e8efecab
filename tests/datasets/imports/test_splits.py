"""A split by time never looks ahead, one by user shares no user, and an empty one is refused."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmctr_kit.datasets.imports.splits import OUTSIDE, TEST, TRAIN, VALID, assign
from mmctr_kit.errors import DataError
from tests.datasets.imports.made import EVENTS, Event, row_times, rows_of, spec_of

MANY = [
    Event(u, (3 * u + k) % 25, 5 * k + u % 3, 1 + (u + k) % 5) for u in range(60) for k in range(12)
]
GROWING = {"history": "growing", "target_share": 1.0, "min_history": 1, "low_share": 0.0}


def split_of(folder: Path, events: list[Event], **split: Any) -> Any:
    """The log, rows, their splits, and the end of train."""
    spec = spec_of(rows=GROWING, split=split)
    log, rows = rows_of(folder, events, spec)
    return log, rows, *assign(rows, log, spec.split, spec.seed)


@settings(max_examples=60)
@given(events=EVENTS, valid=st.sampled_from([0.1, 0.3]), test=st.sampled_from([0.1, 0.4]))
def test_no_train_row_is_at_the_time_of_a_valid_row_or_later(
    tmp_path_factory: pytest.TempPathFactory, events: list[Event], valid: float, test: float
) -> None:
    try:
        log, rows, split, until = split_of(
            tmp_path_factory.mktemp("log"), events, by="time", valid=valid, test=test
        )
    except DataError:
        return  # too small to be split
    time = row_times(log, rows)
    assert time[split == TRAIN].max() < until <= time[split == VALID].min()
    assert time[split == VALID].max() < time[split == TEST].min()
    assert (split != OUTSIDE).all()


def test_shares_of_users_are_kept_and_no_user_is_in_two(tmp_path: Path) -> None:
    log, rows, split, until = split_of(tmp_path, MANY, by="user", valid=0.1, test=0.2)
    users = [set(rows.user[split == s].tolist()) for s in (TRAIN, VALID, TEST)]
    total = len(set(rows.user.tolist()))
    assert [len(u) for u in users[1:]] == [round(0.1 * total), round(0.2 * total)]
    assert sum(map(len, users)) == total
    assert until is None
    assert log.calendar


def test_both_gives_each_user_one_split_and_each_split_its_period(tmp_path: Path) -> None:
    log, rows, split, _ = split_of(tmp_path, MANY, by="both", valid=0.2, test=0.2, users=0.3)
    time = row_times(log, rows)
    users = [set(rows.user[split == s].tolist()) for s in (TRAIN, VALID, TEST)]
    assert not users[0] & users[1] | users[1] & users[2] | users[0] & users[2]
    assert time[split == TRAIN].max() < time[split == VALID].min()
    assert time[split == VALID].max() < time[split == TEST].min()
    assert (split == OUTSIDE).any()


def test_dates_cut_where_they_say(tmp_path: Path) -> None:
    day = 86_400_000
    events = [e._replace(time=day * e.time) for e in MANY]
    log, rows, split, until = split_of(
        tmp_path, events, by="time", valid="1970-01-31", test="1970-02-10"
    )
    time = row_times(log, rows)
    np.testing.assert_array_equal(split, np.searchsorted([30 * day, 40 * day], time, "right"))
    assert until == 30 * day


@pytest.mark.parametrize(
    ("split", "message"),
    [
        (
            {"by": "time", "valid": "1971-01-01", "test": "1971-06-01"},
            "split.by time: valid has no",
        ),
        (
            {"by": "time", "valid": "1969-01-01", "test": "1969-06-01"},
            "split.by time: train has no",
        ),
    ],
)
def test_a_split_without_rows_is_refused(
    tmp_path: Path, split: dict[str, Any], message: str
) -> None:
    with pytest.raises(DataError, match=message):
        split_of(tmp_path, MANY, **split)


def test_too_few_users_are_refused(tmp_path: Path) -> None:
    events = [e for e in MANY if e.user < 3]
    with pytest.raises(DataError, match=r"[12] users? with rows; expected more"):
        split_of(tmp_path, events, by="user")
