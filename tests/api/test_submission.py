"""A submission from Python: written, recorded, checked and scored."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

import mmctr_kit
from mmctr_kit import MmctrKitError
from mmctr_kit.api.progress import ProgressEvent
from mmctr_kit.audit.findings import Level
from mmctr_kit.runs.run import Run
from mmctr_kit.submission import ledger as ledger_module
from mmctr_kit.submission import verdicts
from mmctr_kit.submission.spec import SHIPPED


def unheard(_: ProgressEvent) -> None:
    """Hears warnings, and says nothing."""


def test_a_submission_is_written_once_and_scores_like_its_run(
    runs: Path, tiny_root: Path, tmp_path: Path
) -> None:
    file, ledger = tmp_path / "s.zip", tmp_path / "ledger.jsonl"
    first, again = (
        mmctr_kit.write_submission(
            "both", "Task2", out=file, force=True, runs=runs, ledger=str(ledger), progress=unheard
        )
        for _ in range(2)
    )
    assert (first.recorded, again.recorded) == (True, False)
    assert (first.attempt, again.attempt) == (1, 1)
    assert len(ledger.read_text().splitlines()) == 1
    labels = tiny_root / "truth" / "test_labels.parquet"
    of_run = mmctr_kit.score("both", labels, runs=runs)
    of_file = mmctr_kit.score(file, str(labels), data=tiny_root / "data")
    assert of_file.value == pytest.approx(of_run.value)
    assert of_file.se == pytest.approx(of_run.se)


def test_a_ledger_that_cannot_be_written_leaves_the_file(runs: Path, tmp_path: Path) -> None:
    made = mmctr_kit.write_submission(
        "both", "Task2", out=tmp_path / "s.zip", runs=runs, ledger=tmp_path, progress=unheard
    )
    assert made.path.is_file()
    assert made.recorded is None
    assert made.attempt is None
    assert str(tmp_path) in made.refused


def test_a_ledger_line_is_not_added_to_the_submission(runs: Path, tmp_path: Path) -> None:
    file = tmp_path / "s.zip"
    with pytest.raises(mmctr_kit.UsageError, match="the submission and the ledger"):
        mmctr_kit.write_submission("both", "Task2", out=file, runs=runs, ledger=file)
    assert not file.exists()


def test_a_file_is_checked_beside_a_damaged_run(
    runs: Path, tiny_root: Path, tmp_path: Path
) -> None:
    copy, file = shutil.copytree(runs, tmp_path / "runs"), tmp_path / "s.zip"
    mmctr_kit.write_submission(
        "both", "Task2", out=file, runs=runs, ledger=tmp_path / "l", progress=unheard
    )
    (copy / "first" / "test.parquet").write_bytes(b"PAR1")
    with pytest.warns(UserWarning, match="not compared with first: .*first/test.parquet was chang"):
        result = mmctr_kit.check_submission(file, data=tiny_root / "data", runs=copy)
    assert result.ok


def test_the_shipped_spec_is_the_default_of_a_check(runs: Path, tmp_path: Path) -> None:
    made = mmctr_kit.write_submission(
        "both", "Task2", out=tmp_path / "s.zip", runs=runs, ledger=tmp_path / "l", progress=unheard
    )
    same = {"runs": runs, "ledger": tmp_path / "l"}
    found = mmctr_kit.check_submission(made.path, **same)
    assert list(found) == list(mmctr_kit.check_submission(made.path, **same, spec=str(SHIPPED)))
    assert "rule-blend" in {f.id for f in found}
    assert [f.id for f in found if f.level is Level.FAIL] == ["row-count", "id-complete"]


def test_a_breach_is_one_warning_and_an_error_before_anything_is_written_if_strict(
    runs: Path, tmp_path: Path
) -> None:
    where = {"out": tmp_path / "s.zip", "runs": runs, "ledger": tmp_path / "ledger.jsonl"}
    with pytest.raises(MmctrKitError, match=r"breaks the rule of Task2: .*; nothing was written"):
        mmctr_kit.write_submission("both", "Task2", strict=True, **where)
    assert list(tmp_path.iterdir()) == []
    with pytest.warns(UserWarning, match="no blend of several") as caught:
        mmctr_kit.write_submission("both", "Task2", **where)
    (warning,) = caught
    assert "v1, v2, v3 or e4, as given" in str(warning.message)
    assert warning.filename == __file__


def test_one_file_more_than_a_day_has_attempts_is_refused_if_strict(
    runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(verdicts, "check_run", lambda *_: ())
    where = {"runs": runs, "ledger": tmp_path / "ledger.jsonl", "strict": True}
    mmctr_kit.write_submission("both", "Task2", out=tmp_path / "a.zip", **where)
    monkeypatch.setattr(ledger_module, "ATTEMPTS_PER_DAY", 1)
    mmctr_kit.write_submission("both", "Task2", out=tmp_path / "b.zip", **where)  # the same file
    with pytest.raises(MmctrKitError, match="1 files for Task2 were written today"):
        mmctr_kit.write_submission("first", "Task2", out=tmp_path / "c.zip", **where)
    assert not (tmp_path / "c.zip").exists()


def test_a_submission_prints_as_the_command_does_and_shows_itself_shortly(
    runs: Path, tmp_path: Path
) -> None:
    file, ledger = tmp_path / "s.zip", tmp_path / "l"
    made = mmctr_kit.write_submission(
        "both", "task1&2", out=file, runs=runs, ledger=ledger, progress=unheard
    )
    assert str(made).splitlines() == [
        f"wrote {file}: 400 rows, column Task1&2",
        "both: rules kept: none; unclear: Task1&2; breached: Task1, Task2",
        f"recorded in the new ledger {ledger}",
        "attempt 1 of 5 today (UTC) for Task1&2, if you upload every file that was written",
    ]
    assert repr(made).startswith(f"Submission('{file}: ")
    assert repr(made).endswith("checks passed', Task1&2)")
    assert len(repr(made)) < 80 + len(str(file))


def test_a_doubt_about_the_file_is_an_error_before_it_is_written_if_strict(
    runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(verdicts, "check_run", lambda *_: ())
    flat = Run(runs / "first").predictions()
    flat = replace(flat, test=0.0 * flat.test)
    monkeypatch.setattr(Run, "predictions", lambda *_, **__: flat)
    where = {"out": tmp_path / "s.zip", "runs": runs, "ledger": tmp_path / "ledger.jsonl"}
    with pytest.raises(MmctrKitError, match=r"^first: .*; nothing was written$"):
        mmctr_kit.write_submission("first", "Task2", strict=True, **where)
    assert list(tmp_path.iterdir()) == []
