"""A model's recipe keys are its signature's, read without importing it."""

import inspect
import os
import subprocess
import sys
import typing
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from mmctr_kit.errors import UsageError
from mmctr_kit.models import option_types, registry
from mmctr_kit.models.registry import (
    MODELS,
    SHIPPED,
    Models,
    Option,
    model_class,
    model_options,
    model_supplies,
    register_model,
)


@pytest.mark.parametrize("name", MODELS)
def test_options_equal_the_real_signature(name: str) -> None:
    built = model_class(name)
    hints = typing.get_type_hints(built.__init__, include_extras=True)
    parameters = list(inspect.signature(built).parameters.values())
    expected = {
        p.name: Option(hints[p.name], p.default)
        for p in parameters
        if p.default is not inspect.Parameter.empty
    }
    assert dict(model_options(name)) == expected
    assert list(model_options(name)) == list(expected)
    assert all(p.kind is inspect.Parameter.KEYWORD_ONLY for p in parameters)
    assert expected


def test_options_are_read_without_torch() -> None:
    code = (
        "import sys; from mmctr_kit.models.registry import MODELS, model_options;"
        "import mmctr_kit.recipe.schema;"
        "[model_options(n) for n in MODELS]; sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


MODEL = """
from torch import nn
from mmctr_kit.models.layers.blocks import embedding
from mmctr_kit.models.option_types import PositiveInt

class Mine(nn.Module):
    def __init__(self, *, item_tags, width: PositiveInt = 4):
        super().__init__()
        self.item = embedding(len(item_tags), width)
        self.head = nn.Linear(width, 1)

    def forward(self, batch):
        return self.head(self.item(batch.item)).squeeze(-1)
"""


@pytest.fixture
def models(monkeypatch: pytest.MonkeyPatch) -> Models:
    """A registry of this test alone."""
    fresh = Models(SHIPPED)
    monkeypatch.setattr(registry, "MODELS", fresh)
    return fresh


@pytest.fixture
def module(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> str:
    """The name of a module that can be imported, and is not, in a package that must not be."""
    package = tmp_path / f"elsewhere_{abs(hash(tmp_path))}"
    package.mkdir()
    (package / "__init__.py").write_text("raise RuntimeError('imported')")
    (package / "model.py").write_text(MODEL)
    monkeypatch.syspath_prepend(str(tmp_path))
    return f"{package.name}.model"


def written(module: str, source: str, folder: Path) -> str:
    """The target of class Model, after writing ``source`` over the module."""
    folder.joinpath(*module.split(".")).with_suffix(".py").write_text(source)
    return f"{module}:Model"


def test_a_registered_model_has_its_options_before_anything_is_imported(
    models: Models, module: str
) -> None:
    register_model("mine", f"{module}:Mine")
    register_model("mine", f"{module}:Mine")
    assert list(models) == [*SHIPPED, "mine"]
    assert model_options("mine") == {"width": Option(option_types.PositiveInt, 4)}
    assert model_supplies("mine") == ("item_tags",)
    with pytest.raises(RuntimeError, match="imported"):
        model_class("mine")


def test_a_name_is_of_one_model(models: Models, module: str) -> None:
    with pytest.raises(UsageError, match=r"'din' is taken by mmctr_kit\.models\.din:DIN"):
        register_model("din", f"{module}:Mine")
    assert models["din"] == SHIPPED["din"]


def test_a_clashing_entry_point_is_ignored_with_a_warning_and_hides_no_other(
    monkeypatch: pytest.MonkeyPatch, models: Models
) -> None:
    points = [EntryPoint("din", "evil:DIN", "x"), EntryPoint("good", "good:Model", "x")]
    monkeypatch.setattr(registry, "entry_points", lambda group: points if group else [])
    with pytest.warns(UserWarning, match=r"'din' .*evil:DIN.* is ignored"):
        names = list(models)
    assert "good" in names
    assert models["din"] == SHIPPED["din"]


def test_a_signature_may_be_inherited(models: Models, module: str, tmp_path: Path) -> None:
    source = (
        "import mmctr_kit\nfrom mmctr_kit.models.din import DIN as Base\n"
        "class Between(mmctr_kit.Unknown, Base):\n    pass\n"
        "class Model(Between):\n    pass\n"
    )
    register_model("mine", written(module, source, tmp_path))
    assert model_options("mine") == model_options("din")
    assert len(models) == len(SHIPPED) + 1


@pytest.mark.parametrize(
    ("members", "fault"),
    [
        ("def __init__(self, a=1): pass", "keyword-only"),
        ("def __init__(self, *, b: int = 1, **k): pass", "keyword-only"),
        ("def __init__(self, *, b=1): pass", "option b has no annotation"),
        ("def __init__(self, *, b: Width = 1): pass", "not Width = 1.*'Width' is not defined"),
        ("def __init__(self, *, b: int = ONE): pass", "not int = ONE"),
        ("def __init__(self, *, n_items): pass", r"argument n_items .*\(item_tags, "),
        ("pass", "no class Model with an __init__"),
    ],
)
def test_a_class_that_is_no_model_is_refused(
    models: Models, module: str, tmp_path: Path, members: str, fault: str
) -> None:
    target = written(module, f"class Model:\n    {members}\n", tmp_path)
    with pytest.raises(UsageError, match=fault):
        register_model("mine", target)
    assert "mine" not in models


@pytest.mark.parametrize(
    ("target", "fault"),
    [
        ("mmctr_kit.models.absent:Model", r"no module 'mmctr_kit\.models\.absent' with a source"),
        ("mmctr_kit.models.din.more:Model", "no module"),
        ("no_such_package.model:Model", "no module"),
        ("__main__:Model", "no module '__main__'"),
        (":Model", "no module ''"),
        ("mmctr_kit.models.din:Din", "defines no class 'Din'"),
        ("mmctr_kit.models.din", "defines no class ''; expected 'module:Class'"),
    ],
)
def test_a_target_that_does_not_exist_is_named(target: str, fault: str) -> None:
    with pytest.raises(UsageError, match=fault):
        register_model("mine", target)


WHO_IMPORTS_IT = """
import os, pathlib
pathlib.Path(__file__).with_name(f"process-{os.getpid()}").touch()
"""
SCRIPT = """
import sys
from mmctr_kit.cli.app import main
from mmctr_kit.models.registry import register_model

if __name__ == "__main__":
    register_model("mine", "elsewhere:Mine")
    sys.exit(main())
"""


@pytest.mark.slow
@pytest.mark.parametrize("way", ["entry point", "register_model"])
def test_worker_processes_train_a_model_from_elsewhere(
    way: str, tiny_root: Path, tmp_path: Path
) -> None:
    """``cv`` with two workers, of a model that only an entry point or a script names."""
    (tmp_path / "elsewhere.py").write_text(f"{WHO_IMPORTS_IT}{MODEL}")
    command = [sys.executable, "-m", "mmctr_kit"]
    if way == "entry point":
        folder = tmp_path / "elsewhere-1.0.dist-info"
        folder.mkdir()
        (folder / "METADATA").write_text("Metadata-Version: 2.1\nName: elsewhere\nVersion: 1.0\n")
        (folder / "entry_points.txt").write_text("[mmctr_kit.models]\nmine = elsewhere:Mine\n")
    else:
        (tmp_path / "script.py").write_text(SCRIPT)
        command = [sys.executable, str(tmp_path / "script.py")]
    recipe = tmp_path / "mine.yaml"
    recipe.write_text(
        "{name: mine, model: {name: mine, width: 3}, folds: {count: 2},"
        " training: {epochs: 1, min_steps: 0}}"
    )
    runs = tmp_path / "runs"
    arguments = ["cv", str(recipe), "--data", str(tiny_root / "data"), "--runs", str(runs)]
    done = subprocess.run(
        [*command, *arguments, "--jobs", "2", "--devices", "cpu"],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), *sys.path])},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert len(list(tmp_path.glob("process-*"))) >= 3  # the command and its workers
    assert (runs / "mine" / "DONE").is_file()
