"""One trial: that of cv, reported as it goes."""

from pathlib import Path

import numpy as np
import pytest

from mmctr_kit.cv.plan import plan_cv
from mmctr_kit.cv.run import run_cv
from mmctr_kit.data.dataset import ChallengeData
from mmctr_kit.recipe import Recipe
from mmctr_kit.tune.trial import GivenUpError, Place, RefusedError, Trials, fold_end

POINT = {"items.text_dim": 3, "training.epochs": 3, "training.learning_rate": 0.02}


@pytest.fixture(scope="module")
def trials(small: Recipe, tiny: ChallengeData) -> Trials:
    return Trials(small, tiny, "cpu")


def silent(place: Place, step: int | None) -> None:
    del place, step


def test_a_trial_scores_what_cv_of_its_recipe_scores(
    trials: Trials, tiny: ChallengeData, tmp_path: Path
) -> None:
    recipe, learner = trials.learner(POINT)
    scored = trials.run(learner, silent)
    run = run_cv(plan_cv(recipe, tiny, "cpu", 1), tmp_path / "run", False, lambda _: None)
    assert run is not None
    oof = run.metrics["oof"]
    assert (scored.auc.value, scored.auc.error) == (oof["value"], oof["error"])
    assert scored.value == oof["value"] - oof["error"]
    assert np.mean(scored.folds) == pytest.approx(oof["value"], abs=1e-12)


def test_a_trial_tells_each_epoch_of_each_fold(trials: Trials) -> None:
    told: list[tuple[Place, int | None]] = []
    scored = trials.run(trials.learner(POINT)[1], lambda *event: told.append(event))
    places = [(p.fold, p.epoch) for p, _ in told]
    assert places == [(f, e) for f in (0, 1) for e in (1, 2, 3, None)]
    ends = {step: place.auc for place, step in told if place.epoch is None}
    assert ends == {
        fold_end(0): scored.folds[0],
        fold_end(1): pytest.approx(np.mean(scored.folds), abs=1e-15),
    }


def test_a_reporter_may_give_the_trial_up(trials: Trials) -> None:
    seen = []

    def report(place: Place, step: int | None) -> None:
        seen.append(step)
        raise GivenUpError(f"enough of fold {place.fold}")

    with pytest.raises(GivenUpError, match="enough of fold 0"):
        trials.run(trials.learner(POINT)[1], report)
    assert len(seen) == 1


@pytest.mark.parametrize(
    ("point", "told"),
    [
        ({"training.epochs": 0}, "training.epochs: "),
        ({"items.text_dim": 5000}, "5000, but the folder's text vectors have 768"),
    ],
)
def test_a_point_that_makes_no_recipe_is_refused(
    trials: Trials, point: dict[str, object], told: str
) -> None:
    with pytest.raises(RefusedError, match=told):
        trials.learner(point)


def test_divergence_gives_the_trial_up(trials: Trials) -> None:
    point: dict[str, object] = {"training.learning_rate": 1e30, "training.clip_norm": None}
    with pytest.raises(GivenUpError, match="training diverged"):
        trials.run(trials.learner(point)[1], silent)
