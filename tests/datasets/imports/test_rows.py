"""No row meets its label: targets, histories, negatives and levels of any log, against loops."""

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmctr_kit.datasets.imports.rows import item_levels
from mmctr_kit.datasets.imports.write import histories
from tests.datasets.imports.made import (
    EVENTS,
    Event,
    names,
    once,
    row_times,
    rows_of,
    spec_of,
    taken_before,
)

Shape = dict[str, Any]
SHAPES = st.fixed_dictionaries(
    {
        "history": st.sampled_from(["shared", "growing"]),
        "min_history": st.integers(0, 3),
        "history_length": st.integers(1, 4),
        "target_share": st.sampled_from([0.2, 0.5, 1.0]),
        "max_targets": st.sampled_from([None, 1, 3]),
        "negatives": st.sampled_from(["popularity", "uniform", "recent", "logged"]),
        "per_positive": st.integers(1, 3),
        "low_share": st.sampled_from([0.0, 0.5, 1.0]),
    }
)


def positive_once(events: list[Event]) -> bool:
    ratings = {e.rating for e in once(events, "last")}
    return bool(ratings & {4, 5}) and bool(ratings & {1, 2, 3})


@settings(max_examples=120)
@given(events=EVENTS.filter(positive_once), shape=SHAPES, seed=st.integers(0, 3))
def test_every_row_keeps_its_promises(
    tmp_path_factory: pytest.TempPathFactory, events: list[Event], shape: Shape, seed: int
) -> None:
    folder = tmp_path_factory.mktemp("log")
    spec = spec_of(rows=shape, seed=seed)
    log, rows = rows_of(folder, events, spec)
    events = once(events, "last")
    time, of_row = row_times(log, rows), histories(rows)
    first = {int(u): int(time[rows.user == u].min()) for u in np.unique(rows.user)}
    seen = {i: min(e.time for e in events if e.item == i) for i in {e.item for e in events}}
    for r in range(len(rows)):
        user, item = names(log, rows.user[r], rows.item[r])
        ends = first[int(rows.user[r])] if shape["history"] == "shared" else int(time[r])
        past = taken_before(events, user, ends, item)
        history = of_row.values[of_row.offsets[r] : of_row.offsets[r + 1]]
        items = [names(log, rows.user[r], i)[1] for i in history]
        of_time = {e.item: e.time for e in events if e.user == user and e.rating >= 4}
        assert len(items) == min(len(past), shape["history_length"])
        assert len(past) >= shape["min_history"]
        assert [of_time[i] for i in items] == [t for t, _ in past[len(past) - len(items) :]]
        if rows.event[r] >= 0:
            rating = 4 if rows.label[r] else 1
            event = next(e for e in events if (e.user, e.item) == (user, item))
            assert event.time == time[r]
            assert (event.rating >= 4, event.rating <= 2) == (rating >= 4, rating <= 2)
        else:
            assert rows.label[r] == 0
            assert item not in {e.item for e in events if e.user == user}
            assert seen[item] <= time[r]


@settings(max_examples=80)
@given(events=EVENTS.filter(positive_once), shape=SHAPES)
def test_drawn_negatives_differ_and_every_user_has_the_same_share_of_positives(
    tmp_path_factory: pytest.TempPathFactory, events: list[Event], shape: Shape
) -> None:
    shape = shape | {"negatives": shape["negatives"].replace("logged", "recent")}
    _, rows = rows_of(tmp_path_factory.mktemp("log"), events, spec_of(rows=shape))
    for user in np.unique(rows.user):
        own = rows.user == user
        assert own.sum() == rows.label[own].sum() * (1 + shape["per_positive"])
        assert len(np.unique(rows.item[own])) == own.sum()
        logged = (rows.event[own] >= 0) & (rows.label[own] == 0)
        assert logged.sum() <= shape["low_share"] * (rows.label[own] == 0).sum()


@settings(max_examples=60)
@given(events=EVENTS.filter(positive_once))
def test_a_log_with_impressions_gives_back_exactly_its_rows(
    tmp_path_factory: pytest.TempPathFactory, events: list[Event]
) -> None:
    spec = spec_of(
        interactions={"repeats": "keep", "negative": None},
        rows={
            "negatives": "logged", "history": "growing", "min_history": 0,
            "target_share": 1.0, "max_targets": None,
        },
    )  # fmt: skip
    log, rows = rows_of(tmp_path_factory.mktemp("log"), events, spec)
    given_rows = Counter((e.user, e.item, e.time, int(e.rating >= 4)) for e in events)
    time = row_times(log, rows)
    made = Counter(
        (*names(log, rows.user[r], rows.item[r]), int(time[r]), int(rows.label[r]))
        for r in range(len(rows))
    )
    assert made == given_rows
    assert rows.dropped == {}


@settings(max_examples=40)
@given(events=EVENTS.filter(positive_once), shape=SHAPES, order=st.randoms())
def test_rows_do_not_depend_on_the_order_of_the_file(
    tmp_path_factory: pytest.TempPathFactory, events: list[Event], shape: Shape, order: Any
) -> None:
    spec = spec_of(rows=shape)
    first = rows_of(tmp_path_factory.mktemp("a"), events, spec)[1]
    shuffled = order.sample(events, len(events))
    second = rows_of(tmp_path_factory.mktemp("b"), shuffled, spec)[1]
    for name in ("user", "item", "label", "begin", "end", "taken"):
        np.testing.assert_array_equal(getattr(first, name), getattr(second, name))


@settings(max_examples=60)
@given(events=EVENTS.filter(positive_once), shape=SHAPES)
def test_every_interaction_is_a_row_or_counted_once_as_none(
    tmp_path_factory: pytest.TempPathFactory, events: list[Event], shape: Shape
) -> None:
    log, rows = rows_of(tmp_path_factory.mktemp("log"), events, spec_of(rows=shape))
    used = rows.event[rows.event >= 0]
    assert len(np.unique(used)) == len(used)
    assert sum(rows.dropped.values()) + len(used) == len(log)


def test_levels_count_no_target_and_nothing_after_the_train_period(tmp_path: Path) -> None:
    events = [Event(u, i, 10 * i, 5) for i in range(10) for u in range(10 - i)]
    spec = spec_of(interactions={"positive": None, "negative": None})
    log, _ = rows_of(tmp_path, events, spec)
    whole = item_levels(log, np.zeros(0, np.int64), None)
    assert whole["views_level"].tolist() == [0, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1]
    of_first = np.flatnonzero(log.item == 1)
    assert item_levels(log, of_first, None)["views_level"][1] == 1
    early = item_levels(log, np.zeros(0, np.int64), 30)["likes_level"]
    assert early.tolist() == [0, 10, 9, 8, *[1] * 7]
