"""``mmctr-kit recipes``: the list names every shipped recipe, and one is printed as it is."""

import json

from mmctr_kit.recipe import find_recipe, load_recipe, shipped_recipes
from tests.cli.conftest import run


def test_the_list_has_every_shipped_recipe_within_80_columns() -> None:
    shown = run("recipes").output.splitlines()
    assert {path.stem for path in shipped_recipes()} <= {line.split()[0] for line in shown}
    assert max(map(len, shown)) <= 80
    listed = json.loads(run("recipes", "--json").stdout)
    assert {entry["name"] for entry in listed} == {path.stem for path in shipped_recipes()}


def test_a_recipe_is_printed_to_copy_or_resolved_as_json() -> None:
    assert run("recipes", "din_demo").output == find_recipe("din_demo").read_text("utf-8")
    resolved = json.loads(run("recipes", "din_demo", "--json").stdout)
    assert resolved == load_recipe("din_demo").resolved()
