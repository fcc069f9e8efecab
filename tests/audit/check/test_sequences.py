"""mmctr_kit.audit.check.sequences: how histories run in their sequences."""

from collections.abc import Sequence

import numpy as np
import pytest

from mmctr_kit.audit.check.sequences import Sampler, UserLists, directions, longest
from mmctr_kit.data.ragged import Ragged


def ragged(rows: Sequence[Sequence[int]]) -> Ragged[np.int64]:
    values = np.array([i for row in rows for i in row], np.int64)
    return Ragged.of(values, np.array([len(row) for row in rows], np.int64))


def lists(rows: Sequence[Sequence[int]]) -> UserLists:
    """One list each for users 1, 2, ..."""
    return UserLists(np.arange(1, len(rows) + 1), ragged(rows))


def direction(history: list[int], sequence: list[int]) -> tuple[bool, bool, int, int] | None:
    """along, reversed, before and after; None if they cannot be compared."""
    found = directions(lists([history]), lists([sequence]), 64)
    if not len(found.along):
        return None
    along, reversed_ = bool(found.along[0]), bool(found.reversed[0])
    return along, reversed_, int(found.before[0]), int(found.after[0])


@pytest.mark.parametrize(
    ("history", "sequence", "expected"),
    [
        ([1, 2, 3], [1, 2, 3], (True, False, 0, 0)),
        ([3, 2, 1], [1, 2, 3], (False, True, 0, 0)),
        ([2, 3, 4], [1, 2, 3, 4, 5, 6], (True, False, 1, 2)),
        ([4, 3, 2], [1, 2, 3, 4, 5, 6], (False, True, 1, 2)),
        ([1, 3, 5], [1, 2, 3, 4, 5], (True, False, 0, 0)),  # items left out of the history
        ([1, 9, 2, 3], [1, 2, 3], (True, False, 0, 0)),  # or of the sequence
        ([7, 7, 1, 2, 3], [7, 7, 1, 2, 3, 4], (True, False, 0, 1)),  # repeated: no place of its own
        ([3, 2, 1, 7, 7], [7, 7, 1, 2, 3, 4], (False, True, 0, 1)),
        ([1, 2], [1, 2, 3, 4], None),
        ([1, 2, 9], [1, 2, 3, 4], None),
        ([], [1, 2, 3], None),
        ([1, 2, 3], [], None),
    ],
)
def test_a_history_is_placed_in_its_sequence(
    history: list[int], sequence: list[int], expected: tuple[bool, bool, int, int] | None
) -> None:
    assert direction(history, sequence) == expected


def test_a_history_may_run_neither_way() -> None:
    found = directions(lists([[2, 1, 3], [3, 1, 2]]), lists([[1, 2, 3, 4]] * 2), 64)
    assert not found.along.any()
    assert not found.reversed.any()


def test_users_meet_by_id_and_those_of_one_side_alone_are_left_out() -> None:
    histories = UserLists(np.array([2, 5, 9]), ragged([[1, 2, 3], [4, 5, 6], [9, 8, 7]]))
    sequences = UserLists(np.array([1, 2, 9]), ragged([[4, 5, 6], [1, 2, 3], [7, 8, 9]]))
    found = directions(histories, sequences, most=64)
    assert found.along.tolist() == [True, False]
    assert found.reversed.tolist() == [False, True]


def test_of_a_user_s_rows_the_longest_is_held_without_padding() -> None:
    parts = [
        UserLists(np.array([7, 3, 7]), ragged([[0, 1], [0, 0, 4, 5], [0, 1, 2]])),
        UserLists(np.array([3, 8]), ragged([[6], [0, 0]])),
    ]
    found = longest(parts)
    assert found.users.tolist() == [3, 7, 8]
    assert found.items.values.tolist() == [4, 5, 1, 2]
    assert found.items.lengths.tolist() == [2, 2, 0]


def test_a_sample_holds_some_users_whatever_the_batches_and_all_long_sequences() -> None:
    users, rows = np.arange(200_000), 1_000_000
    short, long = ragged([[1, 2, 3]] * 999), ragged([list(range(1, 100))])
    once, batches = Sampler(rows), Sampler(rows)
    once.add(users, ragged([[1, 2, 3]] * len(users)))
    for start in range(0, 199_800, 999):
        batches.add(users[start : start + 999], short)
    assert len(longest(once.parts).users) == pytest.approx(10_000, rel=0.1)
    held = longest(batches.parts).users
    assert held.tolist() == [u for u in longest(once.parts).users if u < 199_800]
    unlucky = np.setdiff1d(users, longest(once.parts).users)[:1]
    batches.add(unlucky, long)
    assert unlucky[0] in longest(batches.parts).users
