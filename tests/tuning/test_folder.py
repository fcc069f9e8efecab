"""A study's folder: made whole, gone on with, cleared of dead workers."""

from pathlib import Path
from typing import Any

import pytest
from optuna.trial import TrialState

from mmctr_kit.errors import RunError
from mmctr_kit.files import locked, write_json
from mmctr_kit.tuning import folder as module
from mmctr_kit.tuning.folder import RETRY, StudyFolder, interrupt, open_study
from mmctr_kit.tuning.heartbeat import WORKER, heartbeat

SETTINGS: dict[str, Any] = {"recipe": {"name": "small"}, "search": {}, "data": "abc"}


@pytest.fixture
def folder(tmp_path: Path) -> StudyFolder:
    return open_study(tmp_path / "runs" / "small.study", SETTINGS, {"x": 1}, False)


def begin_trial(folder: StudyFolder, worker: str | None) -> int:
    """A trial that is at work, of a worker or of nobody yet."""
    trial = folder.study().ask()
    trial.suggest_int("x", 0, 9)
    if worker is not None:
        trial.set_user_attr(WORKER, worker)
    return trial.number


def states(folder: StudyFolder) -> list[TrialState]:
    return [t.state for t in folder.study().trials]


def test_a_new_study_begins_with_the_recipe_s_own_values(folder: StudyFolder) -> None:
    trial = folder.study().ask()
    assert trial.suggest_int("x", 0, 9) == 1
    assert folder.study().user_attrs["recipe"] == "small"


def test_the_same_study_is_gone_on_with_and_another_refused(folder: StudyFolder) -> None:
    begin_trial(folder, None)
    again = open_study(folder.path, SETTINGS, {"x": 1}, False)
    assert len(again.study().trials) == 1
    with pytest.raises(RunError, match="differs in data; choose"):
        open_study(folder.path, {**SETTINGS, "data": "def"}, {}, False)


def test_a_study_of_another_version_is_refused_by_the_version(folder: StudyFolder) -> None:
    open_study(folder.path, {**SETTINGS, "version": "1.0"}, {}, False)  # written without one
    write_json(folder.path / "settings.json", {**SETTINGS, "version": "1.0"})
    with pytest.raises(RunError, match=r"differs in version \(1.0 there, 1.1 now\); ch"):
        open_study(folder.path, {**SETTINGS, "data": "def", "version": "1.1"}, {}, False)


def test_force_replaces_a_study_but_none_at_work(folder: StudyFolder) -> None:
    begin_trial(folder, None)
    with heartbeat(folder.heartbeats), pytest.raises(RunError, match="is at work"):
        open_study(folder.path, SETTINGS, {"x": 2}, True)
    again = open_study(folder.path, {**SETTINGS, "data": "def"}, {"x": 2}, True)
    assert states(again) == [TrialState.WAITING]
    assert sorted(p.name for p in folder.path.parent.iterdir()) == [".locks", "small.study"]


def test_force_does_not_replace_a_study_whose_finalists_are_trained(folder: StudyFolder) -> None:
    with locked(folder.path), pytest.raises(RunError, match="by another process"):
        open_study(folder.path, SETTINGS, {"x": 2}, True)
    assert (folder.path / "study.journal").is_file()


def test_two_commands_that_begin_a_study_at_once_share_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "small.study"

    def slowly(mine: StudyFolder, *rest: Any) -> None:
        with monkeypatch.context() as patch:
            patch.setattr(module, "_fill", fill)
            begin_trial(open_study(path, SETTINGS, {"x": 1}, False), None)
        fill(mine, *rest)

    fill = module._fill
    monkeypatch.setattr(module, "_fill", slowly)
    joined = open_study(path, SETTINGS, {"x": 1}, False)
    assert states(joined) == [TrialState.RUNNING]  # the other command's is still there
    assert [p.name for p in tmp_path.iterdir()] == ["small.study"]


def test_a_folder_of_something_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "notes.study").mkdir()
    for force in (False, True):
        with pytest.raises(RunError, match="is no study"):
            open_study(tmp_path / "notes.study", SETTINGS, {}, force)


def test_the_trials_of_dead_workers_fail_and_are_tried_once_more(folder: StudyFolder) -> None:
    number = begin_trial(folder, "gone")
    with heartbeat(folder.heartbeats) as name:
        alive = begin_trial(folder, name)
        assert [t.number for t in folder.reap()] == [number]
        assert folder.reap() == []
    assert states(folder) == [TrialState.FAIL, TrialState.RUNNING, TrialState.WAITING]
    retry = folder.study().trials[2]
    assert retry.user_attrs[RETRY] == number
    assert [t.number for t in folder.reap()] == [alive]
    # The retry's worker is killed too: it is not tried for ever.
    again = folder.study().ask()
    assert again.number == 2
    assert again.suggest_int("x", 0, 9) == folder.study().trials[0].params["x"]
    again.set_user_attr(WORKER, "gone")
    folder.reap()
    assert states(folder) == [TrialState.FAIL, TrialState.FAIL, TrialState.FAIL, TrialState.WAITING]


def test_a_trial_of_nobody_is_of_a_worker_killed_at_once(folder: StudyFolder) -> None:
    number = begin_trial(folder, None)
    assert [t.number for t in folder.reap()] == [number]


def test_what_a_trial_was_to_have_outlives_a_worker_killed_before_it_asked(
    folder: StudyFolder,
) -> None:
    for _ in range(2):  # it never began, so this is no second try
        folder.study().ask()
        folder.reap()
    again = folder.study().ask()
    assert again.number == 2
    assert again.suggest_int("x", 0, 9) == 1


def test_a_queueing_that_was_cut_off_is_completed_by_the_next(folder: StudyFolder) -> None:
    study = folder.study()
    study.tell(begin_trial(folder, "gone"), state=TrialState.FAIL)  # and killed
    folder.reap()
    folder.reap()
    assert states(folder) == [TrialState.FAIL, TrialState.WAITING]
    assert folder.study().trials[1].user_attrs[RETRY] == 0


def test_a_trial_that_has_ended_is_not_queued_again(folder: StudyFolder) -> None:
    study = folder.study()
    trial = study.ask()
    study.tell(trial, 0.5)
    interrupt(study, [study.get_trials()[trial.number]])
    assert [t.state.name for t in study.get_trials()].count("COMPLETE") == 1
