"""A worker: claims trials, runs them, tells how they ended."""

import dataclasses
import os
import signal
import threading
from pathlib import Path
from typing import Any

import pytest
from optuna.trial import TrialState

from mmctr_kit.errors import DataError, RunError
from mmctr_kit.processes import WorkerPool
from mmctr_kit.recipe.search import Range
from mmctr_kit.tuning import worker as module
from mmctr_kit.tuning.folder import REFUSED, RETRY, StudyFolder
from mmctr_kit.tuning.heartbeat import WORKER
from mmctr_kit.tuning.space import suggest
from mmctr_kit.tuning.study import StudyPlan, begin_study, search_study
from mmctr_kit.tuning.trial import TrialRunner
from mmctr_kit.tuning.worker import (
    Budget,
    Event,
    Listener,
    Outage,
    TrialFinished,
    TrialProgress,
    Worker,
    WorkerDied,
    run_workers,
)

FAIL = TrialState.FAIL
Searched = tuple[StudyFolder, list[Event]]


def points(folder: StudyFolder) -> list[dict[str, object]]:
    return [t.user_attrs["settings"] for t in folder.study().trials if "settings" in t.user_attrs]


def test_a_study_has_as_many_trials_as_were_asked_for(searched: Searched) -> None:
    folder, events = searched
    trials = folder.study().trials
    assert len(trials) == 8
    assert {t.state for t in trials} <= {TrialState.COMPLETE, TrialState.PRUNED}
    assert [e.number for e in events if isinstance(e, TrialFinished)] == list(range(8))
    assert list(folder.heartbeats.iterdir()) == []


def test_the_first_trial_is_the_recipe_as_it_is(searched: Searched, plan: StudyPlan) -> None:
    first = points(searched[0])[0]
    assert plan.recipe.changed(first) == plan.recipe.changed({})


def test_a_trial_tells_its_value_its_folds_and_its_worker(searched: Searched) -> None:
    for trial in searched[0].study().trials:
        assert WORKER in trial.user_attrs
        if trial.state == TrialState.COMPLETE:
            told = trial.user_attrs
            assert trial.value == told["auc"] - told["error"]
            assert sum(told["fold_aucs"]) / 2 == pytest.approx(told["auc"])
            assert trial.intermediate_values[4] == told["fold_aucs"][0]


def test_a_pruned_trial_says_why_and_is_never_best(searched: Searched) -> None:
    study = searched[0].study()
    pruned = [t for t in study.trials if t.state == TrialState.PRUNED]
    assert all("below the" in t.user_attrs["why"] for t in pruned)
    assert study.best_trial.state == TrialState.COMPLETE


def test_a_listener_that_has_to_wait_for_the_database_hears_of_it(
    plan: StudyPlan, tmp_path: Path
) -> None:
    folder = begin_study(plan, tmp_path / "lost.study", False)[0]
    heard: list[Event] = []

    def listen(event: Event) -> None:
        heard.append(event)
        if isinstance(event, TrialFinished):  # it looks at the trials, for how long is left
            assert folder.storage.listen is not None
            folder.storage.listen("the database does not answer")

    runner = TrialRunner(plan.recipe, plan.data, "cpu")
    worker = Worker(folder, runner, plan.search, Budget(1, None), listen)
    ended = TrialFinished(0, "pruned", None, "it fell behind")
    told = threading.Thread(target=worker.listen, args=(ended,), daemon=True)
    told.start()
    told.join(20.0)
    assert not told.is_alive()
    assert heard == [ended, Outage("the database does not answer")]


def test_equal_studies_of_one_worker_are_equal_if_one_was_interrupted_too(
    searched: Searched, plan: StudyPlan, tmp_path: Path
) -> None:
    folder = begin_study(plan, tmp_path / "again.study", False)[0]
    search_study(plan, folder, 3, None, lambda _: None)

    def stop(event: Event) -> None:
        # When it has reported a fold, which must count once among those that others fall behind.
        if isinstance(event, TrialProgress) and event.position.fold == 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        search_study(plan, folder, 8, None, stop)
    # Gone on with: a sampler draws nothing twice.
    search_study(plan, folder, 8, None, lambda _: None)
    ended = [
        [(t.state, t.value, t.user_attrs["settings"]) for t in f.study().trials if t.state != FAIL]
        for f in (folder, searched[0])
    ]
    assert ended[0] == ended[1]
    assert len(folder.study().trials) == 9


