"""A model's recipe keys are its signature's, read without importing it."""

import inspect
import subprocess
import sys
import typing
from pathlib import Path

import pytest

from mmctr_kit.models import registry
from mmctr_kit.models.registry import MODELS, Entry, Option, model_class, model_options


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


def _register(
    monkeypatch: pytest.MonkeyPatch, folder: Path, source: str, target: str = "made_up:Model"
) -> None:
    (folder / "made_up.py").write_text(source)
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.setattr(registry, "MODELS", {"made_up": Entry(target)})
    model_options.cache_clear()


def test_a_new_model_is_its_file_and_a_line(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    source = (
        "class Other:\n    pass\n\n\nclass Model:\n"
        "    def __init__(self, *, sizes, width: PositiveInt = 4, act: Activation = 'relu'):\n"
        "        pass\n"
    )
    _register(monkeypatch, tmp_path, source)
    found = model_options("made_up")
    assert {n: o.default for n, o in found.items()} == {"width": 4, "act": "relu"}
    model_options.cache_clear()


@pytest.mark.parametrize(
    ("source", "target", "fault"),
    [
        ("class Model:\n    def __init__(self, a=1):\n        pass\n", "made_up:Model", "keyword"),
        (
            "class Model:\n    def __init__(self, *, b=1, **k):\n        pass\n",
            "made_up:Model",
            "key",
        ),
        ("class Model:\n    pass\n", "made_up:Model", "defines no class Model"),
        ("class Model:\n    pass\n", "made_up:Other", "defines no class Other"),
    ],
)
def test_a_model_that_breaks_the_rules_is_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, source: str, target: str, fault: str
) -> None:
    _register(monkeypatch, tmp_path, source, target)
    with pytest.raises(TypeError, match=fault):
        model_options("made_up")


def test_a_module_that_does_not_exist_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    _register(monkeypatch, tmp_path, "", "mmctr_kit.models.absent:Model")
    with pytest.raises(ModuleNotFoundError, match=r"mmctr_kit\.models\.absent"):
        model_options("made_up")
