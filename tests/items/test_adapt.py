"""A recipe is adapted to what a data folder has of text and image."""

import shutil
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from mmctr_kit.data.contract import FILES
from mmctr_kit.data.dataset import ChallengeData
from mmctr_kit.data.load import load
from mmctr_kit.items.adapt import adapted
from mmctr_kit.items.features import ItemFeatures
from mmctr_kit.recipe import load_recipe

BLOCKS = ["items.embedding=blocks", "items.blocks=[factors,text,image]"]


@pytest.fixture(scope="module")
def without(tiny_root: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, ChallengeData]:
    """The tiny data set without images, and without item_feature."""
    found = {}
    for name in ("image", "feature"):
        folder = Path(shutil.copytree(tiny_root / "data", tmp_path_factory.mktemp(name) / "data"))
        path = folder / FILES["item_feature"].path
        table = pq.read_table(path).drop_columns(["img_emb_CLIPRN50"])
        path.unlink()
        if name == "image":
            pq.write_table(table, path)
        found[name] = load(folder)
    return found


def test_a_recipe_whose_inputs_are_all_there_stays_as_it_is(tiny: ChallengeData) -> None:
    recipe = load_recipe("din_demo", [*BLOCKS, "items.text_dim=4", "items.image_dim=4"])
    assert adapted(recipe, tiny) == (recipe, [])


@pytest.mark.parametrize(
    ("lacks", "change"),
    [("image", "items.blocks=[factors, text]"), ("feature", "items.blocks=[factors]")],
)
def test_what_is_missing_is_left_out_and_named(
    lacks: str, change: str, without: dict[str, ChallengeData]
) -> None:
    recipe, shown = adapted(load_recipe("din_demo", BLOCKS), without[lacks])
    assert [line for line in shown if "_dim" not in line] == [change]
    assert ItemFeatures.derive(recipe, without[lacks]).missing == ()


def test_a_pca_keeps_no_more_values_than_the_vectors_have(tiny: ChallengeData) -> None:
    recipe, shown = adapted(load_recipe("din_demo", [*BLOCKS, "items.text_dim=5000"]), tiny)
    assert shown == [f"items.text_dim={recipe.items.text_dim}"]
    assert recipe.items.text_dim < 5000
