"""The finalists' time is told before they begin."""

from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from optuna.distributions import FloatDistribution
from optuna.trial import FrozenTrial, TrialState, create_trial

from mmctr_kit.recipe import Recipe
from mmctr_kit.tuning.finalists import (
    FinalistShape,
    finalists_seconds,
    finished_finalists,
    jobs_waiting,
)
from mmctr_kit.tuning.folder import ROW_SECONDS, START_SECONDS, StudyFolder


def trial(number: int, value: float, seconds: float) -> FrozenTrial:
    made = create_trial(
        params={"x": value},
        distributions={"x": FloatDistribution(0.0, 1.0)},
        value=value,
        user_attrs={"settings": {"x": value}},
        state=TrialState.COMPLETE,
    )
    made.number = number
    made.datetime_start = datetime(2026, 1, 1)
    made.datetime_complete = made.datetime_start + timedelta(seconds=seconds)
    return made


ONE = FinalistShape(folds=2, seeds=1, side_by_side=1, rows=0)
TRIALS = [trial(0, 0.7, 16.0), trial(1, 0.6, 100.0), trial(2, 0.8, 12.0)]


def test_the_best_trials_take_their_time_once_a_seed_shared_among_workers(tmp_path: Path) -> None:
    folder = StudyFolder(tmp_path)
    shape = FinalistShape(folds=2, seeds=3, side_by_side=1, rows=100)
    assert finalists_seconds(folder, TRIALS, 2, shape) == pytest.approx(3 * (16 + 12))
    shape = replace(shape, side_by_side=2)
    assert finalists_seconds(folder, TRIALS, 2, shape) == pytest.approx(1.5 * (16 + 12))


def test_a_finalist_predicts_valid_and_test_and_its_processes_start() -> None:
    shape = FinalistShape(folds=2, seeds=1, side_by_side=1, rows=100)
    timed = trial(3, 0.7, 16.0)
    timed.set_user_attr(ROW_SECONDS, 0.01)
    timed.set_user_attr(START_SECONDS, 5.0)
    assert shape.seconds(timed) == pytest.approx(16 + 2 * 100 * 0.01)
    # In parallel each trains one of the folds.
    assert replace(shape, side_by_side=2).seconds(timed) == pytest.approx(5 + 8 + 1)


def test_finalists_still_unknown_are_taken_to_be_like_the_others(tmp_path: Path) -> None:
    folder = StudyFolder(tmp_path)
    assert finalists_seconds(folder, TRIALS[:1], 3, ONE) == pytest.approx(48.0)


def test_nothing_is_said_before_a_trial_is_complete(tmp_path: Path) -> None:
    assert finalists_seconds(StudyFolder(tmp_path), [], 3, ONE) is None


def test_what_is_trained_takes_no_more_time(tmp_path: Path, small: Recipe) -> None:
    folder = StudyFolder(tmp_path)
    assert jobs_waiting(folder, TRIALS, small, 2, 3) == 2 * 2 * 3
    done = folder.finalist(2)
    done.mkdir(parents=True)
    (done / "DONE").write_text("done\n")
    begun = folder.finalist(0) / "folds" / "1-2"
    begun.mkdir(parents=True)
    (begun / "logits.safetensors").touch()
    assert jobs_waiting(folder, TRIALS, small, 2, 3) == 5
    assert finalists_seconds(folder, TRIALS, 2, ONE) == pytest.approx(16.0)
    assert finished_finalists(folder, TRIALS, 2) == 1
