"""Networks as ONNX files: each shipped recipe's, in onnxruntime."""

import doctest
import json
import shutil
from collections.abc import Iterator
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import mmctr_kit
from mmctr_kit.cv.onnx import METADATA, TOLERANCE, checked_onnx, inputs_for
from mmctr_kit.data.dataset import ChallengeData
from mmctr_kit.errors import RunError, UsageError
from mmctr_kit.models.onnx import NEEDED, PaddedRows, onnx_logits, to_onnx
from mmctr_kit.models.registry import MODELS, NEURAL
from mmctr_kit.recipe import load_recipe, shipped_recipes
from mmctr_kit.recipe.family import FAMILIES
from tests.cli.conftest import run as command
from tests.training.learners import learner_of

ABSENT = [name for name in NEEDED if find_spec(name) is None]
pytestmark = [
    pytest.mark.skipif(bool(ABSENT), reason=f"{', '.join(ABSENT)}: make test-extras"),
    # What torch's exporter does with itself is not for us to mend.
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore::UserWarning:torch"),
    pytest.mark.filterwarnings("ignore::UserWarning:onnxscript"),
]

RECIPES = sorted({path.stem for path in shipped_recipes()})
NETWORKS = [n for n in RECIPES if MODELS[load_recipe(n).model_name].learner == NEURAL]


@pytest.fixture(scope="module", autouse=True)
def one_library() -> Iterator[None]:
    """torch's exporter reads the library of its operations once, and not for each network."""
    from torch.onnx._internal.exporter._registration import ONNXRegistry

    with pytest.MonkeyPatch.context() as patch:
        once = staticmethod(cache(ONNXRegistry.from_torchlib))
        patch.setattr(ONNXRegistry, "from_torchlib", once)
        yield


def test_trees_are_the_only_shipped_recipes_that_are_not_exported() -> None:
    assert {load_recipe(n).model_name for n in RECIPES if n not in NETWORKS} == {"gbdt"}
    assert {m.recipe for family in FAMILIES.values() for m in family} <= set(RECIPES)


def random_learner(recipe: str, data: ChallengeData, *settings: str) -> Any:
    """The recipe's learner with a network of random weights, none of them near zero."""
    options = load_recipe(recipe).model.model_dump()
    sizes = {"max_length": 4, "first_k_cols": 2, "cross_layers": 1}
    short = [f"model.{key}={size}" for key, size in sizes.items() if key in options]
    short += ["training.max_history=4"]
    learner = learner_of(load_recipe(recipe, [*short, *settings]), data)
    learner.begin(np.arange(1000), 0)
    generator = torch.Generator().manual_seed(0)
    for parameter in learner.network()[0].parameters():
        if parameter.dim() == 2 and parameter.numel() > 1 and parameter.std() < 1e-3:
            torch.nn.init.normal_(parameter, std=0.5, generator=generator)
    learner.network()[1][::2] = True
    return learner


def checked(learner: Any, rows: int = 20) -> tuple[bytes, float]:
    index = np.arange(rows)
    inputs = learner.padded("test", index, inputs_for(learner))
    return checked_onnx([learner.network()], inputs, learner.predict("test", index), {"a": "b"})


@pytest.mark.usefixtures("small_alignment")
@pytest.mark.parametrize("name", NETWORKS)
def test_every_shipped_network_is_exported_and_equal(name: str, tiny: ChallengeData) -> None:
    learner = random_learner(name, tiny)
    content, difference = checked(learner)
    assert difference <= TOLERANCE
    assert learner.predict("test", np.arange(20)).std() > 1e-3
    for local in (mmctr_kit.__file__, torch.__file__):
        assert str(Path(local).parent).encode() not in content


def test_a_network_that_reads_signals_takes_them_as_inputs(tiny: ChallengeData) -> None:
    learner = random_learner("din_demo", tiny, "signals.kinds=[cosine, near]")
    names = [(each.name, each.shape) for each in inputs_for(learner)]
    assert names[-2:] == [("signals", ("rows", 4, 2)), ("row_signals", ("rows", 9))]
    checked(learner)


