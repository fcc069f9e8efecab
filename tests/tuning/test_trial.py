"""One trial: that of cv, reported as it goes."""

from pathlib import Path

import numpy as np
import pytest

from mmctr_kit.cv.plan import plan_cv
from mmctr_kit.cv.run import run_cv
from mmctr_kit.data.dataset import ChallengeData
from mmctr_kit.recipe import Recipe
from mmctr_kit.tuning.trial import InvalidTrialError, Position, TrialPruned, TrialRunner, fold_end

POINT = {"items.text_dim": 3, "training.epochs": 3, "training.learning_rate": 0.02}


@pytest.fixture(scope="module")
def runner(small: Recipe, tiny: ChallengeData) -> TrialRunner:
    return TrialRunner(small, tiny, "cpu")


def silent(position: Position, step: int | None) -> None:
    del position, step


def test_a_trial_scores_what_cv_of_its_recipe_scores(
    runner: TrialRunner, tiny: ChallengeData, tmp_path: Path
) -> None:
    recipe, learner = runner.learner(POINT)
    scored = runner.run(learner, silent)
    run = run_cv(plan_cv(recipe, tiny, "cpu", 1), tmp_path / "run", False, lambda _: None)
    assert run is not None
    oof = run.metrics["oof"]
    assert (scored.auc.value, scored.auc.se) == (oof["value"], oof["error"])
    assert scored.value == oof["value"] - oof["error"]
    assert np.mean(scored.folds) == pytest.approx(oof["value"], abs=1e-12)


def test_a_trial_tells_each_epoch_of_each_fold(runner: TrialRunner) -> None:
    told: list[tuple[Position, int | None]] = []
    scored = runner.run(runner.learner(POINT)[1], lambda *event: told.append(event))
    positions = [(p.fold, p.epoch) for p, _ in told]
    assert positions == [(f, e) for f in (0, 1) for e in (1, 2, 3, None)]
    ends = {step: position.auc for position, step in told if position.epoch is None}
    assert ends == {
        fold_end(0): scored.folds[0],
        fold_end(1): pytest.approx(np.mean(scored.folds), abs=1e-15),
    }


def test_a_reporter_may_give_the_trial_up(runner: TrialRunner) -> None:
    seen = []

    def report(position: Position, step: int | None) -> None:
        seen.append(step)
        raise TrialPruned(f"enough of fold {position.fold}")

    with pytest.raises(TrialPruned, match="enough of fold 0"):
        runner.run(runner.learner(POINT)[1], report)
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
        runner.run(runner.learner(point)[1], silent)
