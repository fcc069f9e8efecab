"""The default search space, of every shipped recipe."""

from pathlib import Path

import pytest
from optuna.trial import FixedTrial

from mmctr_kit.recipe import load_recipe, parse_recipe, shipped_recipes
from mmctr_kit.recipe.space import search_of
from mmctr_kit.tuning.space import own_point, require_feasible, suggest

SHIPPED = list(shipped_recipes())


@pytest.mark.parametrize("path", SHIPPED, ids=lambda p: p.stem)
def test_every_shipped_recipe_has_a_space_it_could_have_written(path: Path) -> None:
    recipe = load_recipe(str(path))
    plain = {key: values.as_plain() for key, values in search_of(recipe).items()}
    assert plain
    written = parse_recipe({**recipe.resolved(), "search": plain}, "written")
    assert written.search == search_of(recipe)


@pytest.mark.parametrize("path", SHIPPED, ids=lambda p: p.stem)
def test_no_entry_of_a_default_space_is_impossible(path: Path) -> None:
    recipe = load_recipe(str(path))
    require_feasible(search_of(recipe), recipe)


@pytest.mark.parametrize("name", ["din_mha_demo", "din_mha_se_pca", "gbdt"])
def test_the_recipe_lies_in_its_own_space(name: str) -> None:
    recipe = load_recipe(name)
    search = search_of(recipe)
    point = own_point(search, recipe)
    # A value outside of its range, such as null, is nobody's to ask for.
    inside = {key: values for key, values in search.items() if key in point}
    assert recipe.changed(suggest(FixedTrial(point), inside, recipe)) == recipe
    assert {"items.embedding", "items.whiten", "training.epochs"} <= set(search_of(recipe))


def test_the_paper_s_parts_are_searched() -> None:
    keys = set(search_of(load_recipe("din_mha_se_pca")))
    parts = {"se", "se_ratio", "attention", "attention_heads", "embedding_dim", "mlp_dropout"}
    assert {f"model.{part}" for part in parts} <= keys
    assert {"items.text_dim", "items.image_dim", "items.dim"} <= keys
    rates = {"learning_rate", "embedding_regularizer", "net_regularizer"}
    assert {f"training.{rate}" for rate in rates} <= keys


def test_a_search_of_ones_own_replaces_the_default() -> None:
    content = load_recipe("din_demo").resolved()
    content["search"] = {"training.epochs": {"int": [1, 3]}}
    assert list(search_of(parse_recipe(content, "mine"))) == ["training.epochs"]
