"""mmctr_kit.cv.onnx: which of a run's models are exported, and why some runs' are not.

tests/extras/test_onnx.py exports them.
"""

from pathlib import Path

import pytest

from mmctr_kit.cv.executors.local import LocalExecutor
from mmctr_kit.cv.onnx import chosen_models, describe
from mmctr_kit.cv.plan import plan_cv, plan_fit
from mmctr_kit.cv.run import run_cv
from mmctr_kit.data.dataset import ChallengeData
from mmctr_kit.ensemble.runs import blend_runs
from mmctr_kit.errors import RunError, UsageError
from mmctr_kit.models.onnx import inputs_of
from mmctr_kit.recipe import load_recipe
from mmctr_kit.runs.run import Run

SHORT = ("training.epochs=1", "folds.count=2")
NETWORK = ("training.min_steps=0", "training.batch_size=512")


@pytest.fixture(scope="module")
def runs(tiny: ChallengeData, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the runs network, signals, trees and fit, and a blend."""
    folder = tmp_path_factory.mktemp("runs")
    for name, recipe, settings in (
        ("network", "history_length_only", (*NETWORK, "seeds=[0, 3]")),
        ("signals", "din_demo", (*NETWORK, "signals.kinds=[cosine]")),
        ("trees", "gbdt_demo", ()),
        ("fit", "history_length_only", NETWORK),
    ):
        plan_of = plan_fit if name == "fit" else plan_cv
        loaded = load_recipe(recipe, (*SHORT, *settings))
        plan = plan_of(loaded, tiny, LocalExecutor("cpu", 1, 1))
        assert run_cv(plan, folder / name, False, lambda _: None) is not None
    both = [Run(folder / name) for name in ("signals", "trees")]
    assert blend_runs(both, "mean", folder / "blend", False) is not None
    return folder


@pytest.mark.parametrize(
    ("name", "fold", "seed", "expected"),
    [
        ("network", None, None, [(0, 0), (0, 3), (1, 0), (1, 3)]),
        ("network", 1, None, [(1, 0), (1, 3)]),
        ("network", None, 3, [(0, 3), (1, 3)]),
        ("signals", 1, None, [(1, 0)]),
        ("fit", None, None, [(-1, 0)]),
    ],
)
def test_all_models_are_exported_unless_one_is_named(
    name: str, fold: int | None, seed: int | None, expected: list[tuple[int, int]], runs: Path
) -> None:
    assert chosen_models(Run(runs / name), fold, seed) == expected


@pytest.mark.parametrize(
    ("name", "fold", "says"),
    [
        ("blend", None, "is a blend, whose method is no network; .*: signals, trees"),
        ("trees", None, "which is trees on features"),
        ("signals", None, r"reads signals \(cosine\), .* with --fold 0"),
    ],
)
def test_a_run_without_a_network_to_export_says_why(
    name: str, fold: int | None, says: str, runs: Path
) -> None:
    with pytest.raises(RunError, match=says) as caught:
        chosen_models(Run(runs / name), fold, None)
    assert "\n" not in str(caught.value)


def test_a_model_that_a_run_does_not_have_is_refused_with_those_it_has(runs: Path) -> None:
    with pytest.raises(UsageError, match="no model of fold 7; it has folds 0, 1 and seeds 0, 3"):
        chosen_models(Run(runs / "network"), 7, None)
    with pytest.raises(UsageError, match="no model of fold 0, seed 1; it has no folds, but seed 0"):
        chosen_models(Run(runs / "fit"), 0, 1)


def test_the_description_names_models_inputs_and_output() -> None:
    content = describe("din", [(0, 1), (-1, 0)], inputs_of(64, 10, 2, 9))
    assert content["models"] == [{"fold": 0, "seed": 1}, {"fold": "all", "seed": 0}]
    inputs = {each["name"]: each for each in content["inputs"]}
    assert inputs["item_seq"]["shape"] == ("rows", 64)
    assert inputs["signals"]["dtype"] == "float32"
    assert "10 distinct user_id" in inputs["user"]["meaning"]
    assert content["output"]["name"] == "logit"
