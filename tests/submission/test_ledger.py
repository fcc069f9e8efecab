"""The ledger: appended to whole, read back to the last line, files known by their content."""

import json
import shutil
import zipfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmctr_kit.data.contract import Task
from mmctr_kit.errors import UsageError
from mmctr_kit.files import write_json
from mmctr_kit.runs.run import Run
from mmctr_kit.submission import ledger as module
from mmctr_kit.submission.ledger import Submitted, add_score, read_ledger, record
from mmctr_kit.submission.write import write_submission

OOF = {"value": 0.71, "error": 0.004, "n": 2000}


@pytest.fixture
def run(tmp_path: Path) -> Run:
    folder = tmp_path / "runs" / "first"
    folder.mkdir(parents=True)
    write_json(folder / "metrics.json", {"oof": OOF, "valid": None, "alarm": None})
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
        json.dumps({k: v for k, v in entry.items() if k != "run"}),
        '{"kind": "scored", "sha256": "x", "task": "Task1", "auc": 97, "time": "", "note": ""}',
        whole.strip(),
    ]
    book.write_text("\n".join(lines) + "\n")
    found = read_ledger(book)
    assert [e.sha256 for e in found.submitted] == [entry["sha256"]]
    assert [line.split(" cannot be read")[0] for line in found.damaged] == [
        f"{book} line {i}" for i in range(1, 7)
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
