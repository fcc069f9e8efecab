"""The search space: what data and recipe allow, what is asked, and the recipe that answers make."""

import shutil
from pathlib import Path
from typing import Any

import optuna
import pyarrow.parquet as pq
import pytest

from mmctr_kit.data.dataset import ChallengeData
from mmctr_kit.data.load import load
from mmctr_kit.errors import DataError, UsageError
from mmctr_kit.recipe import Recipe, load_recipe
from mmctr_kit.recipe.search import Range
from mmctr_kit.recipe.space import search_of
from mmctr_kit.tuning.folder import sampler
from mmctr_kit.tuning.space import fit_to_data, own_point, require_feasible, suggest


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
    assert {p["items.embedding"] for p in asked} == {
        *("text", "image", "joint_pca", "separate_pca", "factors", "aligned", "blocks")
    }
    for point in asked:
        assert ("items.dim" in point) == (point["items.embedding"] == "joint_pca")
        with_text = "text" in point.get("items.blocks", ())
        assert ("items.text_dim" in point) == (
            point["items.embedding"] in ("text", "separate_pca") or with_text
        )
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


RECIPE = load_recipe("din_mha_demo")


def ranges(search: dict[str, Any]) -> dict[str, Range]:
    return {key: Range.model_validate(values) for key, values in search.items()}


@pytest.fixture(scope="module")
def text_alone(tiny_root: Path, tmp_path_factory: pytest.TempPathFactory) -> ChallengeData:
    """The tiny data set without image vectors."""
    folder = tmp_path_factory.mktemp("text") / "data"
    shutil.copytree(tiny_root / "data", folder)
    path = folder / "item_feature.parquet"
    pq.write_table(pq.read_table(path).drop_columns(["img_emb_CLIPRN50"]), path)
    return load(folder)


def test_the_whole_default_space_fits_complete_data(tiny: ChallengeData) -> None:
    search = search_of(RECIPE)
    assert fit_to_data(search, RECIPE, tiny) == (search, {})


def test_embeddings_that_the_folder_lacks_go_with_what_is_asked_of_them(
    text_alone: ChallengeData,
) -> None:
    found, gone = fit_to_data(search_of(RECIPE), RECIPE, text_alone)
    assert found["items.embedding"].choice == ("text", "factors", "aligned", "blocks")
    assert set(gone) == {f"items.embedding {e}" for e in ("image", "joint_pca", "separate_pca")}
    assert "items.text_dim" in found
    assert "items.image_dim" not in found
    assert "items.dim" not in found


def test_codes_of_a_modality_that_the_folder_lacks_go_too(text_alone: ChallengeData) -> None:
    of = {"codes.of": {"choice": ["none", "text", "image", "factors"]}}
    size = {"codes.size": {"choice": [16, 64], "when": {"codes.of": ["text", "image"]}}}
    found, gone = fit_to_data(ranges(of | size), RECIPE, text_alone)
    assert found["codes.of"].choice == ("none", "text", "factors")
    assert gone == {"codes.of image": "the folder does not hold image"}
    with pytest.raises(DataError, match=r"nothing is left of search\.codes\.of"):
        fit_to_data(ranges({"codes.of": {"choice": ["image"]}}), RECIPE, text_alone)


def test_a_search_of_which_no_embedding_is_left_is_refused(text_alone: ChallengeData) -> None:
    with pytest.raises(DataError, match="nothing is left of"):
        fit_to_data(ranges({"items.embedding": {"choice": ["image"]}}), RECIPE, text_alone)


def test_dimensions_end_at_the_width_of_the_vectors(tiny: ChallengeData) -> None:
    found, _ = fit_to_data(
        ranges(
            {
                "items.embedding": {"choice": ["separate_pca", "joint_pca"]},
                "items.text_dim": {"int": [8, 5000], "log": True},
                "items.dim": {"int": [8, 5008], "step": 1000},
                "items.image_dim": {"choice": [8, 5000]},
            }
        ),
        RECIPE,
        tiny,
    )
    assert found["items.text_dim"].bounds == (8, 768)
    assert found["items.dim"].bounds == (8, 1008)
    assert found["items.image_dim"].choice == (8,)


@pytest.mark.parametrize(
    ("search", "told"),
    [
        ({"training.epochs": {"int": [0, 3]}}, "search.training.epochs: 0 is infeasible"),
        ({"items.embedding": {"choice": ["text", "txt"]}}, "txt is infeasible"),
        ({"model.se": {"choice": [True, "perhaps"]}}, "perhaps is infeasible"),
        (
            {"items.embedding": {"choice": ["text"]}, "model.fusion": {"choice": ["gated"]}},
            "model.fusion is never asked",
        ),
        (
            {"items.dim": {"int": [2, 8], "when": {"items.embedding": ["raw"]}}},
            "never asked",
        ),
    ],
)
def test_what_never_makes_a_recipe_is_refused_up_front(search: dict[str, Any], told: str) -> None:
    with pytest.raises(UsageError, match=told):
        require_feasible(ranges(search), RECIPE)


def test_what_goes_with_some_of_the_others_is_left_to_the_trials() -> None:
    search = {
        "items.embedding": {"choice": ["text", "separate_pca"]},
        "model.fusion": {"choice": ["concat", "gated"]},
    }
    require_feasible(ranges(search), RECIPE)
