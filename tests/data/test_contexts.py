"""mmctr_kit.data.contexts: one sequence of distinct items for each training user."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from mmctr_kit.data.contexts import Contexts, contexts, cut_by_sum, find_sorted
from mmctr_kit.data.contract import SPLITS, Split
from mmctr_kit.data.dataset import ChallengeData, Rows
from mmctr_kit.data.packing import deduplicate
from mmctr_kit.data.ragged import Ragged

ITEMS = 8
USERS = (3, 10, 11, 2**40)
UNKNOWN = 7
Row = tuple[int, list[int], int]
"""A row's user, history (oldest first) and target."""


def world(
    train: Sequence[Row],
    valid: Sequence[Row] = (),
    test: Sequence[Row] = (),
    positive: bool | None = None,
) -> ChallengeData:
    """A data set of these rows; labels are 0, 1, 0, 1, ..., or all ``positive`` or none."""
    rows = [*train, *valid, *test]
    lengths = np.array([len(h) for _, h, _ in rows], np.int64)
    items = np.array([i for _, h, _ in rows for i in h], np.int32)
    histories, index = deduplicate(Ragged.of(items, lengths))
    splits: dict[Split, Rows] = {}
    begin = 0
    for split, own in zip(SPLITS, (train, valid, test), strict=True):
        level = np.ones(len(own), np.int8)
        splits[split] = Rows(
            user_id=np.array([u for u, _, _ in own], np.int64),
            item_id=np.array([t for _, _, t in own], np.int32),
            occurrence=np.zeros(len(own), np.int32),
            likes_level=level,
            views_level=level,
            history=index[begin : begin + len(own)],
            label=None if split == "test" else _labels(len(own), positive),
        )
        begin += len(own)
    tags, emb = np.zeros((ITEMS + 1, 1), np.int32), np.zeros((ITEMS + 1, 0), np.float32)
    return ChallengeData(Path("nowhere"), splits, histories, tags, emb, "rows", "context")


def _labels(rows: int, positive: bool | None) -> NDArray[np.int8]:
    alternating = np.arange(rows) % 2
    return (alternating if positive is None else np.full(rows, positive)).astype(np.int8)


@st.composite
def rows_of(draw: st.DrawFn, users: Sequence[int], most: int) -> list[Row]:
    """Rows of some of the users. Most of a user's histories are prefixes of one sequence, items
    come up again, histories hold their targets, and some are empty."""
    item = st.integers(1, ITEMS)
    rows = []
    for user in draw(st.lists(st.sampled_from(users), unique=True, max_size=len(users))):
        sequence = draw(st.lists(item, max_size=9))
        prefix = st.integers(0, len(sequence)).map(lambda n, s=sequence: s[:n])
        history = st.one_of(prefix, prefix, st.just(sequence), st.lists(item, max_size=6))
        for h, target in draw(st.lists(st.tuples(history, item), min_size=1, max_size=most)):
            rows.append((user, h, target))
    return rows


def worlds() -> st.SearchStrategy[ChallengeData]:
    """Small data sets whose splits share users; one user is in no train row."""
    others = rows_of((*USERS, UNKNOWN), 2)
    return st.builds(world, rows_of(USERS, 3), others, others)


def all_rows(data: ChallengeData) -> NDArray[np.int64]:
    return np.arange(len(data.train))


def history(data: ChallengeData, number: int) -> list[int]:
    offsets = data.histories.offsets
    return data.histories.values[offsets[number] : offsets[number + 1]].tolist()


def sequences(found: Contexts) -> dict[int, list[int]]:
    """Each user's items."""
    spans = pairwise(found.offsets.tolist())
    items = [found.items[begin:end].tolist() for begin, end in spans]
    return dict(zip(found.users.tolist(), items, strict=True))


def last_of_each(items: list[int]) -> list[int]:
    """The distinct items, each where it came last."""
    return [i for place, i in enumerate(items) if i not in items[place + 1 :]]


