"""mmctr_kit.training.teacher: a student learns mixed labels, and only where it is honest."""

from pathlib import Path

import numpy as np
import pytest

from mmctr_kit.cv.executors.local import LocalExecutor
from mmctr_kit.cv.plan import plan_cv, plan_fit
from mmctr_kit.cv.run import run_cv
from mmctr_kit.data.dataset import ChallengeData
from mmctr_kit.data.load import load
from mmctr_kit.datasets.synth import PRESETS, generate
from mmctr_kit.errors import RunError, UsageError
from mmctr_kit.items.features import ItemFeatures
from mmctr_kit.recipe import Recipe, load_recipe
from mmctr_kit.runs.run import Run
from mmctr_kit.training.neural import NeuralLearner
from mmctr_kit.training.teacher import soft_labels, teacher_digest

SHORT = ("training.epochs=1", "training.batch_size=256", "folds.count=2")


def student(teacher: Path, *settings: str) -> Recipe:
    return load_recipe("din_demo", (*SHORT, f"training.teacher={teacher}", *settings))


@pytest.fixture(scope="module")
def teacher(tiny: ChallengeData, tmp_path_factory: pytest.TempPathFactory) -> Run:
    path = tmp_path_factory.mktemp("runs") / "teacher"
    run = run_cv(
        plan_cv(load_recipe("din_demo", SHORT), tiny, LocalExecutor("cpu", 1)), path, False, print
    )
    assert run is not None
    return run


def test_a_label_is_mixed_with_the_teachers_oof_probability(
    tiny: ChallengeData, teacher: Run
) -> None:
    options = student(teacher.path, "training.teacher_weight=0.3").training
    oof = teacher.oof()
    expected = 0.7 * oof.label + 0.3 / (1 + np.exp(-oof.logit))
    assert np.allclose(soft_labels(options, tiny), expected, atol=1e-12)


def test_the_rows_to_train_on_have_soft_labels_and_the_holdout_its_own(
    tiny: ChallengeData, teacher: Run
) -> None:
    recipe = student(teacher.path)
    learner = NeuralLearner(recipe, tiny, ItemFeatures.derive(recipe, tiny), "cpu")
    train, holdout = np.arange(0, 1000), np.arange(1000, len(tiny.train))
    fit, rows = learner.begin(train, 0)
    labels = fit.source.whole.rows["train"].labels.numpy()
    assert np.array_equal(rows, train)
    assert np.allclose(labels[train], soft_labels(recipe.training, tiny)[train], atol=1e-6)
    assert np.array_equal(labels[holdout], tiny.train.labels()[holdout])


def test_weights_of_a_student_load_and_predict_without_the_teacher(
    tiny: ChallengeData, teacher: Run
) -> None:
    recipe = student(teacher.path)
    items = ItemFeatures.derive(recipe, tiny)
    learner = NeuralLearner(recipe, tiny, items, "cpu")
    list(learner.fit(np.arange(0, 1600), np.arange(1600, 2000), 0))
    gone = NeuralLearner(student(Path("gone")), tiny, items, "cpu")
    gone.load(learner.weights())
    assert np.array_equal(gone.predict("test"), learner.predict("test"))


def test_a_run_knows_its_teacher_by_what_it_predicts(
    tiny: ChallengeData, teacher: Run, tmp_path: Path
) -> None:
    moved = tmp_path / "elsewhere"
    moved.symlink_to(teacher.path.resolve())
    digests = {teacher_digest(student(path).training, tiny) for path in (teacher.path, moved)}
    assert len(digests) == 1
    assert teacher_digest(load_recipe("din_demo").training, tiny) is None


def test_fold_models_may_have_no_teacher(tiny: ChallengeData, teacher: Run) -> None:
    with pytest.raises(UsageError, match="only fit may have one"):
        plan_cv(student(teacher.path), tiny, LocalExecutor("cpu"))


def test_a_teacher_without_oof_or_of_other_rows_is_refused(
    tiny: ChallengeData, teacher: Run, tmp_path: Path
) -> None:
    plan = plan_fit(load_recipe("din_demo", SHORT), tiny, LocalExecutor("cpu"))
    run_cv(plan, tmp_path / "single", False, lambda _: None)
    with pytest.raises(RunError, match="run 'single' has no OOF predictions"):
        teacher_digest(student(tmp_path / "single").training, tiny)
    generate(tmp_path / "other", PRESETS["tiny"], seed=1)
    with pytest.raises(RunError, match="'teacher' does not predict all train rows"):
        teacher_digest(student(teacher.path).training, load(tmp_path / "other" / "data"))
    with pytest.raises(UsageError, match="no run 'absent'"):
        teacher_digest(student(tmp_path / "absent").training, tiny)
