"""What of a search the data folder and the recipe's own rules allow."""

import shutil
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from mmctr_kit.data.dataset import ChallengeData
from mmctr_kit.data.load import load
from mmctr_kit.errors import DataError, UsageError
from mmctr_kit.recipe import load_recipe
from mmctr_kit.recipe.search import Range
from mmctr_kit.recipe.space import search_of
from mmctr_kit.tune.space import fit_to_data, require_possible

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
    assert fit_to_data(search, tiny) == (search, {})


def test_embeddings_that_the_folder_lacks_go_with_what_is_asked_of_them(
    text_alone: ChallengeData,
) -> None:
    found, gone = fit_to_data(search_of(RECIPE), text_alone)
    assert found["items.embedding"].choice == ("text",)
    assert set(gone) == {f"items.embedding {e}" for e in ("image", "joint_pca", "separate_pca")}
    assert found["items.text_dim"].when == {"items.embedding": ("text",)}
    assert "items.image_dim" not in found
    assert "items.dim" not in found


def test_a_search_of_which_no_embedding_is_left_is_refused(text_alone: ChallengeData) -> None:
    with pytest.raises(DataError, match="nothing is left of"):
        fit_to_data(ranges({"items.embedding": {"choice": ["image"]}}), text_alone)


def test_dimensions_end_at_the_width_of_the_vectors(tiny: ChallengeData) -> None:
    found, _ = fit_to_data(
        ranges(
            {
                "items.text_dim": {"int": [8, 5000], "log": True},
                "items.dim": {"int": [8, 5008], "step": 1000},
                "items.image_dim": {"choice": [8, 5000]},
            }
        ),
        tiny,
    )
    assert found["items.text_dim"].bounds == (8, 768)
    assert found["items.dim"].bounds == (8, 1008)
    assert found["items.image_dim"].choice == (8,)


@pytest.mark.parametrize(
    ("search", "told"),
    [
        ({"training.epochs": {"int": [0, 3]}}, "search.training.epochs: 0 is impossible"),
        ({"items.embedding": {"choice": ["text", "txt"]}}, "txt is impossible"),
        ({"model.se": {"choice": [True, "perhaps"]}}, "perhaps is impossible"),
        (
            {"items.embedding": {"choice": ["text"]}, "model.fusion": {"choice": ["gated"]}},
            "text is impossible .*fuses text and image",
        ),
        (
            {"items.dim": {"int": [2, 8], "when": {"items.embedding": ["raw"]}}},
            "never asked",
        ),
    ],
)
def test_what_never_makes_a_recipe_is_refused_up_front(search: dict[str, Any], told: str) -> None:
    with pytest.raises(UsageError, match=told):
        require_possible(ranges(search), RECIPE)


def test_what_goes_with_some_of_the_others_is_left_to_the_trials() -> None:
    search = {
        "items.embedding": {"choice": ["text", "separate_pca"]},
        "model.fusion": {"choice": ["concat", "gated"]},
    }
    require_possible(ranges(search), RECIPE)
