"""mmctr_kit.recipe.diff: the settings that two mappings differ in, by name."""

from mmctr_kit.recipe.diff import MOST, difference, recipe_difference


def test_what_differs_is_named_with_both_values() -> None:
    before = {"name": "x", "training": {"epochs": 5, "optimizer": "adam"}}
    now = {"name": "x", "training": {"epochs": 3, "optimizer": "adam"}}
    assert difference(before, now) == "training.epochs: 5 there, 3 now"
    assert difference(before, before) == ""


def test_a_setting_of_one_side_alone_is_named() -> None:
    found = difference({"model": {"heads": 2}}, {"model": {"hidden": [4, 2]}})
    assert found == "model.heads: 2 there, absent now; model.hidden: absent there, [4, 2] now"


def test_of_many_the_rest_is_counted() -> None:
    before, now = ({str(i): i + more for i in range(MOST + 2)} for more in (0, 1))
    assert difference(before, now).endswith("; and 2 more")
    assert difference(before, now).count("there") == MOST


def test_where_the_rows_of_a_recipe_lie_is_no_difference() -> None:
    recipe = "items: {{}}\ntraining: {{epochs: {0}, data_on: {1}, check: {1}}}\n"
    assert recipe_difference(recipe.format(5, "auto"), recipe.format(5, "host")) == ""
    told = recipe_difference("items: {}\ntraining: {epochs: 5}\n", recipe.format(3, "host"))
    assert told == "training.epochs: 5 there, 3 now"