def test_an_operation_without_a_counterpart_is_one_line(tiny: ChallengeData) -> None:
    class Odd(torch.nn.Module):
        def forward(self, batch: Any) -> torch.Tensor:
            return torch.linalg.eigvals(batch.item[:, None, None].float()).real[:, 0]

    learner = random_learner("history_length_only", tiny)
    rows = learner.padded("test", np.arange(5), inputs_for(learner))
    with pytest.raises(RunError, match="cannot be exported to ONNX") as caught:
        to_onnx(PaddedRows([Odd()], [torch.ones(1)]), rows, {})
    assert "\n" not in str(caught.value)


def test_a_file_that_gives_other_logits_is_not_kept(tiny: ChallengeData) -> None:
    learner = random_learner("history_length_only", tiny)
    rows = learner.padded("test", np.arange(5), inputs_for(learner))
    expected = learner.predict("test", np.arange(5)) + 0.01
    with pytest.raises(RunError, match=r"differ from the run's by up to 0.01 .* not kept"):
        checked_onnx([learner.network()], rows, expected, {})


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory, tiny_root: Path) -> Path:
    """A folder with the run din_demo, of two folds and two seeds."""
    folder = tmp_path_factory.mktemp("runs")
    short = {"training.epochs": 1, "training.min_steps": 0, "folds.count": 2, "seeds": [0, 1]}
    mmctr_kit.cross_validate("din_demo", tiny_root / "data", set=short, jobs=1, runs=folder)
    return folder


def test_the_file_of_a_run_gives_its_own_prediction_and_describes_itself(
    runs: Path, tiny: ChallengeData, tmp_path: Path
) -> None:
    onnx = pytest.importorskip("onnx")

    made = mmctr_kit.export_model("din_demo", tmp_path / "new" / "din.onnx", tiny, runs=runs)
    assert len(made.models) == 4
    model = onnx.load(made.path)
    described = json.loads({p.key: p.value for p in model.metadata_props}[METADATA])
    assert described == json.loads(json.dumps(made.description()))
    assert [each["name"] for each in described["inputs"]] == [i.name for i in model.graph.input]
    histories = tiny.histories.take(tiny.test.history).padded(32)  # the most that the run reads
    inputs = {
        "item_id": tiny.test.item_id.astype(np.int64),
        "likes_level": tiny.test.likes_level.astype(np.int64),
        "views_level": tiny.test.views_level.astype(np.int64),
        "item_seq": histories.astype(np.int64),
    }
    logits = onnx_logits(made.path.read_bytes(), inputs, [len(tiny.test)])
    expected = mmctr_kit.open_run("din_demo", runs).test_scores()
    assert np.abs(logits - expected).max() <= TOLERANCE


def test_one_fold_model_is_named_by_fold_and_seed(
    runs: Path, tiny_root: Path, tmp_path: Path
) -> None:
    onnx = pytest.importorskip("onnx")

    out, data = tmp_path / "one.onnx", tiny_root / "data"
    shared = ("export-model", "din_demo", "--data", str(data), "--runs", str(runs))
    done = command(*shared, "--out", str(out), "--fold", "1", "--seed", "0")
    assert "wrote " in done.stdout
    assert "item_seq" in done.stdout
    (content,) = [p.value for p in onnx.load(out).metadata_props if p.key == METADATA]
    assert json.loads(content)["models"] == [{"fold": 1, "seed": 0}]
    with pytest.raises(UsageError, match="replace it with --force"):
        mmctr_kit.export_model("din_demo", out, data, runs=runs)
    done = command(*shared, "--out", str(out), "--force", "--fold", "0", "--json")
    assert done.exit_code == 0, done.output
    said = json.loads(done.stdout)
    assert said["models"] == [{"fold": 0, "seed": 0}, {"fold": 0, "seed": 1}]
    assert said["checked"]["difference"] <= TOLERANCE


def test_the_example_of_export_model_runs(
    runs: Path, tiny_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copytree(runs, tmp_path / "runs")
    (tmp_path / "world").symlink_to(tiny_root)
    examples = doctest.DocTestParser().get_examples(mmctr_kit.export_model.__doc__ or "")
    test = doctest.DocTest(examples, {"mmctr_kit": mmctr_kit}, "export_model", None, None, "")
    said: list[str] = []
    assert doctest.DocTestRunner().run(test, out=said.append).failed == 0, "".join(said)
