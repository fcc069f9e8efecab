"""mmctr_kit.cv.whole: when a single fit stops, and what a cross-validation says of its score."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from mmctr_kit.cv.fold import fold_rows, model_seed
from mmctr_kit.cv.parallel import Resources
from mmctr_kit.cv.plan import plan_fit
from mmctr_kit.cv.run import run_cv
from mmctr_kit.cv.whole import beside, refit, stop_share
from mmctr_kit.data.dataset import ChallengeData
from mmctr_kit.data.folds import WHOLE
from mmctr_kit.data.load import load
from mmctr_kit.datasets.synth import PRESETS, generate
from mmctr_kit.errors import RunError
from mmctr_kit.metrics.auc import auc_with_se
from mmctr_kit.recipe import Recipe, load_recipe
from mmctr_kit.runs.run import Run
from tests.cv.test_run import contents, killed_in_a_fold, plan_here

SHORT = ("training.epochs=4", "training.batch_size=256", "folds.count=2")


def recipe(*settings: str) -> Recipe:
    return load_recipe("din_demo", (*SHORT, *settings))


def fit_here(data: ChallengeData, of: Recipe, path: Path) -> Run:
    plan = replace(plan_fit(of, data, "cpu"), resources=Resources(("cpu",), 1, 1))
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
    tiny: ChallengeData, cv: Run
) -> None:
    best = [max(e["epoch"] for e in lines if e["best"]) for lines in cv.epochs().values()]
    assert stop_share(cv) == np.median(best) / 4
    again = refit(recipe(), cv, tiny).training
    assert (again.holdout, again.snapshot) == (0.0, "last")
    assert (again.stop_after or 4) == max(1, round(float(np.median(best))))


def test_like_refuses_a_run_of_another_recipe_or_of_other_data(
    tiny: ChallengeData, cv: Run, fitted: Run, tmp_path: Path
) -> None:
    with pytest.raises(RunError, match=r"another recipe \(training.epochs 4 -> 5\)"):
        refit(recipe("training.epochs=5"), cv, tiny)
    with pytest.raises(RunError, match="'fit' is no cross-validation"):
        refit(recipe(), fitted, tiny)
    generate(tmp_path / "other", PRESETS["tiny"], seed=1)
    with pytest.raises(RunError, match="other data"):
        refit(recipe(), cv, load(tmp_path / "other" / "data"))


def test_beside_a_fit_stand_the_fold_model_and_the_fold_mean_of_the_cross_validation(
    tiny: ChallengeData, cv: Run, fitted: Run
) -> None:
    known = beside(recipe(), cv, tiny.rows_fingerprint, fitted)
    assert known is not None
    each = [
        auc_with_se(tiny.valid.labels(), logits, tiny.valid.user_id).value
        for logits in _canonical(cv)
    ]
    assert known.fold_model.value == pytest.approx(np.mean(each))
    assert known.fold_mean == cv.valid_auc
    assert known.gap is not None
    assert fitted.valid_auc is not None
    assert known.gap.value == pytest.approx(fitted.valid_auc.value - known.fold_mean.value)
    assert 0 < known.gap.se < 2 * known.fold_mean.se
    assert beside(recipe("training.epochs=5"), cv, tiny.rows_fingerprint) is None
    assert beside(recipe(), cv, "other rows") is None


def _canonical(run: Run) -> np.ndarray:
    return np.asarray(run.predictions().valid)
