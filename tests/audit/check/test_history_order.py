"""mmctr_kit.audit.check.history_order: what is reported of histories that run the wrong way."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from mmctr_kit.audit.check import CHECKS, check_data
from mmctr_kit.audit.check.history_order import MIN_USERS, check_order
from mmctr_kit.audit.check.rows import HistoryColumns, RowFile
from mmctr_kit.audit.check.sequences import UserLists
from mmctr_kit.audit.findings import Finding, Level, Log
from mmctr_kit.data.ragged import Ragged
from tests.audit.check.faults import (
    ANY,
    FAIL,
    WARN,
    Fault,
    Tables,
    Write,
    all_turned_round,
    assert_named_alone,
    change,
    longer,
    turned_round,
)

PASS = Level.PASS
USERS = 40


def ragged(rows: Sequence[Sequence[int]]) -> Ragged[np.int64]:
    values = np.array([i for row in rows for i in row], np.int64)
    return Ragged.of(values, np.array([len(row) for row in rows], np.int64))


def lists(rows: Sequence[Sequence[int]]) -> UserLists:
    """One list each for users 1, 2, ..."""
    return UserLists(np.arange(1, len(rows) + 1), ragged(rows))


def rows_of(histories: Sequence[Sequence[int]], first: int = 1) -> RowFile:
    users = np.arange(first, first + len(histories))
    counts = np.array([len(h) for h in histories])
    nothing = np.zeros(len(users), np.bool_)
    columns = HistoryColumns(counts, np.zeros(len(users), np.uint64), nothing, None, None)
    return RowFile({"user_id": users}, columns, UserLists(users, ragged(histories)))


def findings(
    histories: dict[str, list[list[int]]], sequences: dict[str, list[list[int]]]
) -> dict[str, Finding]:
    """By split; a PASS is left out beside a WARN or FAIL. Sequences are in the splits' order."""
    starts = dict(zip(histories, np.cumsum([1, *map(len, histories.values())]), strict=False))
    rows = {s: rows_of(h, int(starts[s])) for s, h in histories.items()}
    everyone = lists([s for part in sequences.values() for s in part])
    log = Log(CHECKS)
    check_order(rows, everyone, log)  # type: ignore[arg-type]
    return {f.what.partition(":")[0]: f for f in log.findings()}


def stories(n: int = USERS) -> list[list[int]]:
    """Histories of 4 to 12 items."""
    rng = np.random.default_rng(0)
    return [rng.permutation(99)[: 4 + i % 9].tolist() for i in range(n)]


def back(histories: list[list[int]]) -> list[list[int]]:
    return [h[::-1] for h in histories]


def test_without_sequences_nothing_is_told() -> None:
    log = Log(CHECKS)
    check_order({"train": rows_of(stories())}, None, log)  # type: ignore[dict-item]
    assert log.findings() == []


def test_too_few_users_tell_nothing() -> None:
    few = stories(MIN_USERS - 1)
    found = findings({"train": back(few)}, {"train": few})["train"]
    assert found.level is PASS
    assert "9 users compared with item_seq.parquet, too few to tell" in found.what


def test_another_split_proves_which_histories_are_reversed() -> None:
    story = stories()
    told = findings({"train": story, "valid": back(story)}, {"train": story, "valid": story})
    assert [(split, f.level) for split, f in told.items()] == [("valid", FAIL)]
    assert "100.0% backwards, while those of train run as it does" in told["valid"].what


def test_reversed_everywhere_it_may_be_the_sequences() -> None:
    story = stories()
    told = findings({"train": back(story), "valid": back(story)}, {"train": story, "valid": story})
    assert {f.level for f in told.values()} == {WARN}
    assert "find out which of the two is in another order" in told["train"].todo


def test_what_came_later_tells_which_of_the_two_is_reversed_but_proves_nothing() -> None:
    """What else might be appended to a sequence is not known."""
    story = stories()
    ends = [[*h, 101] for h in story]  # the positive that followed
    told = findings({"train": back(story)}, {"train": ends})["train"]
    assert told.level is WARN
    assert "sequences continue at the end, probably the recent one" in told.what
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
        assert told.todo == "keep the last items of a longer sequence"


def test_a_short_tail_is_the_targets_and_not_a_cut() -> None:
    story = stories()
    told = findings({"train": story}, {"train": [[*h, 101, 102, 103, 104] for h in story]})["train"]
    assert told.level is PASS


def test_the_generated_data_set_runs_as_it_should(tiny_root: Path) -> None:
    (found,) = [f for f in check_data(tiny_root / "data") if f.id == "history-order"]
    assert found.level is PASS
    assert found.what.count("100.0% of the histories run as it does") == 3


FAULTS = [
    Fault("turned round", "history-order", FAIL, "train", change("item_seq", turned_round)),
    Fault("all turned round", "history-order", WARN, ANY, all_turned_round),
    Fault(
        "sorted by id",
        "history-order",
        WARN,
        "train",
        change("item_seq", lambda x: np.sort(x, axis=1)),
    ),
    Fault(
        "the recent end cut off",
        "history-order",
        WARN,
        "item_seq",
        change("item_seq", longer),
        ("item-seq-targets",),
    ),
]


@pytest.mark.parametrize("fault", FAULTS, ids=str)
def test_a_planted_fault_is_found_by_its_check_and_by_no_other(
    fault: Fault, check_folder: Path, check_tables: Tables, write_table: Write
) -> None:
    assert_named_alone(fault, check_folder, check_tables, write_table)
