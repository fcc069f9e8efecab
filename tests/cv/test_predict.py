"""mmctr_kit.cv.predict: rows predicted by finished runs."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from mmctr_kit.cv.executors.local import LocalExecutor
from mmctr_kit.cv.plan import plan_cv, plan_fit
from mmctr_kit.cv.predict import fold_models, predict_rows
from mmctr_kit.cv.run import run_cv
from mmctr_kit.data.contract import FILES
from mmctr_kit.data.dataset import ChallengeData
from mmctr_kit.data.new_rows import read_rows
from mmctr_kit.ensemble.runs import blend_runs
from mmctr_kit.errors import RunError
from mmctr_kit.files import read_json, write_json
from mmctr_kit.importers.predictions import import_predictions
from mmctr_kit.recipe import load_recipe
from mmctr_kit.runs.run import Run
from mmctr_kit.runs.seal import write_timings
from tests.runs.unsealed import unsealed

SHORT = ("training.epochs=1", "folds.count=2")
NETWORK = ("training.min_steps=0", "training.batch_size=512")
OF_USERS = ("items.embedding=blocks", "items.factors_dim=4", "signals.kinds=[cosine]")

RECIPES = {
    "network": ("din_demo", (*NETWORK, "seeds=[0, 1]")),
    "of_items": ("din_mha_demo", (*NETWORK, *OF_USERS, "folds.by=item")),
    "trees": ("gbdt_demo", ("signals.kinds=[cosine]",)),
    "fit": ("din_demo", NETWORK),
    "users": ("din_target_encoder", (*NETWORK, "model.embedding_dim=4", "model.mlp_hidden=[8]")),
}


@pytest.fixture(scope="module")
def runs(tiny: ChallengeData, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of a run for each of RECIPES, and of blends of them."""
    folder = tmp_path_factory.mktemp("runs")
    here = LocalExecutor("cpu", 1, 1)
    for name, (recipe, settings) in RECIPES.items():
        plan = (plan_fit if name == "fit" else plan_cv)(
            load_recipe(recipe, (*SHORT, *settings)), tiny, here
        )
        assert run_cv(plan, folder / name, False, lambda _: None) is not None
    two = [Run(folder / name) for name in ("network", "trees")]
    for method, data in (("lightgbm", None), ("stack", tiny)):
        assert blend_runs(two, method, folder / method, False, data=data) is not None  # type: ignore[arg-type]
    assert blend_runs([two[0], Run(folder / "fit")], "mean", folder / "no_oof", False) is not None
    again = [Run(folder / "lightgbm"), Run(folder / "users")]
    assert blend_runs(again, "mean", folder / "of_a_blend", False) is not None
    return folder


def logits(run: Run, data: ChallengeData, rows: ChallengeData) -> NDArray[np.float64]:
    return predict_rows(run, data, rows, "cpu", lambda *_: None)


@pytest.mark.parametrize("name", [*RECIPES, "lightgbm", "stack", "no_oof", "of_a_blend"])
def test_the_runs_own_test_rows_give_its_own_predictions_bit_for_bit(
    name: str, runs: Path, tiny: ChallengeData, tiny_root: Path
) -> None:
    run = Run(runs / name)
    rows = read_rows(tiny_root / "data" / FILES["test"].path, tiny).data
    found = logits(run, tiny, rows)
    assert np.array_equal(found, run.predictions(with_oof=False).test)
    assert np.array_equal(found.mean(axis=0), run.test_scores())


def test_each_model_is_announced_before_it_predicts(runs: Path, tiny: ChallengeData) -> None:
    heard: list[tuple[str, int, int]] = []
    run = Run(runs / "lightgbm")
    predict_rows(run, tiny, tiny, "cpu", lambda of, job: heard.append((of.name, *job)))
    assert heard == [(of.name, *job) for of, job in fold_models(run)]
    assert heard[0] == ("network", 0, 0)
    assert len(heard) == 6


def test_one_row_alone_is_scored_as_among_others(runs: Path, tiny: ChallengeData) -> None:
    run, test = Run(runs / "network"), tiny.test
    one = {k: v if v is None else v[7:8] for k, v in vars(test).items()}
    alone = replace(tiny, rows={**tiny.rows, "test": type(test)(**one)})
    found = logits(run, tiny, alone).mean(axis=0)
    assert found == pytest.approx(run.test_scores()[7:8], abs=1e-5)


def copy_of(runs: Path, tmp_path: Path, *names: str) -> Run:
    for name in names:
        unsealed(shutil.copytree(runs / name, tmp_path / name))
    return Run(tmp_path / names[-1])


def without_weights(run: Run) -> None:
    (run.path / "folds" / "1-0" / "weights.safetensors").unlink()


def transductive(run: Run) -> None:
    content = read_json(run.path / "manifest.json")
    write_json(run.path / "manifest.json", content | {"transductive": True})


@pytest.mark.parametrize(
    ("names", "spoil", "says"),
    [
        (
            ("network",),
            without_weights,
            r"'network' lacks folds/1-0/weights.safetensors: copy the whole run, or train it again",
        ),
        (("network",), transductive, "transductive"),
        (("network", "lightgbm"), lambda _: None, "needs its run 'trees'"),
    ],
)
def test_a_run_that_cannot_predict_says_why_before_anything_is_loaded(
    names: tuple[str, ...], spoil: Callable[[Run], None], says: str, runs: Path, tmp_path: Path
) -> None:
    run = copy_of(runs, tmp_path, *names)
    spoil(run)
    with pytest.raises(RunError, match=says) as caught:
        fold_models(run)
    assert "\n" not in str(caught.value)


def test_imported_predictions_have_no_model(
    runs: Path, tiny: ChallengeData, tmp_path: Path
) -> None:
    file = tmp_path / "theirs.csv"
    Run(runs / "network").test()[["ID", "logit"]].to_csv(file, index=False)
    run = import_predictions(tiny, file, None, None, None, tmp_path / "theirs", False)
    assert run is not None
    with pytest.raises(RunError, match="'theirs' was imported"):
        fold_models(run)


def test_other_rows_or_item_features_than_the_runs_are_refused(
    runs: Path, tiny: ChallengeData, tmp_path: Path
) -> None:
    run = copy_of(runs, tmp_path, "network")
    with pytest.raises(RunError, match="other rows than run 'network'"):
        logits(run, replace(tiny, rows_fingerprint="others"), tiny)
    timings = run.timings
    path = FILES["item_info"].path
    files = timings["data_files"] | {path: "of yesterday"}
    write_timings(run.path, timings | {"data_files": files})
    with pytest.raises(RunError, match=f"other item features .{path} changed since"):
        logits(run, replace(tiny, context_fingerprint="others"), tiny)
