"""A recipe is closed: what it says is what runs, and every mistake in it is one line."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from mmctr_kit.data.hashing import fingerprint
from mmctr_kit.errors import UsageError
from mmctr_kit.recipe import (
    Recipe,
    load_recipe,
    parse_recipe,
    shipped_recipes,
)

SHIPPED = list(shipped_recipes())
LEAST: dict[str, Any] = {"name": "x", "model": {"name": "din"}}


def least(**more: Any) -> dict[str, Any]:
    return {**LEAST, **more}


@pytest.mark.parametrize("path", SHIPPED, ids=lambda p: p.stem)
def test_a_shipped_recipe_is_valid_under_its_own_name_and_shows_its_command(path: Path) -> None:
    recipe = load_recipe(str(path))
    assert recipe.name == path.stem
    assert load_recipe(path.stem) == recipe
    header = path.read_text().partition("\nname:")[0].splitlines()
    assert all(line.startswith("#") for line in header)
    assert re.fullmatch(r"# \S.*\.", header[0])
    commands = [line for line in header if re.search("mmctr-kit (cv|fit) ", line)]
    command = rf"#   mmctr-kit (cv|fit) {re.escape(path.stem)} --data \S+( --set \S+=\S+)?"
    assert re.fullmatch(command, commands[0])


@pytest.mark.parametrize("path", SHIPPED, ids=lambda p: p.stem)
def test_the_resolved_recipe_parses_to_itself(path: Path) -> None:
    recipe = load_recipe(str(path))
    for content in (recipe.resolved(), yaml.safe_load(recipe.to_yaml())):
        again = parse_recipe(content, "again")
        assert again == recipe
        assert again.resolved() == recipe.resolved()


def test_the_resolved_recipe_holds_every_value() -> None:
    resolved = parse_recipe(LEAST, "x").resolved()
    assert json.loads(json.dumps(resolved)) == resolved
    assert set(resolved) == set(Recipe.model_fields) - {"search"}
    assert resolved["training"]["epochs"] == 5
    assert resolved["model"]["attention_hidden"] == [512, 256]


@settings(max_examples=30)  # writing YAML takes long
@given(
    rate=st.floats(1e-300, 1e300), name=st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]*", fullmatch=True)
)
def test_odd_numbers_and_names_survive_yaml(rate: float, name: str) -> None:
    recipe = parse_recipe(least(name=name, training={"learning_rate": rate}), "x")
    assert parse_recipe(yaml.safe_load(recipe.to_yaml()), "x") == recipe


def test_model_arguments_are_the_options_without_the_name() -> None:
    recipe = parse_recipe(least(model={"name": "din", "mlp_hidden": [8]}), "x")
    assert recipe.model_name == "din"
    assert recipe.model_arguments["mlp_hidden"] == (8,)
    assert "name" not in recipe.model_arguments


UNKNOWN = [
    ({"trainign": {}}, "unknown key trainign (did you mean training?)"),
    (
        {"model": {"name": "din", "mlp_hiden": [8]}},
        "unknown key model.mlp_hiden (did you mean model.mlp_hidden?)",
    ),
    ({"items": {"embeding": "v1"}}, "unknown key items.embeding (did you mean items.embedding?)"),
    ({"training": {"epoch": 3}}, "unknown key training.epoch (did you mean training.epochs?)"),
    ({"folds": {"cout": 3}}, "unknown key folds.cout (did you mean folds.count?)"),
    ({"qqqq": 1}, "unknown key qqqq"),
]


@pytest.mark.parametrize(("more", "expected"), UNKNOWN, ids=lambda v: str(v)[:30])
def test_an_unknown_key_is_refused_at_every_level_with_a_suggestion(
    more: dict[str, Any], expected: str
) -> None:
    with pytest.raises(UsageError) as caught:
        parse_recipe(least(**more), "r.yaml")
    assert str(caught.value).startswith("r.yaml: ")
    assert expected in str(caught.value)


def _leaves(content: Any, place: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    if isinstance(content, dict):
        return [leaf for k, v in content.items() for leaf in _leaves(v, (*place, k))]
    return [place]


def _changed(content: dict[str, Any], place: tuple[str, ...]) -> dict[str, Any]:
    copy = json.loads(json.dumps(content))
    block = copy
    for part in place[:-1]:
        block = block[part]
    block[place[-1]] = "changed"
    return dict(copy)


def test_the_fingerprint_changes_with_every_value_and_not_with_the_order_of_keys() -> None:
    resolved = load_recipe("din_official").resolved()
    base = fingerprint(resolved)
    backwards = {
        k: dict(reversed(v.items())) if isinstance(v, dict) else v for k, v in resolved.items()
    }
    assert fingerprint(dict(reversed(backwards.items()))) == base
    places = _leaves(resolved)
    assert len(places) > 25
    assert len({fingerprint(_changed(resolved, p)) for p in places} | {base}) == len(places) + 1


@pytest.mark.parametrize("setting", ["data_on=host", "check=always", "check=off"])
def test_where_the_rows_lie_and_what_is_checked_is_none_of_what_a_run_is_known_by(
    setting: str,
) -> None:
    recipes = [load_recipe("din_demo", settings) for settings in ((), (f"training.{setting}",))]
    assert recipes[0].content() == recipes[1].content()
    assert recipes[0].resolved() != recipes[1].resolved()


def test_the_fingerprint_keeps_the_order_of_values_and_the_version(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert len({fingerprint([12, 3]), fingerprint([1, 23]), fingerprint([3, 12])}) == 3
    assert fingerprint("a", "b") != fingerprint("b", "a")
    before = fingerprint("a")
    monkeypatch.setattr("mmctr_kit.data.hashing.__version__", "0.0.0")
    assert fingerprint("a") != before


def test_a_recipe_cannot_be_changed() -> None:
    recipe = parse_recipe(LEAST, "x")
    with pytest.raises(ValueError, match="frozen"):
        recipe.training.epochs = 3  # type: ignore[misc]
