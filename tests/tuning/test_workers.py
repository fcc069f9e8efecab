"""Workers in processes of their own: what becomes of the command when they fail."""

import os
import signal
from dataclasses import replace
from pathlib import Path

import pytest
from optuna.trial import TrialState

from mmctr_kit.errors import DataError, RunError
from mmctr_kit.tuning import workers
from mmctr_kit.tuning.folder import StudyFolder
from mmctr_kit.tuning.study import StudyPlan, begin_study
from mmctr_kit.tuning.worker import Budget, Event, Listener, TrialProgress, WorkerDied
from mmctr_kit.tuning.workers import run_workers


def search(plan: StudyPlan, folder: StudyFolder, listen: Listener) -> None:
    config = plan.resources.worker(0, plan.recipe, plan.data)
    run_workers(folder, [config], plan.search, Budget(2, None), listen)


def test_workers_killed_again_and_again_end_the_command(
    plan: StudyPlan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = begin_study(plan, tmp_path / "killed.study", False)[0]
    monkeypatch.setattr(workers, "_DEATHS", 0)
    died: list[WorkerDied] = []

    def kill(event: Event) -> None:
        if isinstance(event, TrialProgress):
            (file,) = folder.heartbeats.glob("[!.]*.json")
            os.kill(int(file.stem.split("-")[-2]), signal.SIGKILL)
        elif isinstance(event, WorkerDied):
            died.append(event)

    with pytest.raises(RunError, match=r"was killed, .* fewer --workers"):
        search(plan, folder, kill)
    assert died == [WorkerDied(signal.SIGKILL, (0,))]
    states = [t.state for t in folder.study().trials]
    assert states == [TrialState.FAIL, TrialState.WAITING]


def test_what_a_worker_finds_wrong_is_the_command_s_own_error(
    plan: StudyPlan, tmp_path: Path
) -> None:
    folder = begin_study(plan, tmp_path / "changed.study", False)[0]
    changed = replace(plan, data=replace(plan.data, rows_fingerprint="of yesterday"))
    with pytest.raises(DataError, match="changed while the command began"):
        search(changed, folder, lambda _: None)
    assert list(folder.heartbeats.iterdir()) == []
