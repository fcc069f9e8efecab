"""A recipe with settings, from Python and from the command line."""

import mmctr_kit


def test_a_recipe_with_settings_is_the_recipe_of_the_command_line() -> None:
    loaded = mmctr_kit.load_recipe("din_demo")
    changed = {"training.epochs": 3, "model.mlp_hidden": [32], "items.embedding": "v3"}
    by_name = mmctr_kit.load_recipe("din_demo", set=changed)
    assert mmctr_kit.load_recipe(loaded, set=changed) == by_name
    assert by_name.training.epochs == 3
