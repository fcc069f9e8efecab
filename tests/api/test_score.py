"""mmctr_kit.score: a file or a run against labels; a task is taken in any case."""

from pathlib import Path

import pytest

import mmctr_kit
from mmctr_kit.api.score import score_and_notes


def test_a_column_is_chosen_by_its_task_in_any_case(tmp_path: Path) -> None:
    labels = tmp_path / "labels.csv"
    labels.write_text("ID,label\n0,0\n1,1\n2,0\n3,1\n")
    file = tmp_path / "s.csv"
    file.write_text("ID,Task1,Task1&2\n0,0.1,0.9\n1,0.8,0.2\n2,0.3,0.7\n3,0.6,0.4\n")
    scored = {name: mmctr_kit.score(file, labels, task=name).value for name in ("task1", "BOTH")}
    assert scored == {"task1": 1.0, "BOTH": 0.0}
    with pytest.raises(mmctr_kit.UsageError, match="2 columns hold scores"):
        mmctr_kit.score(file, labels)


def test_a_file_without_users_has_a_note_and_an_absent_one_is_named(
    tmp_path: Path, runs: Path, tiny_root: Path
) -> None:
    labels = tiny_root / "truth" / "test_labels.parquet"
    auc, notes = score_and_notes("both", labels, None, None, runs)
    assert (auc.n, notes) == (400, [])
    with pytest.raises(mmctr_kit.UsageError, match=r"no file .*absent\.zip"):
        mmctr_kit.score(tmp_path / "absent.zip", labels, runs=runs)
