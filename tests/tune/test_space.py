"""What a trial is asked, and the recipe that its answers make."""

import optuna

from mmctr_kit.recipe import Recipe, load_recipe
from mmctr_kit.recipe.search import Range
from mmctr_kit.recipe.space import search_of
from mmctr_kit.tune.folder import sampler
from mmctr_kit.tune.space import own_point, suggest


def ask(recipe: Recipe, count: int) -> list[tuple[dict[str, object], dict[str, object]]]:
    """Points of a study without results, and the parameters that Optuna keeps of them."""
    study = optuna.create_study(sampler=sampler(0), direction="maximize")
    found = []
    for _ in range(count):
        trial = study.ask()
        point = suggest(trial, search_of(recipe), recipe)
        found.append((point, dict(trial.params)))
        study.tell(trial, 0.5)
    return found


def test_only_what_its_condition_allows_is_asked() -> None:
    recipe = load_recipe("din_mha_demo")
    asked = [point for point, _ in ask(recipe, 60)]
    assert {p["items.embedding"] for p in asked} == {"text", "image", "joint_pca", "separate_pca"}
    for point in asked:
        assert ("items.dim" in point) == (point["items.embedding"] == "joint_pca")
        assert ("items.text_dim" in point) == (point["items.embedding"] in ("text", "separate_pca"))
        assert ("model.se_ratio" in point) == point["model.se"]
        assert ("model.attention_heads" in point) == (point["model.attention"] == "multihead")


def test_every_point_of_the_default_space_is_a_recipe_of_those_values() -> None:
    recipe = load_recipe("din_mha_demo")
    for point, _ in ask(recipe, 30):
        blocks = recipe.changed(point).resolved()
        for key, value in point.items():
            block, name = key.split(".")
            assert blocks[block][name] == value


def test_equal_seeds_ask_equal_points() -> None:
    recipe = load_recipe("din_demo")
    assert ask(recipe, 12) == ask(recipe, 12)


def test_a_list_is_a_choice_too() -> None:
    recipe = load_recipe("din_demo")
    values = Range.model_validate({"choice": [[8], [16, 8]]})
    study = optuna.create_study(sampler=sampler(0))
    point = suggest(study.ask(), {"model.mlp_hidden": values}, recipe)
    assert point["model.mlp_hidden"] in ([8], [16, 8])
    assert study.trials[0].params["model.mlp_hidden"] in ("[8]", "[16, 8]")


def test_own_values_outside_of_their_range_are_left_to_the_sampler() -> None:
    recipe = load_recipe("din_mha_demo")
    search = {
        "training.epochs": Range.model_validate({"int": [1, 3]}),
        "model.se_ratio": Range.model_validate({"int": [2, 8], "when": {"model.se": [True]}}),
        "items.dim": Range.model_validate({"int": [2, 8], "when": {"items.embedding": ["text"]}}),
    }
    assert own_point(search, recipe) == {"model.se_ratio": 3}
