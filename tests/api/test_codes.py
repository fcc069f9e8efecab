"""mmctr_kit.api.codes: codes of items from Python."""

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

import mmctr_kit
from mmctr_kit.data.dataset import ChallengeData
from mmctr_kit.embed.codes import quantise
from mmctr_kit.embed.content import Content
from mmctr_kit.embed.factors import FactorOptions, fit_factors
from mmctr_kit.errors import UsageError
from mmctr_kit.items.table import item_table
from mmctr_kit.recipe import load_recipe
from tests.embed.test_content import encoded


def test_each_kind_is_quantised_by_itself_and_one_table_compares_them(tiny: ChallengeData) -> None:
    made = mmctr_kit.quantise_items(tiny, ["text", "factors", "embedding"], levels=2, size=16)
    recipe = load_recipe("din_official", ["codes.of=factors"])
    rows = np.arange(len(tiny.train))
    expected = {
        "text": Content(tiny).vectors("text"),
        "factors": fit_factors(Content(tiny), FactorOptions.of(recipe), rows).vectors,
        "embedding": item_table(tiny, recipe.items),
    }
    assert list(made.codes) == list(expected)
    for of, vectors in expected.items():
        np.testing.assert_array_equal(made.codes[of].codes, quantise(vectors, 2, 16).codes)
    table = made.table()
    assert table.of.tolist() == ["text"] * 2 + ["factors"] * 2 + ["embedding"] * 2
    assert table.level.tolist() == [1, 2] * 3
    assert (table.perplexity > 0.6).all()
    assert table["items"].tolist()[:2] == [int(np.any(expected["text"] != 0, axis=1).sum())] * 2


@pytest.mark.slow
@pytest.mark.usefixtures("small_alignment")
def test_the_recipe_says_what_levels_and_factors_are_like(tiny: ChallengeData) -> None:
    settings = {"codes.of": "factors", "codes.levels": 4, "items.factors_dim": 8}
    made = mmctr_kit.quantise_items(tiny, recipe="gbdt", set=settings)
    assert list(made.codes) == ["text", "image", "aligned", "factors"]
    assert all(codes.codes.shape == (tiny.n_items + 1, 4) for codes in made.codes.values())
    recipe = load_recipe("gbdt", ["codes.of=factors", "items.factors_dim=8"])
    factors = fit_factors(
        Content(tiny), FactorOptions.of(recipe), np.arange(len(tiny.train))
    ).vectors
    np.testing.assert_array_equal(made.codes["factors"].codes, quantise(factors, 4, 64).codes)


def test_codes_are_written_by_item_with_null_for_an_item_without(
    tiny: ChallengeData, tmp_path: Path
) -> None:
    out = tmp_path / "codes.parquet"
    made = mmctr_kit.quantise_items(tiny, ["text", "image"], size=16, out=out)
    file = pq.read_table(out)
    assert file.column_names == ["item_id", "text", "image"]
    assert file.column("item_id").to_pylist() == list(range(1, tiny.n_items + 1))
    for of, codes in made.codes.items():
        written = file.column(of).to_pylist()
        assert None in written
        assert [row or [0, 0, 0] for row in written] == codes.codes[1:].tolist()
    with pytest.raises(UsageError, match=r"codes\.parquet"):
        mmctr_kit.quantise_items(tiny, ["text"], out=out)
    mmctr_kit.quantise_items(tiny, ["text"], out=out, force=True)
    assert pq.read_table(out).column_names == ["item_id", "text"]


def test_what_cannot_be_quantised_is_refused_in_one_line(tiny: ChallengeData) -> None:
    for of, message in (
        (["none"], "of: none is nothing to quantise"),
        (["tekst"], r"codes\.of: expected one of .*; found 'tekst'"),
        ("text", r"of: expected a list, found 'text'"),
    ):
        with pytest.raises(UsageError, match=message):
            mmctr_kit.quantise_items(tiny, of)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match=r"codes\.of: text does nothing while model\.name is qin"):
        mmctr_kit.quantise_items(tiny, ["text"], "qin")
    nothing = {"items.embedding": "none"}
    with pytest.raises(UsageError, match=r"codes\.of is embedding, but items\.embedding is none"):
        mmctr_kit.quantise_items(tiny, ["embedding"], set=nothing)


def test_vectors_of_a_file_are_quantised_though_the_recipe_reads_none(
    tiny: ChallengeData, tmp_path: Path
) -> None:
    path = encoded(tmp_path / "e.parquet", tiny.n_items)
    made = mmctr_kit.quantise_items(tiny, ["text"], size=4, set={"items.encoded": str(path)})
    codes = made.codes["text"].codes
    assert np.flatnonzero(codes[:, 0] == 0).tolist() == [0, 3]
