"""A submission from Python: written, recorded, checked and scored."""

from pathlib import Path

import pytest

import mmctr_kit


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
    assert str(tmp_path) in made.refused
