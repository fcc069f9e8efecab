"""A submission from Python: written, recorded, checked and scored."""

from pathlib import Path

import pytest

import mmctr_kit
from mmctr_kit.audit.findings import Level
from mmctr_kit.submission.spec import SHIPPED


def test_a_submission_is_written_once_and_scores_like_its_run(
    runs: Path, tiny_root: Path, tmp_path: Path
) -> None:
    file, ledger = tmp_path / "s.zip", tmp_path / "ledger.jsonl"
    first, again = (
        mmctr_kit.write_submission(
            "both", "Task2", out=file, force=True, runs=runs, ledger=str(ledger)
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
        "both", "Task2", out=tmp_path / "s.zip", runs=runs, ledger=tmp_path
    )
    assert made.path.is_file()
    assert made.recorded is None
    assert made.attempt is None
    assert str(tmp_path) in made.refused


def test_the_shipped_spec_is_the_default_of_a_check(runs: Path, tmp_path: Path) -> None:
    made = mmctr_kit.write_submission(
        "both", "Task2", out=tmp_path / "s.zip", runs=runs, ledger=tmp_path / "l"
    )
    found = mmctr_kit.check_submission(made.path, runs=runs)
    assert list(found) == list(mmctr_kit.check_submission(made.path, runs=runs, spec=str(SHIPPED)))
    assert [f.id for f in found if f.level is Level.FAIL] == ["row-count", "id-complete"]