def test_a_trial_whose_settings_were_being_drawn_is_drawn_as_it_was(
    plan: StudyPlan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folders = [begin_study(plan, tmp_path / f"{n}.study", False)[0] for n in ("a", "b")]
    for folder in folders:
        search_study(plan, folder, 1, None, lambda _: None)

    def half(trial: Any, search: Any, base: Any) -> Any:
        suggest(trial, dict([*search.items()][:1]), base)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(module, "suggest", half)
        with pytest.raises(KeyboardInterrupt):
            search_study(plan, folders[0], 2, None, lambda _: None)
    for folder in folders:
        search_study(plan, folder, 2, None, lambda _: None)
    assert points(folders[0]) == points(folders[1])


def test_an_interrupted_trial_is_tried_again(plan: StudyPlan, tmp_path: Path) -> None:
    folder = begin_study(plan, tmp_path / "stopped.study", False)[0]

    def stop(event: Event) -> None:
        if isinstance(event, TrialProgress) and event.number == 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        search_study(plan, folder, 3, None, stop)
    search_study(plan, folder, 3, None, lambda _: None)
    trials = folder.study().trials
    assert [t.state for t in trials].count(TrialState.FAIL) == 1
    assert len(trials) == 4
    assert trials[2].user_attrs[RETRY] == 1
    assert trials[2].params == trials[1].params


def test_no_trial_begins_after_the_timeout(plan: StudyPlan, tmp_path: Path) -> None:
    folder = begin_study(plan, tmp_path / "late.study", False)[0]
    search_study(plan, folder, 3, 0.0, lambda _: None)
    assert [t.state for t in folder.study().trials] == [TrialState.WAITING]


def test_a_refused_point_takes_no_trial_s_place(plan: StudyPlan, tmp_path: Path) -> None:
    wide = Range.model_validate({"choice": [4, 5000]})  # the folder's vectors have 768
    plan = dataclasses.replace(plan, search={"items.text_dim": wide})
    folder = begin_study(plan, tmp_path / "wide.study", False)[0]
    search_study(plan, folder, 4, None, lambda _: None)
    trials = folder.study().trials
    refused = [t for t in trials if REFUSED in t.user_attrs]
    assert refused
    assert all(t.state == TrialState.PRUNED for t in refused)
    assert "items.text_dim is 5000" in refused[0].user_attrs[REFUSED]
    assert len(trials) - len(refused) == 4


def test_a_search_without_a_possible_point_ends(plan: StudyPlan, tmp_path: Path) -> None:
    wide = Range.model_validate({"int": [5000, 6000]})
    plan = dataclasses.replace(plan, search={"items.text_dim": wide})
    folder = begin_study(plan, tmp_path / "none.study", False)[0]
    with pytest.raises(
        RunError,
        match=r"20 proposals for each trial were invalid recipes \(last: items.text_dim is 5",
    ):
        search_study(plan, folder, 1, None, lambda _: None)


def search_in_a_process(plan: StudyPlan, folder: StudyFolder, listen: Listener) -> None:
    config = plan.resources.worker(0, plan.recipe, plan.data)
    run_workers(folder, [config], plan.search, Budget(2, None), listen, WorkerPool())


@pytest.mark.slow
def test_workers_killed_again_and_again_end_the_command(
    plan: StudyPlan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = begin_study(plan, tmp_path / "killed.study", False)[0]
    monkeypatch.setattr(module, "_DEATHS", 0)
    died: list[WorkerDied] = []

    def kill(event: Event) -> None:
        if isinstance(event, TrialProgress):
            (file,) = folder.heartbeats.glob("[!.]*.json")
            os.kill(int(file.stem.split("-")[-2]), signal.SIGKILL)
        elif isinstance(event, WorkerDied):
            died.append(event)

    with pytest.raises(RunError, match=r"was killed, .*signal 9.*with fewer --jobs"):
        search_in_a_process(plan, folder, kill)
    assert died == [WorkerDied("signal 9", (0,))]
    states = [t.state for t in folder.study().trials]
    assert states == [TrialState.FAIL, TrialState.WAITING]


@pytest.mark.slow
def test_what_a_worker_finds_wrong_is_the_command_s_own_error(
    plan: StudyPlan, tmp_path: Path
) -> None:
    folder = begin_study(plan, tmp_path / "changed.study", False)[0]
    changed = dataclasses.replace(
        plan, data=dataclasses.replace(plan.data, rows_fingerprint="of yesterday")
    )
    with pytest.raises(DataError, match="changed while the command began"):
        search_in_a_process(changed, folder, lambda _: None)
    assert list(folder.heartbeats.iterdir()) == []
