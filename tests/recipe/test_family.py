"""The families of recipes hold every recipe in their folder, and no run's name twice."""

import pytest

from mmctr_kit.recipe import load_recipe, recipe_folder
from mmctr_kit.recipe.family import FAMILIES


@pytest.mark.parametrize("family", FAMILIES)
def test_a_family_has_every_recipe_in_its_folder_and_no_run_twice(family: str) -> None:
    names = [member.name for member in FAMILIES[family]]
    assert len(set(names)) == len(names) > 1
    folder = {path.stem for path in (recipe_folder() / family).glob("*.yaml")}
    recipes = {member.recipe for member in FAMILIES[family]}
    assert recipes >= folder
    assert all(name.startswith(f"{family}_") for name in names)
    for name in recipes:
        assert load_recipe(name).seeds == (0,)
