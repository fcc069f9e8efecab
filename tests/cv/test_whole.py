"""mmctr_kit.cv.whole: when a single fit stops, and what a cross-validation says of its score."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from mmctr_kit.cv.executors.local import LocalExecutor
from mmctr_kit.cv.fold import fold_rows, model_seed
from mmctr_kit.cv.plan import plan_fit
from mmctr_kit.cv.run import run_cv
from mmctr_kit.cv.whole import cv_reference, refit
from mmctr_kit.data.dataset import ChallengeData
from mmctr_kit.data.folds import WHOLE
from mmctr_kit.errors import MmctrKitError, RunError
from mmctr_kit.metrics.auc import auc_with_se
from mmctr_kit.metrics.estimate import Estimate
from mmctr_kit.recipe import Recipe, load_recipe
from mmctr_kit.runs.run import Run
from mmctr_kit.runs.writer import RunWriter
from tests.cv.test_run import contents, killed_in_a_fold, plan_here
from tests.runs.unsealed import unsealed

SHORT = ("training.epochs=4", "training.batch_size=256", "folds.count=2")


def recipe(*settings: str) -> Recipe:
    return load_recipe("din_demo", (*SHORT, *settings))


def fit_here(data: ChallengeData, of: Recipe, path: Path) -> Run:
    plan = plan_fit(of, data, LocalExecutor("cpu", 1, 1))
    run = run_cv(plan, path, False, lambda _: None)
    assert run is not None
    return run


@pytest.fixture(scope="module")
def cv(tiny: ChallengeData, tmp_path_factory: pytest.TempPathFactory) -> Run:
    run = run_cv(
        plan_here(tiny, recipe()), tmp_path_factory.mktemp("runs") / "cv", False, lambda _: None
    )
    assert run is not None
    return run


@pytest.fixture(scope="module")
def fitted(tiny: ChallengeData, tmp_path_factory: pytest.TempPathFactory) -> Run:
    return fit_here(tiny, recipe(), tmp_path_factory.mktemp("runs") / "fit")


def test_every_train_user_teaches_a_single_fit_or_chooses_its_snapshot(tiny: ChallengeData) -> None:
    rows = fold_rows(recipe(), tiny, WHOLE)
    both = np.sort(np.concatenate([rows.train, rows.holdout]))
    assert np.array_equal(both, np.arange(len(tiny.train)))
    assert not len(rows.predicted)
    user = tiny.train.user_id
    assert not set(user[rows.train]) & set(user[rows.holdout])
    assert 0.02 < len(rows.holdout) / len(both) < 0.1


def test_folds_do_not_matter_to_a_single_fit(tiny: ChallengeData) -> None:
    other = fold_rows(recipe("folds.count=5", "folds.seed=3"), tiny, WHOLE)
    same = fold_rows(recipe(), tiny, WHOLE)
    assert np.array_equal(other.train, same.train)


def test_a_single_fit_has_a_seed_of_its_own() -> None:
    assert (
        len({model_seed(0, WHOLE), model_seed(0, 0), model_seed(1, WHOLE), model_seed(1, 0)}) == 4
    )


def test_a_single_fit_predicts_valid_and_test_and_has_no_oof(
    tiny: ChallengeData, fitted: Run
) -> None:
    predictions = fitted.predictions()
    assert predictions.oof is None
    assert predictions.valid.shape == (1, len(tiny.valid))
    assert predictions.test.shape == (1, len(tiny.test))
    assert fitted.manifest.kind == "fit"
    assert fitted.manifest.folds == ""
    assert fitted.valid_auc is not None
    assert {entry["split"] for entry in fitted.metrics["slices"]} == {"valid"}
    with pytest.raises(RunError, match="no OOF predictions: it is a single fit"):
        fitted.oof()


@pytest.mark.slow
@pytest.mark.parametrize("average", ["none", "ema"])
def test_a_single_fit_killed_between_epochs_and_resumed_equals_an_uninterrupted_one(
    tiny_root: Path, tiny: ChallengeData, tmp_path: Path, average: str
) -> None:
    settings = (*SHORT, f"training.average={average}")
    path = killed_in_a_fold(tiny_root / "data", tmp_path, 1, settings, kind="fit")
    of = load_recipe("din_demo", settings)
    whole = fit_here(tiny, of, tmp_path / "whole")
    assert contents(fit_here(tiny, of, path).path) == contents(whole.path)


def test_like_stops_at_the_share_of_the_schedule_that_fold_models_found_best(
    tiny: ChallengeData, cv: Run, tmp_path: Path
) -> None:
    best = [max(e["epoch"] for e in lines if e["best"]) for lines in cv.epochs().values()]
    again = refit(recipe(), cv)
    assert (again.training.holdout, again.training.snapshot) == (0.0, "last")
    assert again.training.stop_at == np.median(best) / 4
    epochs = fit_here(tiny, again, tmp_path / "like").epochs()["all-0"]
    assert len(epochs) == max(1, round(float(np.median(best))))
    assert all(line["holdout_auc"] is None for line in epochs)


def test_like_goes_no_further_than_a_cross_validation_that_stopped_before_its_schedules_end(
    tiny: ChallengeData, tmp_path: Path
) -> None:
    half = recipe("training.stop_at=0.5", "training.snapshot=last")
    run = run_cv(plan_here(tiny, half), tmp_path / "half", False, lambda _: None)
    assert run is not None
    assert {len(lines) for lines in run.epochs().values()} == {2}
    assert refit(half, run).training.stop_at == 0.5


def test_like_refuses_a_run_of_another_recipe_and_names_the_first_keys(
    cv: Run, fitted: Run
) -> None:
    with pytest.raises(RunError, match=r"another recipe \(training.epochs 4 -> 5\)"):
        refit(recipe("training.epochs=5"), cv)
    with pytest.raises(RunError, match="is of the model din, not qin; name a cv of this recipe"):
        refit(load_recipe("qin"), cv)
    with pytest.raises(RunError, match=r"and \d+ more\)"):
        refit(load_recipe("din_official"), cv)
    with pytest.raises(RunError, match="'fit' is no cross-validation"):
        refit(recipe(), fitted)


def test_a_fit_is_compared_with_a_fold_model_and_with_the_fold_mean(
    tiny: ChallengeData, cv: Run, fitted: Run
) -> None:
    known = cv_reference(recipe("training.average=ema"), cv, fitted)
    assert known is not None
    each = [
        auc_with_se(tiny.valid.labels(), logits, tiny.valid.user_id).value
        for logits in cv.predictions().valid
    ]
    assert known.models == 2
    assert known.differs == ("training.average",)
    assert known.fold_model.value == pytest.approx(np.mean(each))
    assert known.fold_mean == cv.valid_auc
    assert known.gap is not None
    assert fitted.valid_auc is not None
    assert known.gap.value == pytest.approx(fitted.valid_auc.value - known.fold_mean.value)
    assert 0 < known.gap.se < 2 * known.fold_mean.se
    assert cv_reference(recipe("training.epochs=5"), cv) is None


def test_of_a_run_with_several_seeds_a_fold_model_is_one_model_and_not_their_mean(
    tiny: ChallengeData, tmp_path: Path
) -> None:
    two = recipe("seeds=[0, 1]", "training.epochs=1")
    run = run_cv(plan_here(tiny, two), tmp_path / "two", False, lambda _: None)
    assert run is not None
    known = cv_reference(recipe("training.epochs=1"), run)
    assert known is not None
    folders = [RunWriter(run.path).fold(f, s) for f in range(2) for s in range(2)]
    each = [
        auc_with_se(tiny.valid.labels(), f.logits()["valid"], tiny.valid.user_id).value
        for f in folders
    ]
    assert known.models == 4
    assert known.fold_model.value == pytest.approx(np.mean(each))
    assert known.fold_model.value != Estimate.from_json(run.metrics["fold_models_valid"]).value


@pytest.mark.parametrize("text", ["a: [", "name: din_demo\nmodel: 3\n"])
def test_a_damaged_recipe_is_an_error_of_one_line(cv: Run, tmp_path: Path, text: str) -> None:
    path = tmp_path / "cv"
    unsealed(shutil.copytree(cv.path, path))
    (path / "recipe.yaml").write_text(text)
    with pytest.raises(MmctrKitError, match="recipe"):
        Run(path).recipe()
