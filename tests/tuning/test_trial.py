"""One trial: that of cv, reported as it goes."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from optuna import TrialPruned

from mmctr_kit.cv.executors.local import LocalExecutor
from mmctr_kit.cv.plan import plan_cv
from mmctr_kit.cv.run import run_cv
from mmctr_kit.data.dataset import ChallengeData
from mmctr_kit.metrics.estimate import Estimate
from mmctr_kit.recipe import Recipe
from mmctr_kit.tuning.trial import (
    PEERS,
    QUARTERS,
    InvalidTrialError,
    Position,
    TrialRunner,
    below_peers,
    objective,
)

POINT = {"items.text_dim": 3, "training.epochs": 3, "training.learning_rate": 0.02}


@pytest.fixture(scope="module")
def runner(small: Recipe, tiny: ChallengeData) -> TrialRunner:
    return TrialRunner(small, tiny, "cpu")


def silent(position: Position) -> None:
    del position


def test_a_trial_scores_what_cv_of_its_recipe_scores(
    runner: TrialRunner, tiny: ChallengeData, tmp_path: Path
) -> None:
    recipe, learner = runner.base.changed(POINT), runner.learner(POINT)
    scored = runner.run(learner, silent)
    run = run_cv(
        plan_cv(recipe, tiny, LocalExecutor("cpu", 1)), tmp_path / "run", False, lambda _: None
    )
    assert run is not None
    oof = run.metrics["oof"]
    assert (scored.auc.value, scored.auc.se) == (oof["value"], oof["error"])
    assert scored.value == oof["value"] - oof["error"]
    assert np.mean(scored.folds) == pytest.approx(oof["value"], abs=1e-12)


def test_a_trial_tells_each_epoch_of_each_fold(runner: TrialRunner) -> None:
    positions: list[Position] = []
    scored = runner.run(runner.learner(POINT), positions.append)
    assert [(p.fold, p.epoch) for p in positions] == [
        (f, e) for f in (0, 1) for e in (1, 2, 3, None)
    ]
    assert {p.step: p.auc for p in positions if p.epoch is None} == {
        QUARTERS: scored.folds[0],
        2 * QUARTERS: pytest.approx(np.mean(scored.folds), abs=1e-15),
    }


def test_a_reporter_may_give_the_trial_up(runner: TrialRunner) -> None:
    seen = []

    def report(position: Position) -> None:
        seen.append(position)
        raise TrialPruned(f"enough of fold {position.fold}")

    with pytest.raises(TrialPruned, match="enough of fold 0"):
        runner.run(runner.learner(POINT), report)
    assert len(seen) == 1


@pytest.mark.parametrize(
    ("point", "told"),
    [
        ({"training.epochs": 0}, "training.epochs: "),
        ({"items.text_dim": 5000}, "5000, but the folder's text vectors have 768"),
    ],
)
def test_a_point_that_makes_no_recipe_is_refused(
    runner: TrialRunner, point: dict[str, object], told: str
) -> None:
    with pytest.raises(InvalidTrialError, match=told):
        runner.learner(point)


def test_divergence_gives_the_trial_up(runner: TrialRunner) -> None:
    point: dict[str, object] = {"training.learning_rate": 1e30, "training.clip_norm": None}
    with pytest.raises(TrialPruned, match="training diverged"):
        runner.run(runner.learner(point), silent)


@given(fold=st.integers(0, 9), epochs=st.integers(1, 40))
def test_a_fold_s_steps_ascend_and_stay_before_its_end(fold: int, epochs: int) -> None:
    steps = [Position(fold, e, epochs, 0.5).step for e in range(1, epochs + 1)]
    ends = [s for s in steps if s is not None]
    assert ends == sorted(set(ends))
    end = Position(fold, None, epochs, 0.5).step
    assert end == (fold + 1) * QUARTERS
    assert all(end - QUARTERS < s < end for s in ends)
    assert steps[-1] is None  # the fold ends when its own rows are predicted


def test_trials_of_different_epochs_meet_at_the_quarters() -> None:
    steps = {
        epochs: [Position(0, e, epochs, 0.5).step for e in range(1, epochs + 1)]
        for epochs in (1, 2, 4, 8)
    }
    assert steps[1] == [None]
    assert steps[2] == [2, None]
    assert steps[4] == [1, 2, 3, None]
    assert steps[8] == [None, 1, None, 2, None, 3, None, None]


def test_nothing_is_pruned_before_there_are_peers() -> None:
    assert below_peers(0.0, [0.9] * (PEERS - 1), ended=True) is None
    assert below_peers(0.0, [0.9] * PEERS, ended=True) is not None


@pytest.mark.parametrize(("value", "within", "end"), [(0.1, True, True), (0.4, False, True)])
def test_the_bar_is_lower_within_a_fold(value: float, within: bool, end: bool) -> None:
    peers = [0.2, 0.3, 0.5, 0.6, 0.7]
    assert (below_peers(value, peers, ended=False) is not None) == within
    assert (below_peers(value, peers, ended=True) is not None) == end
    assert below_peers(0.5, peers, ended=True) is None


def test_a_trial_of_time_folds_scores_what_cv_of_its_recipe_scores(
    small: Recipe, timed: ChallengeData, tmp_path: Path
) -> None:
    recipe = small.changed({"folds.by": "time"})
    runner = TrialRunner(recipe, timed, "cpu")
    scored = runner.run(runner.learner({}), silent)
    run = run_cv(
        plan_cv(recipe, timed, LocalExecutor("cpu", 1)), tmp_path / "run", False, lambda _: None
    )
    assert run is not None
    assert scored.auc.value == run.metrics["oof"]["value"]


def test_without_a_standard_error_the_auc_alone_is_searched() -> None:
    assert objective(Estimate(0.75, 0.25, 9)) == 0.5
    assert objective(Estimate(0.75, float("nan"), 9)) == 0.75
