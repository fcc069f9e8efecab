"""A recipe is read from a file or by a shipped name, and --set changes it."""

from pathlib import Path
from typing import Any

import pytest

from mmctr_kit.errors import UsageError
from mmctr_kit.models.registry import MODELS
from mmctr_kit.recipe import (
    Recipe,
    find_recipe,
    load_recipe,
    recipe_folder,
    shipped_recipes,
)

SHIPPED = list(shipped_recipes())


def from_text(folder: Path, text: str, *settings: str) -> Recipe:
    path = folder / "r.yaml"
    path.write_text(text)
    return load_recipe(str(path), settings)


def test_recipes_are_shipped() -> None:
    assert SHIPPED
    assert [p for p in SHIPPED if p.parent != recipe_folder()]
    assert len({p.stem for p in SHIPPED}) == len(SHIPPED)
    assert set(recipe_folder().rglob("*.y*ml")) == set(SHIPPED)


TEXTS = {
    "empty": "",
    "a list": "- name: x",
    "broken": "name: [x",
    "a tab": "name: x\nmodel:\n\tname: din\n",
    "a python object": "name: !!python/object:os.system x",
    "two documents": "name: x\n---\nname: y\n",
    "a list as key": "? [a]\n: 1\n",
    "a key twice": "name: x\nname: y\nmodel: {name: din}\n",
    "a nested key twice": "name: x\nmodel: {name: din}\ntraining: {epochs: 3, epochs: 4}\n",
    "a block twice": "name: x\nmodel: {name: din}\nfolds: {count: 3}\nfolds: {seed: 1}\n",
    "a list in itself": "name: x\nmodel: {name: din}\nseeds: &a [*a]\n",
}


@pytest.mark.parametrize("text", TEXTS)
def test_a_file_that_is_no_recipe_is_one_line(tmp_path: Path, text: str) -> None:
    with pytest.raises(UsageError, match=r"r\.yaml: ") as caught:
        from_text(tmp_path, TEXTS[text])
    assert "\n" not in str(caught.value)


def test_a_file_that_is_no_text_or_is_absent_is_one_line(tmp_path: Path) -> None:
    path = tmp_path / "r.yaml"
    with pytest.raises(UsageError, match="no recipe file at"):
        load_recipe(str(path))
    path.write_bytes(b"name: \xff\n")
    with pytest.raises(UsageError, match="not readable YAML"):
        load_recipe(str(path))


def test_a_name_that_is_none_gets_a_suggestion() -> None:
    with pytest.raises(UsageError, match=r"did you mean din_official\?\); shipped: .*din_demo"):
        load_recipe("din_oficial")
    assert find_recipe("din_official").stem == "din_official"


YAML = "name: x\nmodel: {name: din}\n"


@pytest.mark.parametrize(
    ("setting", "place", "value"),
    [
        ("training.epochs=7", ("training", "epochs"), 7),
        ("training.learning_rate=1e-4", ("training", "learning_rate"), 1e-4),
        ("training.batch_size=auto", ("training", "batch_size"), "auto"),
        ("training.clip_norm=null", ("training", "clip_norm"), None),
        ("model.mlp_hidden=[8, 4]", ("model", "mlp_hidden"), [8, 4]),
        ("model.batch_norm=false", ("model", "batch_norm"), False),
        ("seeds=[3,1,2]", ("seeds",), [3, 1, 2]),
        ("name=y", ("name",), "y"),
        (" folds.count = 3", ("folds", "count"), 3),
        ("folds={count: 3, seed: 9}", ("folds", "seed"), 9),
    ],
)
def test_set_overrides_any_key(
    tmp_path: Path, setting: str, place: tuple[str, ...], value: Any
) -> None:
    found: Any = from_text(tmp_path, YAML, setting).resolved()
    for part in place:
        found = found[part]
    assert found == value


def test_several_settings_apply_in_order_and_leave_the_rest(tmp_path: Path) -> None:
    text = YAML + "training: {epochs: 3, warmup: 0.5}\n"
    recipe = from_text(tmp_path, text, "training.epochs=4", "training.epochs=6")
    assert (recipe.training.epochs, recipe.training.warmup) == (6, 0.5)


@pytest.mark.parametrize(
    ("setting", "expected"),
    [
        ("training.epochs", "expected KEY=VALUE"),
        ("=3", "expected KEY=VALUE"),
        ("training.epoch=3", "unknown key training.epoch (did you mean training.epochs?)"),
        ("trainng.epochs=3", "unknown key trainng (did you mean training?)"),
        ("training..epochs=3", "unknown key training."),
        ("training.epochs=x", "training.epochs: "),
        ("training.epochs=true", "training.epochs: "),
        ("training.epochs=", "training.epochs: "),
        ("training.epochs.deep=1", "training.epochs"),
        ("model.mlp_hidden=[8", "--set model.mlp_hidden=[8: "),
        ("model.mlp_hidden=[8, 0]", "model.mlp_hidden.1: "),
        ("model.name=dim", "; found 'dim' (did you mean din?)"),
        ("model=din", "model is a block of keys; write model.name=din, or name: din in it"),
        ("name.x=1", "--set name.x=1: name is x, not a block of keys"),
        ("seeds=1,2", "seeds: "),
        ("seeds.0=1", "seeds: "),
        ("folds={count: 3, count: 4}", "(key count twice in the block"),
    ],
)
def test_set_goes_through_the_same_validation(tmp_path: Path, setting: str, expected: str) -> None:
    with pytest.raises(UsageError) as caught:
        from_text(tmp_path, YAML, setting)
    assert expected in str(caught.value)
    assert "\n" not in str(caught.value)


def test_every_model_has_a_shipped_recipe() -> None:
    assert {load_recipe(str(p)).model_name for p in SHIPPED} == set(MODELS)


def test_a_setting_of_the_command_line_is_not_blamed_on_the_file_alone() -> None:
    with pytest.raises(UsageError, match=r"din_demo\.yaml with --set training\.epochs=few: "):
        load_recipe("din_demo", ["training.epochs=few"])
