"""Aligned vectors and factors from Python."""

from pathlib import Path

import numpy as np
import pytest

import mmctr_kit
from mmctr_kit.data.dataset import ChallengeData
from mmctr_kit.errors import UsageError
from mmctr_kit.items.table import item_table
from mmctr_kit.recipe import Items, load_recipe


@pytest.mark.usefixtures("small_alignment")
def test_results_are_tables_and_vectors(tiny: ChallengeData) -> None:
    aligned = mmctr_kit.align_items(tiny, set={"items.aligned_dim": 8})
    factors = mmctr_kit.factor_items(tiny, set=["items.factors_dim=8"])
    assert aligned.vectors.shape == factors.vectors.shape == (tiny.n_items + 1, 8)
    assert "aligned" in aligned._repr_html_()
    assert repr(aligned).startswith("AlignedItems(recall 0.")
    assert repr(factors).startswith(f"FactoredItems({factors.rows()[0]['items']} from who")


def test_a_recipe_that_is_loaded_gives_its_settings(tiny: ChallengeData) -> None:
    recipe = load_recipe("din_demo", ["items.embedding=factors", "items.factors_dim=5"])
    assert mmctr_kit.factor_items(tiny, recipe).vectors.shape[1] == 5


def test_a_written_file_is_an_embedding_of_ones_own(tiny: ChallengeData, tmp_path: Path) -> None:
    out = tmp_path / "v.parquet"
    made = mmctr_kit.factor_items(tiny, set={"items.factors_dim": 8}, out=out)
    table = item_table(tiny, Items(embedding="file", file=str(out)))
    np.testing.assert_array_equal(table, made.vectors)
    with pytest.raises(UsageError, match="exists"):
        mmctr_kit.factor_items(tiny, out=out)
