"""The ledger: appended to whole, read to its last line; scores beside the leaderboard's."""

import json
import math
import shutil
import zipfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmctr_kit.audit.findings import Level, Log
from mmctr_kit.data.contract import Task
from mmctr_kit.errors import UsageError
from mmctr_kit.files import write_json
from mmctr_kit.metrics.estimate import Estimate
from mmctr_kit.runs.run import Run
from mmctr_kit.submission import ledger as module
from mmctr_kit.submission.checks.catalog import BY_LEDGER
from mmctr_kit.submission.ledger import (
    Entry,
    LeaderboardScore,
    Ledger,
    Submitted,
    add_score,
    agreements,
    check_attempts,
    read_ledger,
    record,
    standings,
)
from mmctr_kit.submission.write import write_submission

OOF = {"value": 0.71, "error": 0.004, "n": 2000}


@pytest.fixture
def run(tmp_path: Path) -> Run:
    folder = tmp_path / "runs" / "first"
    folder.mkdir(parents=True)
    scores = {"oof": OOF, "valid": None, "alarm": None, "test_tied_share": 0.0}
    write_json(folder / "metrics.json", scores)
    return Run(folder)


@pytest.fixture
def book(tmp_path: Path) -> Path:
    return tmp_path / "submissions" / "ledger.jsonl"


def written(path: Path, seed: int = 0) -> Path:
    logits = np.random.default_rng(seed).normal(size=50)
    write_submission(path, np.arange(50), {Task.TASK2: logits})
    return path


def test_a_submission_is_recorded_with_the_runs_numbers_of_that_time(
    book: Path, run: Run, tmp_path: Path
) -> None:
    file = written(tmp_path / "a.zip")
    assert record(book, file, run, Task.TASK2, 50)
    write_json(run.path / "metrics.json", {"valid": None})  # the run goes on
    (entry,) = read_ledger(book).submitted
    assert (entry.run, entry.task, entry.rows, entry.oof, entry.valid) == (
        "first",
        "Task2",
        50,
        OOF,
        None,
    )
    assert entry.time.endswith("+00:00")
    assert book.read_text().count("\n") == 1


def test_the_same_submission_is_recorded_once_and_another_task_anew(
    book: Path, run: Run, tmp_path: Path
) -> None:
    file = written(tmp_path / "a.zip")
    assert record(book, file, run, Task.TASK2, 50)
    assert not record(book, file, run, Task.TASK2, 50)
    assert record(book, file, run, Task.BOTH, 50)
    assert len(read_ledger(book).submitted) == 2


def test_a_score_is_found_for_a_copy_under_another_name_or_zipped_anew(
    book: Path, run: Run, tmp_path: Path
) -> None:
    file = written(tmp_path / "a.zip")
    record(book, file, run, Task.TASK2, 50)
    copy = Path(shutil.copy(file, tmp_path / "renamed.zip"))
    assert add_score(book, copy, 0.9, None, "phase 1")[1] is None
    with zipfile.ZipFile(file) as old, zipfile.ZipFile(tmp_path / "anew.zip", "w") as new:
        new.writestr("prediction.csv", old.read("prediction.csv"))
    found, replaced = add_score(book, tmp_path / "anew.zip", 0.91, Task.TASK2, "")
    assert replaced == 0.9
    known = read_ledger(book)
    assert known.submitted == [found]
    score = known.score(found)
    assert score is not None
    assert (score.auc, score.note) == (0.91, "")  # the later one


@pytest.mark.parametrize("auc", [97.9, -0.1, 1.01, float("nan"), float("inf")])
def test_what_is_no_auc_is_refused(auc: float, book: Path, run: Run, tmp_path: Path) -> None:
    file = written(tmp_path / "a.zip")
    record(book, file, run, Task.TASK2, 50)
    before = book.read_bytes()
    with pytest.raises(UsageError, match=r"expected an AUC in \[0, 1\]") as found:
        add_score(book, file, auc, None, "")
    assert ("write 0.979" in str(found.value)) == (auc == 97.9)
    assert book.read_bytes() == before


def test_an_unknown_file_an_absent_one_and_another_task_are_one_line_each(
    book: Path, run: Run, tmp_path: Path
) -> None:
    file = written(tmp_path / "a.zip")
    record(book, file, run, Task.TASK2, 50)
    for path, task, said in (
        (written(tmp_path / "b.zip", seed=1), None, "is none of the 1 submissions"),
        (tmp_path / "absent.zip", None, "cannot read the submission"),
        (file, Task.TASK1, "was written for Task2, not for --task Task1"),
    ):
        with pytest.raises(UsageError, match=said) as found:
            add_score(book, path, 0.9, task, "")
        assert "\n" not in str(found.value)


def test_a_file_without_a_table_inside_is_never_taken_for_another_one(
    book: Path, run: Run, tmp_path: Path
) -> None:
    odd, other = tmp_path / "odd.zip", tmp_path / "other.zip"
    odd.write_bytes(b"\x00\x01")
    other.write_bytes(b"\x00\x02")
    record(book, odd, run, Task.TASK2, 50)
    with pytest.raises(UsageError, match="is none of the 1"):
        add_score(book, other, 0.9, None, "")