@pytest.mark.slow
@settings(deadline=None)
@given(worlds(), st.sampled_from([1, 2, 4, 64]), st.integers(0, 9))
def test_a_users_sequence_is_the_end_of_their_longest_history_and_then_their_positives(
    data: ChallengeData, max_history: int, seed: int
) -> None:
    rows = np.random.default_rng(seed).permutation(all_rows(data))
    chosen = rows[: (len(rows) + 1) // 2]
    found = contexts(data, chosen, max_history)
    assert found.users.tolist() == sorted(set(data.train.user_id[chosen].tolist()))
    for user, sequence in sequences(found).items():
        mine = chosen[data.train.user_id[chosen] == user]
        histories = [history(data, h) for h in data.train.history[mine]]
        longest = [h for h in histories if len(h) == max(map(len, histories))]
        assert sequence in [whole_sequence(data, mine, h, max_history) for h in longest]


def whole_sequence(
    data: ChallengeData, mine: NDArray[np.int64], longest: list[int], max_history: int
) -> list[int]:
    """The end of the longest history, then new targets with label 1, of short histories first."""
    label = data.train.labels()
    positive = [row for row in sorted(mine.tolist()) if label[row]]
    positive.sort(key=lambda row: len(history(data, data.train.history[row])))
    targets = [int(data.train.item_id[row]) for row in positive]
    return last_of_each([*longest[-max_history:], *(t for t in targets if t not in longest)])


@settings(deadline=None)
@given(worlds(), st.sampled_from([1, 4, 64]))
def test_without_positives_a_sequence_holds_no_target_of_its_user_and_knows_no_label(
    data: ChallengeData, max_history: int
) -> None:
    found = contexts(data, all_rows(data), max_history, positives=False)
    for user, sequence in sequences(found).items():
        mine = all_rows(data)[data.train.user_id == user]
        targets = set(data.train.item_id[mine].tolist())
        histories = [history(data, h) for h in data.train.history[mine]]
        longest = [h for h in histories if len(h) == max(map(len, histories))]
        ends = [[i for i in h[-max_history:] if i not in targets] for h in longest]
        assert sequence in [last_of_each(end) for end in ends]
    train = replace(data.train, label=1 - data.train.labels())
    other = contexts(replace(data, rows={**data.rows, "train": train}), all_rows(data), 64, False)
    whole = contexts(data, all_rows(data), 64, False)
    assert all(np.array_equal(value, vars(other)[name]) for name, value in vars(whole).items())


@pytest.mark.parametrize("order", [[0, 1, 2], [2, 1, 0], [1, 2, 0]])
def test_the_longest_history_is_chosen_before_it_is_cut(order: list[int]) -> None:
    whole = [1, 2, 3, 4, 5, 6]
    rows = [(5, whole[:n], 7) for n in (4, 6, 5)]
    found = contexts(world([rows[i] for i in order], positive=False), np.arange(3), max_history=2)
    assert sequences(found) == {5: [5, 6]}


def test_a_positive_target_is_the_newest_item_unless_the_history_shows_it() -> None:
    rows = [(5, [1, 2, 3], 4), (5, [1], 2), (5, [1, 2], 7), (6, [1, 2], 1)]
    found = contexts(world(rows, positive=True), np.arange(4), max_history=2)
    # 2 and, beyond the two newest, 1 were taken at the place that the longest history shows.
    assert sequences(found) == {5: [2, 3, 7, 4], 6: [1, 2]}


def test_rows_in_another_order_give_the_same_sequences() -> None:
    train = [(5, [1, 2], 3), (4, [2, 1, 2], 3), (5, [4, 1, 1], 3)]
    data = world(train, positive=False)
    one, two = (contexts(data, np.array(order), 64) for order in ([0, 1, 2], [2, 1, 0]))
    assert sequences(one) == {4: [1, 2], 5: [4, 1]}
    for name, value in vars(one).items():
        np.testing.assert_array_equal(value, getattr(two, name))


@pytest.mark.slow
@settings(deadline=None)
@given(worlds())
def test_users_and_their_items_are_found_by_id_and_nobody_else(data: ChallengeData) -> None:
    found = contexts(data, all_rows(data), 64)
    asked = np.array([*USERS, UNKNOWN, -1, 0, 2**62])
    users = found.users.tolist()
    expected = [users.index(u) if u in users else -1 for u in asked.tolist()]
    number = found.number(asked)
    assert number.tolist() == expected
    by_user = sequences(found)
    for user, n in zip(asked.tolist(), number, strict=True):
        own = by_user[user] if n >= 0 else []
        items = np.arange(ITEMS + 1)
        places = found.position(np.full(len(items), n), items).tolist()
        assert places == [own.index(i) if i in own else -1 for i in items]
    assert found.lengths.tolist() == [len(s) for s in by_user.values()]


def test_without_rows_nobody_is_there() -> None:
    found = contexts(world([(3, [1, 2], 3)]), np.zeros(0, np.int64), 64)
    assert found.offsets.tolist() == [0]
    assert found.number(np.array([3, 4])).tolist() == [-1, -1]
    assert found.position(np.array([-1, -1]), np.array([1, 2])).tolist() == [-1, -1]


@settings(deadline=None)
@given(worlds())
def test_only_users_histories_and_positive_targets_of_the_rows_count(data: ChallengeData) -> None:
    train = data.train
    other_item = (train.item_id % ITEMS + 1).astype(np.int32)
    changed = replace(
        train,
        item_id=np.where(train.labels() == 1, train.item_id, other_item),
        likes_level=train.likes_level + 1,
    )
    other = replace(data, rows={**data.rows, "train": changed})
    one, two = contexts(data, all_rows(data), 64), contexts(other, all_rows(data), 64)
    assert sequences(one) == sequences(two)


def test_cutting_by_sum_makes_slices_of_about_that_sum_that_cover_all() -> None:
    def slices(sizes: list[int], most: int) -> list[tuple[int, int]]:
        return [(s.start, s.stop) for s in cut_by_sum(np.array(sizes, np.int64), most)]

    assert slices([3] * 6, 7) == [(0, 2), (2, 4), (4, 6)]
    assert slices([3] * 6, 100) == [(0, 6)]
    assert slices([9, 9], 1) == [(0, 1), (1, 2)]
    assert slices([], 5) == []


def test_an_absent_value_has_the_index_minus_one() -> None:
    keys = np.array([2, 5, 9])
    assert find_sorted(keys, np.array([9, 2, 3, 10, -1])).tolist() == [2, 0, -1, -1, -1]
    assert find_sorted(keys[:0], keys).tolist() == [-1, -1, -1]
