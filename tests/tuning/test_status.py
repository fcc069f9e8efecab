"""A study's line in the list: its trials, its finalist's scores, whether it is at work."""

from pathlib import Path
from typing import Any

import pytest

from mmctr_kit.files import locked, write_json
from mmctr_kit.metrics.estimate import Estimate
from mmctr_kit.runs.lineage import begin_lineage, note_begun, note_finished
from mmctr_kit.runs.manifest import Manifest
from mmctr_kit.runs.writer import begin_run
from mmctr_kit.tuning.folder import StudyFolder, open_study
from mmctr_kit.tuning.heartbeat import WORKER, heartbeat
from mmctr_kit.tuning.status import all_studies, at_work, study_row

SETTINGS: dict[str, Any] = {"recipe": {"name": "small"}, "search": {}, "data": "abc"}
VALID = Estimate(0.75, 0.01, 40)


@pytest.fixture
def folder(tmp_path: Path) -> StudyFolder:
    """A study with a trial that has ended and another that is running, of five."""
    made = open_study(tmp_path / "small.study", SETTINGS, {"x": 1}, False)
    note_begun(made.path, begin_lineage(None, "CPU", 5))
    study = made.study()
    trial = study.ask()
    for name, value in {"auc": 0.7, "error": 0.01, "rows": 40, "fold_aucs": []}.items():
        trial.set_user_attr(name, value)
    study.tell(trial, 0.5)
    study.ask().set_user_attr(WORKER, "nobody")
    return made


def test_a_study_counts_its_trials_and_knows_whether_a_worker_is_alive(
    folder: StudyFolder,
) -> None:
    row = study_row(folder.path)
    assert (row.name, row.kind, row.state) == ("small.study", "study", "unfinished")
    assert (row.progress, row.alive) == ("1/5 trials", False)
    with heartbeat(folder.heartbeats):
        row = study_row(folder.path)
        assert (row.progress, row.alive) == ("1/5 trials, 1 running", True)
    with locked(folder.path):
        assert at_work(folder.path)
    assert not at_work(folder.path)


def test_a_finalist_in_training_is_named(folder: StudyFolder) -> None:
    manifest = Manifest("cv", "r", "f", "o", "c", seeds=(1,))
    begin_run(folder.finalist(4), manifest, "folds: {count: 3}\n", False)
    assert study_row(folder.path).progress == "finalist trial-4: fold 1/3"


def test_a_finished_study_has_its_chosen_finalists_scores(folder: StudyFolder) -> None:
    scores = {"valid": VALID.to_json(), "oof": VALID.to_json()}
    summary = {"trials": [{}, {}], "finalists": [scores], "final_seeds": [1, 2]}
    write_json(folder.path / "study.json", summary)
    assert study_row(folder.path).state == "unfinished"  # it is being extended
    note_finished(folder.path, ("settings.json", "study.json"), ())
    row = study_row(folder.path)
    assert (row.state, row.progress) == ("", "2 trials, 1 finalist")
    assert (row.valid, row.oof, row.seeds) == (VALID, VALID, 2)
    (folder.path / "study.json").write_text("no json")
    row = study_row(folder.path)
    assert row.state == "unreadable"
    assert "study.json was changed since it was written; put it back" in row.progress


def test_a_study_that_was_only_searched_is_over(folder: StudyFolder) -> None:
    note_finished(folder.path, ("settings.json",), ())
    row = study_row(folder.path)
    assert (row.state, row.progress, row.valid) == ("", "1/5 trials", None)


def test_studies_are_found_by_their_settings(folder: StudyFolder) -> None:
    (folder.path.parent / ".removed-x").mkdir()
    write_json(folder.path.parent / ".removed-x" / "settings.json", {})
    assert all_studies(folder.path.parent) == [folder.path]
