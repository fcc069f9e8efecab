"""mmctr_kit.training.gbdt.importance: features permuted among rows; a run with its importance."""

from pathlib import Path

import numpy as np
import pytest

from mmctr_kit.cv.executors.local import LocalExecutor
from mmctr_kit.cv.plan import plan_cv
from mmctr_kit.cv.run import run_cv
from mmctr_kit.data.dataset import ChallengeData
from mmctr_kit.models.gbdt import GBDT, SplitTrees, Trees
from mmctr_kit.recipe import load_recipe
from mmctr_kit.runs.fold_models import fold_models
from mmctr_kit.runs.importance import feature_importance
from mmctr_kit.training.gbdt import importance
from mmctr_kit.training.gbdt.importance import MOST_ROWS, measured_rows, permuted_logits
from mmctr_kit.training.learner import derive_seed

ROWS = 200
MATRIX = np.random.default_rng(0).normal(size=(ROWS, 3)).astype(np.float32)
USED = np.array([True, False, True])


WEIGHTS = np.array([1.0, 0.0, 10.0])


def added_by(feature: int, matrix: np.ndarray) -> np.ndarray:
    """A model with a tree, so to say, for each feature."""
    return WEIGHTS[feature] * matrix[:, feature].astype(np.float64)


INTACT = MATRIX @ WEIGHTS


def test_a_permuted_feature_keeps_its_values_and_the_others_their_rows() -> None:
    first, second, last = permuted_logits(MATRIX, INTACT, USED, added_by)
    np.testing.assert_allclose(second, INTACT, rtol=1e-6)
    alone = first - 10 * MATRIX[:, 2]
    np.testing.assert_allclose(np.sort(alone), np.sort(MATRIX[:, 0]), atol=1e-5)
    assert abs(np.corrcoef(alone, MATRIX[:, 0])[0, 1]) < 0.3
    np.testing.assert_allclose(np.sort(last - MATRIX[:, 0]), np.sort(10 * MATRIX[:, 2]), atol=1e-5)


def test_all_models_see_the_same_permutations() -> None:
    whole = permuted_logits(MATRIX, INTACT, USED, added_by)
    only_last = np.array([False, False, True])
    other = permuted_logits(MATRIX, INTACT - MATRIX[:, 0], only_last, added_by)
    np.testing.assert_allclose(other[2], whole[2] - MATRIX[:, 0], atol=1e-4)


def test_asking_the_trees_with_the_feature_is_asking_the_whole_model() -> None:
    random = np.random.default_rng(1)
    matrix = random.normal(size=(600, 5)).astype(np.float32)
    matrix[random.random(600) < 0.1, 0] = np.nan
    noisy = np.nan_to_num(matrix[:, 0]) + matrix[:, 3] + random.normal(size=600)
    label = (noisy > 0).astype(np.int8)
    model = GBDT(rounds=6, leaves=5, leaf_rows=20)
    data, scores, chunks = model.dataset(matrix, label), np.zeros(600), list[bytes]()
    for seed in range(3):
        chunks.append(model.chunk(data, scores, 0.3, seed, 1))
        scores += Trees(chunks[-1]).predict(matrix, 1)
    split, used = SplitTrees(chunks), Trees(chunks[0]).importance()[1] >= 0
    shuffled = permuted_logits(matrix, scores, used, lambda f, m: split.by(f).predict(m, 1))
    for feature in range(5):
        order = np.random.default_rng(derive_seed(importance._SEED, feature)).permutation(600)
        changed = matrix.copy()
        changed[:, feature] = matrix[order, feature]
        whole = sum(Trees(chunk).predict(changed, 1) for chunk in chunks)
        np.testing.assert_allclose(shuffled[feature], whole, atol=1e-6)
    assert not np.allclose(shuffled[0], scores, atol=0.1)


def test_of_many_rows_whole_users_are_measured() -> None:
    few = np.arange(50) // 4
    assert measured_rows(few).tolist() == list(range(50))
    users = np.arange(4 * MOST_ROWS) // 4
    rows = measured_rows(users)
    assert abs(len(rows) - MOST_ROWS) < MOST_ROWS / 10
    assert set(np.bincount(users[rows])) == {0, 4}


def test_a_run_of_trees_has_its_importance_and_leaves_nothing_else_behind(
    tiny: ChallengeData, tmp_path: Path
) -> None:
    settings = ["items.embedding=separate_pca", "items.text_dim=4", "items.image_dim=4"]
    settings += ["signals.kinds=none", "model.rounds=4", "model.leaf_rows=20", "training.epochs=2"]
    recipe = load_recipe("gbdt_demo", [*settings, "folds.count=2", "seeds=[0, 1]"])
    plan = plan_cv(recipe, tiny, LocalExecutor("cpu", 1, 1))
    run = run_cv(plan, tmp_path / "x", False, lambda _: None)
    assert run is not None
    features = feature_importance(run)
    names = [feature.name for feature in features]
    assert {"item_rate", "tag_lift_top3", "text_max", "image_centre"} <= set(names)
    assert len(set(names)) == len(names)
    assert sum(f.gain.value for f in features) == pytest.approx(1.0)
    assert {f.gain.n for f in features} == {4}
    drops = [f.drop.value for f in features if f.drop]
    assert drops == sorted(drops, reverse=True)
    assert drops[0] > 0
    assert all(f.drop and f.drop.value == 0.0 for f in features if f.gain.value == 0.0)
    assert not list(run.path.glob("folds/*/importance*"))

    models = fold_models(run)
    assert [(m.fold, m.seed) for m in models] == [("0", 0), ("0", 1), ("1", 0), ("1", 1)]
    assert sum(m.oof_rows for m in models) == 2 * len(tiny.train)
    assert {m.epochs for m in models} == {2}
    assert all(m.oof and m.valid and m.valid.n == len(tiny.valid) for m in models)
