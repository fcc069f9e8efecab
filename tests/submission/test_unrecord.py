"""Submissions leave the ledger by any of their names; all other lines stay as they are."""

import json
from pathlib import Path

import pytest

from mmctr_kit.errors import UsageError
from mmctr_kit.submission.ledger import read_ledger
from mmctr_kit.submission.unrecord import entries_of, remove_entries

A, B = "a" * 64, "b" * 64


def submitted(sha256: str, file: str, run: str, task: str = "Task2") -> dict[str, object]:
    time = "2026-03-01T12:00:00+00:00"
    known = {"kind": "submitted", "sha256": sha256, "table": sha256, "file": file, "run": run}
    return {**known, "task": task, "rows": 4, "time": time, "oof": None, "valid": None}


def scored(sha256: str) -> dict[str, object]:
    time = "2026-03-02T12:00:00+00:00"
    return {
        "kind": "scored",
        "sha256": sha256,
        "task": "Task2",
        "auc": 0.5,
        "time": time,
        "note": "",
    }


@pytest.fixture
def ledger(tmp_path: Path) -> Path:
    lines = [
        submitted(A, "s/x.zip", "x"),
        submitted(A, "s/copy.zip", "again"),
        scored(A),
        submitted(B, "s/y.zip", "y"),
        scored(B),
    ]
    path = tmp_path / "ledger.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines) + "damaged\n")
    return path


@pytest.mark.parametrize(
    ("name", "files"),
    [
        ("s/x.zip", ["s/x.zip"]),
        ("y", ["s/y.zip"]),
        (A[:8], ["s/x.zip", "s/copy.zip"]),
        (B.upper(), ["s/y.zip"]),
    ],
)
def test_a_submission_is_named_by_file_run_or_checksum(
    ledger: Path, name: str, files: list[str]
) -> None:
    assert [entry.file for entry in entries_of(ledger, [name])] == files
    assert [entry.file for entry in entries_of(ledger, [name, files[0]])] == files


@pytest.mark.parametrize("name", ["s/z.zip", A[:7], ""])
def test_an_unknown_name_is_an_error(ledger: Path, name: str) -> None:
    with pytest.raises(UsageError, match="is no file, run or checksum of the 3 submissions in"):
        entries_of(ledger, ["y", name])


def test_a_score_goes_with_the_last_submission_of_its_file(ledger: Path) -> None:
    before = ledger.read_text().splitlines()
    remove_entries(ledger, entries_of(ledger, ["x"]))
    assert ledger.read_text().splitlines() == before[1:]
    remove_entries(ledger, entries_of(ledger, ["again"]))
    assert ledger.read_text().splitlines() == [*before[3:5], "damaged"]
    content = read_ledger(ledger)
    assert [entry.run for entry in content.submitted] == ["y"]
    assert len(content.damaged) == 1


def test_a_file_that_was_moved_is_known_by_its_contents(tmp_path: Path) -> None:
    import hashlib

    file = tmp_path / "moved.zip"
    file.write_bytes(b"anything")
    digest = hashlib.sha256(b"anything").hexdigest()
    ledger = tmp_path / "ledger.jsonl"
    ledger.write_text(json.dumps(submitted(digest, "s/x.zip", "x")) + "\n")
    assert [entry.run for entry in entries_of(ledger, [str(file)])] == ["x"]
