"""OOF, valid and leaderboard side by side, and how their ranks agree."""

import math
from pathlib import Path

import pytest

from mmctr_kit.metrics.estimate import Estimate
from mmctr_kit.submission.ledger import Entry, LeaderboardScore, Ledger, Submitted
from mmctr_kit.submission.ledger_table import agreements, standings


def submitted(name: str, oof: float | None, valid: float | None, task: str = "Task2") -> Submitted:
    def number(value: float | None) -> dict[str, float | int] | None:
        return None if value is None else {"value": value, "error": 0.01, "n": 9}

    return Submitted(
        name, name, f"{name}.zip", name, task, 9, "2025-03-01", number(oof), number(valid)
    )


def scored(name: str, auc: float, task: str = "Task2") -> LeaderboardScore:
    return LeaderboardScore(name, task, auc, "2025-03-02", "")


def table(*entries: Entry) -> Ledger:
    return Ledger(entries, ())


def test_each_submission_stands_beside_its_latest_score() -> None:
    ledger = table(
        submitted("a", 0.7, None), submitted("b", None, 0.8), scored("a", 0.6), scored("a", 0.65)
    )
    first, second = standings(ledger)
    assert (first.oof, first.valid, first.leaderboard) == (Estimate(0.7, 0.01, 9), None, 0.65)
    assert (second.oof, second.valid, second.leaderboard) == (None, Estimate(0.8, 0.01, 9), None)


def test_rank_correlation_is_spearmans_by_task_from_three_scores_on() -> None:
    entries: list[Entry] = []
    for i, (oof, valid, board) in enumerate([(0.7, 0.7, 0.9), (0.8, 0.6, 0.91), (0.9, 0.5, 0.92)]):
        assert agreements(standings(table(*entries))) == []
        entries += [submitted(str(i), oof, valid), scored(str(i), board)]
    entries += [submitted("x", 0.1, 0.1, "Task1"), scored("x", 0.1, "Task1")]
    found = agreements(standings(table(*entries)))
    assert [(a.task, a.number, a.n) for a in found] == [("Task2", "OOF", 3), ("Task2", "valid", 3)]
    assert [a.spearman for a in found] == pytest.approx([1.0, -1.0])


def test_copies_of_one_file_count_once_and_equal_scores_have_no_rank() -> None:
    same: list[Entry] = [submitted("a", 0.7, 0.7), submitted("a", 0.7, 0.7), scored("a", 0.9)]
    more: list[Entry] = [submitted("b", 0.8, 0.8), scored("b", 0.9)]
    assert agreements(standings(table(*same, *more))) == []
    more += [submitted("c", 0.6, 0.9), scored("c", 0.9)]
    assert all(math.isnan(a.spearman) for a in agreements(standings(table(*same, *more))))


def test_an_empty_ledger_has_no_rows(tmp_path: Path) -> None:
    del tmp_path
    assert standings(table()) == []


def test_a_leaderboard_far_from_valid_is_remarked_on_and_a_near_one_is_not() -> None:
    def remark(auc: float, oof: float | None, valid: float | None) -> str | None:
        return standings(table(submitted("a", oof, valid), scored("a", auc)))[0].remark

    far = remark(0.97, 0.7, 0.668)
    assert far is not None
    assert "leaderboard 0.97 is +0.3020 from valid 0.6680, 21 standard errors" in far
    assert remark(0.3, 0.7, None) is not None
    assert remark(0.8, None, 0.668) is None  # 9 combined standard errors
    assert remark(0.8, None, None) is None
    assert standings(table(submitted("a", 0.1, 0.1)))[0].remark is None


def test_many_standard_errors_are_near_if_they_are_small() -> None:
    entry = Submitted(
        "a", "a", "a.zip", "a", "Task2", 379_142, "2025-03-01", None,
        {"value": 0.97, "error": 0.0001, "n": 10_000},
    )  # fmt: skip
    assert standings(table(entry, scored("a", 0.93)))[0].remark is None
    assert standings(table(entry, scored("a", 0.91)))[0].remark is not None
