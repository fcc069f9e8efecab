"""How histories run in their sequences, and what that is told as."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from mmctr_kit.audit.check import check_data
from mmctr_kit.audit.check.history_order import MIN_USERS, order_findings
from mmctr_kit.audit.check.rows import HistoryFacts, RowFile
from mmctr_kit.audit.check.sequences import Lists, Sampler, courses, longest
from mmctr_kit.audit.findings import Finding, Level
from mmctr_kit.data.parquet import Ragged

FAIL, WARN, PASS = Level.FAIL, Level.WARN, Level.PASS
USERS = 40


def ragged(rows: Sequence[Sequence[int]]) -> Ragged:
    values = np.array([i for row in rows for i in row], np.int64)
    return Ragged(values, np.cumsum([0, *(len(row) for row in rows)]))


def lists(rows: Sequence[Sequence[int]]) -> Lists:
    """Of users 1, 2, ..."""
    return Lists(np.arange(1, len(rows) + 1), ragged(rows))


def course(history: list[int], sequence: list[int]) -> tuple[bool, bool, int, int] | None:
    """along, back, before and after; None of what can't be compared."""
    found = courses(lists([history]), lists([sequence]))
    if not len(found.along):
        return None
    parts = (found.along, found.back, found.before, found.after)
    return (bool(parts[0][0]), bool(parts[1][0]), int(parts[2][0]), int(parts[3][0]))


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
    assert course(history, sequence) == expected


def test_a_history_may_run_neither_way() -> None:
    found = courses(lists([[2, 1, 3], [3, 1, 2]]), lists([[1, 2, 3, 4]] * 2))
    assert not found.along.any()
    assert not found.back.any()


def test_users_meet_by_id_and_those_of_one_side_alone_are_left_out() -> None:
    histories = Lists(np.array([2, 5, 9]), ragged([[1, 2, 3], [4, 5, 6], [9, 8, 7]]))
    sequences = Lists(np.array([1, 2, 9]), ragged([[4, 5, 6], [1, 2, 3], [7, 8, 9]]))
    found = courses(histories, sequences)
    assert found.along.tolist() == [True, False]
    assert found.back.tolist() == [False, True]


def test_of_a_user_s_rows_the_longest_is_held_without_padding() -> None:
    parts = [
        Lists(np.array([7, 3, 7]), ragged([[0, 1], [0, 0, 4, 5], [0, 1, 2]])),
        Lists(np.array([3, 8]), ragged([[6], [0, 0]])),
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
    assert len(once.lists().users) == pytest.approx(10_000, rel=0.1)
    held = batches.lists().users
    assert held.tolist() == [u for u in once.lists().users if u < 199_800]
    unlucky = np.setdiff1d(users, once.lists().users)[:1]
    batches.add(unlucky, long)
    assert unlucky[0] in batches.lists().users


def rows_of(histories: Sequence[Sequence[int]], first: int = 1) -> RowFile:
    users = np.arange(first, first + len(histories))
    counts = np.array([len(h) for h in histories])
    nothing = np.zeros(len(users), np.bool_)
    facts = HistoryFacts(counts, np.zeros(len(users), np.uint64), nothing, None, None)
    return RowFile({"user_id": users}, facts, Lists(users, ragged(histories)))


def findings(
    histories: dict[str, list[list[int]]], sequences: dict[str, list[list[int]]]
) -> dict[str, Finding]:
    """By split, of users whose sequences are given in the splits' order."""
    starts = dict(zip(histories, np.cumsum([1, *map(len, histories.values())]), strict=False))
    rows = {s: rows_of(h, int(starts[s])) for s, h in histories.items()}
    everyone = lists([s for part in sequences.values() for s in part])
    return dict(zip(histories, order_findings(rows, everyone), strict=True))  # type: ignore[arg-type]


def stories(n: int = USERS) -> list[list[int]]:
    """Histories of 4 to 12 items."""
    rng = np.random.default_rng(0)
    return [rng.permutation(99)[: 4 + i % 9].tolist() for i in range(n)]


def back(histories: list[list[int]]) -> list[list[int]]:
    return [h[::-1] for h in histories]


def test_without_sequences_nothing_is_told() -> None:
    assert list(order_findings({"train": rows_of(stories())}, None)) == []  # type: ignore[dict-item]


def test_too_few_users_tell_nothing() -> None:
    few = stories(MIN_USERS - 1)
    found = findings({"train": back(few)}, {"train": few})["train"]
    assert found.level is PASS
    assert "9 users compared with item_seq.parquet, too few to tell" in found.what


def test_another_split_proves_which_histories_are_turned_round() -> None:
    story = stories()
    told = findings({"train": story, "valid": back(story)}, {"train": story, "valid": story})
    assert told["train"].level is PASS
    assert told["valid"].level is FAIL
    assert "100.0% backwards, while those of train run as it does" in told["valid"].what


def test_turned_round_everywhere_it_may_be_the_sequences() -> None:
    story = stories()
    told = findings({"train": back(story), "valid": back(story)}, {"train": story, "valid": story})
    assert {f.level for f in told.values()} == {WARN}
    assert "look which of the two is in another order" in told["train"].todo


def test_what_came_later_tells_which_of_the_two_is_turned_round_but_proves_nothing() -> None:
    """What else might be appended to a sequence is not known."""
    story = stories()
    ends = [[*h, 101] for h in story]  # the positive that followed
    told = findings({"train": back(story)}, {"train": ends})["train"]
    assert told.level is WARN
    assert "sequences go on at the end, the recent one" in told.what
    begins = [[101, *h[::-1]] for h in story]
    told = findings({"train": story}, {"train": begins})["train"]
    assert told.level is PASS
    assert "the sequences' most recent item is first" in told.what


def test_a_history_of_its_own_length_proves_nothing_where_it_may_have_been_cut() -> None:
    """Sequences go on after long histories alone: what was cut off is the older part."""
    story = stories()
    longest_of_all = max(map(len, story))
    ends = [[*h[::-1], *[101] * (len(h) == longest_of_all)] for h in story] * 4
    assert findings({"train": story * 4}, {"train": ends})["train"].level is WARN


@pytest.mark.parametrize(
    ("kept", "level"),
    [("last", PASS), ("first", WARN), ("last but the targets", PASS), ("middle", PASS)],
)
def test_what_was_cut_off_must_be_the_older_part(kept: str, level: Level) -> None:
    rng = np.random.default_rng(1)
    sequences = [rng.permutation(200)[:40].tolist() for _ in range(USERS)]
    parts = {
        "last": slice(-12, None),
        "first": slice(12),
        "last but the targets": slice(-16, -4),
        "middle": slice(10, 22),
    }
    told = findings({"train": [s[parts[kept]] for s in sequences]}, {"train": sequences})["train"]
    assert told.level is level
    if level is WARN:
        assert "of 40 that were cut, 40 are the first items of the sequence" in told.what
        assert told.todo == "of a longer sequence keep the last items"


def test_a_short_tail_is_the_targets_and_not_a_cut() -> None:
    story = stories()
    told = findings({"train": story}, {"train": [[*h, 101, 102, 103, 104] for h in story]})["train"]
    assert told.level is PASS


def test_the_generated_data_set_runs_as_it_should(tiny_root: Path) -> None:
    (found,) = [f for f in check_data(tiny_root / "data") if f.id == "history-order"]
    assert found.level is PASS
    assert found.what.count("100.0% of the histories run as it does") == 3