def test_a_damaged_line_is_named_and_the_others_are_read(
    book: Path, run: Run, tmp_path: Path
) -> None:
    file = written(tmp_path / "a.zip")
    record(book, file, run, Task.TASK2, 50)
    whole = book.read_text()
    entry = json.loads(whole)
    lines = [
        whole[:40],
        "[1]",
        json.dumps(entry | {"kind": "sold"}),
        json.dumps(entry | {"rows": "many"}),
        json.dumps(entry | {"valid": {"value": 0.5, "se": 0.1, "n": 9}}),
        json.dumps({k: v for k, v in entry.items() if k != "run"}),
        '{"kind": "scored", "sha256": "x", "task": "Task1", "auc": 97, "time": "", "note": ""}',
        whole.strip(),
    ]
    book.write_text("\n".join(lines) + "\n")
    found = read_ledger(book)
    assert [e.sha256 for e in found.submitted] == [entry["sha256"]]
    assert [line.split(" cannot be read")[0] for line in found.damaged] == [
        f"{book} line {i}" for i in range(1, 8)
    ]


def test_after_a_line_that_was_cut_off_the_next_one_is_whole(
    book: Path, run: Run, tmp_path: Path
) -> None:
    file = written(tmp_path / "a.zip")
    record(book, file, run, Task.TASK2, 50)
    book.write_text(book.read_text()[:30])
    record(book, file, run, Task.TASK2, 50)
    found = read_ledger(book)
    assert (len(found.submitted), len(found.damaged)) == (1, 1)


def test_many_writers_at_once_lose_no_line(book: Path, run: Run, tmp_path: Path) -> None:
    files = [written(tmp_path / f"{i}.zip", seed=i) for i in range(40)]
    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(lambda f: record(book, f, run, Task.TASK2, 50), files))
    found = read_ledger(book)
    assert {e.file for e in found.submitted} == {str(f) for f in files}
    assert found.damaged == ()


def test_a_ledger_that_cannot_be_written_or_read_is_one_line(run: Run, tmp_path: Path) -> None:
    file = written(tmp_path / "a.zip")
    with pytest.raises(UsageError, match="cannot be read"):
        read_ledger(tmp_path)
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="cannot be written"):
        record(tmp_path / "file" / "ledger.jsonl", file, run, Task.TASK2, 50)


@given(st.binary(max_size=300))
def test_no_bytes_whatever_stop_the_reading(content: bytes) -> None:
    found = module._parse(content, Path("ledger.jsonl"))
    lines = [line for line in content.split(b"\n") if line.strip()]
    assert len(found.entries) + len(found.damaged) == len(lines)


def test_entries_survive_being_written(book: Path, run: Run, tmp_path: Path) -> None:
    record(book, written(tmp_path / "ü\n.zip"), run, Task.TASK2, 50)
    (entry,) = read_ledger(book).submitted
    assert entry == replace(entry, file=str(tmp_path / "ü\n.zip"))
    assert isinstance(entry, Submitted)


def attempt(book: Path, file: Path, task: Task = Task.TASK2) -> tuple[int | None, Level, str]:
    log = Log(BY_LEDGER)
    number = check_attempts(book, file, task, log)
    (finding,) = log.findings()
    return number, finding.level, finding.what


def test_attempts_are_different_files_of_a_task_on_a_day_and_the_sixth_is_a_warning(
    book: Path, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_now", lambda: "2026-03-01T23:59:59+00:00")
    files = [written(tmp_path / f"{i}.zip", seed=i) for i in range(7)]
    said = "today (UTC) for Task2, if you upload every file that was written"
    for i, file in enumerate(files[:6], 1):
        record(book, file, run, Task.TASK2, 50)
        sixth = "6 files for Task2 were written today (UTC); 5 may be uploaded"
        passed = (i, Level.PASS, f"attempt {i} of 5 {said}")
        assert attempt(book, file) == (passed if i < 6 else (6, Level.WARN, sixth))
    copy = Path(shutil.copy(files[1], tmp_path / "copy.zip"))
    record(book, copy, replace_name(run, tmp_path), Task.TASK2, 50)
    assert attempt(book, copy)[:2] == (2, Level.PASS)
    record(book, files[6], run, Task.BOTH, 50)
    assert attempt(book, files[6], Task.BOTH)[0] == 1
    assert {t: len(f) for t, f in read_ledger(book).written_today().items()} == {
        "Task2": 6,
        "Task1&2": 1,
    }
    monkeypatch.setattr(module, "_now", lambda: "2026-03-02T00:00:00+00:00")
    assert read_ledger(book).written_today() == {}
    none = "no new attempt for Task2: written before today (UTC)"
    assert attempt(book, files[0]) == (None, Level.PASS, none)
    new = written(tmp_path / "new.zip", seed=9)
    record(book, new, run, Task.TASK2, 50)
    assert attempt(book, new)[0] == 1


def replace_name(run: Run, tmp_path: Path) -> Run:
    """A run of the same numbers under another name."""
    return Run(Path(shutil.copytree(run.path, tmp_path / "runs" / "second")))


def test_a_day_ends_at_midnight_utc() -> None:
    assert module._now().endswith("+00:00")
    assert module.DAY_ZONE.utcoffset(None) == timedelta(0)


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
    assert remark(0.73, None, 0.668) is None  # 4.4 combined standard errors
    assert remark(0.77, None, 0.668) is not None  # 7.2
    assert remark(0.8, None, None) is None
    assert standings(table(submitted("a", 0.1, 0.1)))[0].remark is None


def test_many_standard_errors_are_near_if_they_are_small() -> None:
    entry = Submitted(
        "a", "a", "a.zip", "a", "Task2", 379_142, "2025-03-01", None,
        {"value": 0.97, "error": 0.0001, "n": 10_000},
    )  # fmt: skip
    assert standings(table(entry, scored("a", 0.93)))[0].remark is None
    assert standings(table(entry, scored("a", 0.91)))[0].remark is not None
