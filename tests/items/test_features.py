"""mmctr_kit.items.features: one derivation of what a recipe's models know of items."""

import hashlib
import shutil
from dataclasses import FrozenInstanceError
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from mmctr_kit.data.contract import FILES
from mmctr_kit.data.dataset import ChallengeData
from mmctr_kit.data.load import load
from mmctr_kit.embed.align import AlignOptions, fit_aligned
from mmctr_kit.embed.codes import quantise
from mmctr_kit.embed.content import Content
from mmctr_kit.embed.factors import FactorOptions, fit_factors
from mmctr_kit.errors import DataError
from mmctr_kit.items.features import ItemFeatures, content_hashes, item_levels
from mmctr_kit.items.table import item_parts, item_table, missing_modalities
from mmctr_kit.recipe import load_recipe


@pytest.mark.parametrize("name", ["din_official", "din_mha_se_pca", "gbdt", "qin"])
def test_the_features_are_those_of_the_item_table_and_its_parts(
    name: str, tiny: ChallengeData
) -> None:
    recipe = load_recipe(name)
    items = ItemFeatures.derive(recipe, tiny)
    widths, present = item_parts(tiny, recipe.items)
    np.testing.assert_array_equal(items.table, item_table(tiny, recipe.items))
    assert items.widths == widths
    np.testing.assert_array_equal(items.present, present)
    assert items.missing == missing_modalities(tiny, recipe.items) == ()
    np.testing.assert_array_equal(np.stack(items.levels), np.stack(item_levels(tiny)))
    assert items.fingerprints[0] == tiny.context_fingerprint
    with pytest.raises(FrozenInstanceError):
        items.table = present  # type: ignore[misc,assignment]


def test_the_fingerprints_change_with_the_table_and_only_with_what_the_models_see(
    tiny: ChallengeData,
) -> None:
    def prints(*settings: str) -> tuple[str, ...]:
        return ItemFeatures.derive(load_recipe("din_demo", settings), tiny).fingerprints

    base = prints("items.embedding=separate_pca", "items.text_dim=8", "items.image_dim=8")
    other = prints("items.embedding=separate_pca", "items.text_dim=8", "items.image_dim=9")
    assert base[0] == other[0]
    assert base[1] != other[1]
    trained = "training.epochs=1"
    assert prints("items.embedding=item_info", trained) == prints("items.embedding=item_info")
    augmented = prints("items.embedding=item_info", "augmentation.per_user=1")
    assert augmented[:2] == prints("items.embedding=item_info")[:2]
    assert len(augmented) == 3  # the levels of the extra rows


BLOCKS = ("items.embedding=blocks", "items.factors_dim=6", "items.text_dim=4", "items.image_dim=3")


def test_blocks_are_factors_of_the_fold_models_users_beside_text_and_image(
    tiny: ChallengeData,
) -> None:
    recipe = load_recipe("din_demo", BLOCKS)
    items = ItemFeatures.derive(recipe, tiny)
    assert items.widths == (6, 4, 3)
    assert np.isnan(items.table[1:, :6]).all()  # nobody may train on what was not counted
    rows = np.arange(200)
    seen, other = items.of_users(rows), items.of_users(np.arange(200, 400))
    factors = fit_factors(Content(tiny), FactorOptions.of(recipe), rows)
    np.testing.assert_array_equal(seen.table[:, :6], factors.vectors)
    np.testing.assert_array_equal(seen.present[1:, 0], (factors.counted | factors.filled)[1:])
    np.testing.assert_array_equal(seen.table[:, 6:], items.table[:, 6:])
    np.testing.assert_array_equal(seen.present[:, 1:], item_parts(tiny, recipe.items)[1][:, 1:])
    assert not seen.table[0].any()
    assert not np.array_equal(seen.table, other.table)
    assert seen.fingerprints == other.fingerprints == items.fingerprints
    for block in np.split(seen.table[1:], [6, 10], axis=1)[1:]:
        assert np.linalg.norm(block, axis=1).mean() == pytest.approx(1, rel=1e-5)


def test_codes_are_made_of_what_the_recipe_names(tiny: ChallengeData) -> None:
    def features(*settings: str) -> ItemFeatures:
        sizes = ("codes.levels=2", "codes.size=8")
        return ItemFeatures.derive(load_recipe("din_demo", (*sizes, *settings)), tiny)

    for of in ("text", "image"):
        items = features(f"codes.of={of}")
        vectors = Content(tiny).vectors(of)
        assert (items.codes.shape, items.n_codes) == ((tiny.n_items + 1, 2), 9)
        np.testing.assert_array_equal(items.codes, quantise(vectors, 2, 8).codes)
        assert items.of_users(np.arange(10)) is items
    items = features("codes.of=embedding", "items.embedding=image", "items.image_dim=8")
    has = items.present.any(axis=1, keepdims=True)
    assert not has[1:].all()
    np.testing.assert_array_equal(items.codes, quantise(items.table * has, 2, 8).codes)


@pytest.mark.usefixtures("small_alignment")
@pytest.mark.parametrize(
    "settings", [("codes.of=factors",), ("codes.of=aligned",), ("codes.of=embedding", *BLOCKS)]
)
def test_codes_of_factors_are_those_of_the_fold_models_users(
    settings: tuple[str, ...], tiny: ChallengeData
) -> None:
    recipe = load_recipe("din_demo", ("codes.size=8", *settings))
    items = ItemFeatures.derive(recipe, tiny)
    assert items.codes.shape == (tiny.n_items + 1, 3)
    assert not items.codes.any()
    rows = np.arange(1_000)
    seen, other = items.of_users(rows), items.of_users(np.arange(1_000, 2_000))
    if recipe.codes.of == "factors":
        vectors = fit_factors(Content(tiny), FactorOptions.of(recipe), rows).vectors
    elif recipe.codes.of == "aligned":
        vectors = fit_aligned(Content(tiny), AlignOptions.of(recipe), rows).vectors
    else:
        vectors = seen.table * seen.present.any(axis=1, keepdims=True)
    np.testing.assert_array_equal(seen.codes, quantise(vectors, 3, 8).codes)
    assert not np.array_equal(seen.codes, other.codes)
    assert seen.fingerprints == other.fingerprints == items.fingerprints


@pytest.mark.slow
def test_the_fingerprints_cover_codes_if_there_are_any(tiny: ChallengeData) -> None:
    def prints(*settings: str) -> tuple[str, ...]:
        return ItemFeatures.derive(load_recipe("din_demo", settings), tiny).fingerprints

    base = prints()
    kinds = ("text", "image", "aligned", "factors", "embedding")
    assert len({base, *(prints(f"codes.of={of}") for of in kinds)}) == 6
    for of in ("codes.of=text", "codes.of=factors"):
        assert prints(of)[: len(base)] == base
        assert len({prints(of), prints(of, "codes.levels=2"), prints(of, "codes.size=9")}) == 3
    assert prints("codes.of=factors") != prints("codes.of=factors", "items.factors_dim=5")
    assert prints("codes.of=aligned") != prints("codes.of=aligned", "items.aligned_window=2")


def test_codes_of_a_modality_that_the_folder_lacks_are_refused(
    tiny_root: Path, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(tiny_root / "data", tmp_path / "data"))
    path = folder / FILES["item_feature"].path
    pq.write_table(pq.read_table(path).drop_columns(["img_emb_CLIPRN50"]), path)
    message = "codes.of is image, but the folder has no image; set it to one of text, factors"
    with pytest.raises(DataError, match=message):
        ItemFeatures.derive(load_recipe("din_demo", ["codes.of=image"]), load(folder))


def test_vectors_that_are_not_counted_are_the_same_for_all_fold_models(tiny: ChallengeData) -> None:
    items = ItemFeatures.derive(load_recipe("din_demo"), tiny)
    assert items.of_users(np.arange(10)) is items


def test_the_fingerprints_of_factors_change_with_their_settings(tiny: ChallengeData) -> None:
    def prints(*settings: str) -> tuple[str, ...]:
        return ItemFeatures.derive(load_recipe("din_demo", settings), tiny).fingerprints

    base = prints(*BLOCKS)
    changes = ("items.factors_shrinkage=1", "items.factors_from=histories", "items.text_dim=5")
    assert len({base, *(prints(*BLOCKS, change) for change in changes)}) == 4


def test_blocks_go_without_a_modality_that_the_folder_lacks(
    tiny_root: Path, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(tiny_root / "data", tmp_path / "data"))
    path = folder / FILES["item_feature"].path
    pq.write_table(pq.read_table(path).drop_columns(["img_emb_CLIPRN50"]), path)
    items = ItemFeatures.derive(load_recipe("din_demo", BLOCKS), load(folder))
    assert (items.widths, items.missing) == ((6, 4), ("image",))
    path.unlink()
    items = ItemFeatures.derive(load_recipe("din_demo", BLOCKS), load(folder))
    assert (items.widths, items.missing) == ((6,), ("image", "text"))
    assert np.isfinite(items.of_users(np.arange(100)).table).all()


def test_a_folder_without_the_embedding_is_refused_and_a_missing_modality_is_named(
    tiny_root: Path, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(tiny_root / "data", tmp_path / "data"))
    (folder / FILES["item_feature"].path).unlink()
    data = load(folder)
    with pytest.raises(DataError, match="item_feature"):
        ItemFeatures.derive(load_recipe("din_demo", ["items.embedding=text"]), data)
    items = ItemFeatures.derive(load_recipe("din_demo", ["items.embedding=item_info"]), data)
    assert items.missing == ()
    # Levels are then read off the rows that show an item.
    seen = np.unique(data.train.item_id)
    assert (items.levels[0][seen] > 0).all()


def test_the_files_that_a_recipe_reads_have_their_hashes(
    tiny: ChallengeData, tmp_path: Path
) -> None:
    always = {f"MicroLens_1M_x1/{n}.parquet" for n in ("train", "valid", "test", "item_info")}
    always |= {"item_feature.parquet"}  # its levels

    def hashes(*settings: str) -> dict[str, str]:
        return content_hashes(load_recipe("din_demo", settings), tiny)

    assert set(hashes()) == always
    given = hashes("items.embedding=e4")
    assert set(given) == always | {"item_emb.parquet"}
    with (tiny.folder / "item_emb.parquet").open("rb") as file:
        assert given["item_emb.parquet"] == hashlib.file_digest(file, "sha256").hexdigest()
    own = tmp_path / "own.parquet"
    settings = ("items.embedding=file", f"items.file={own}")
    assert set(hashes(*settings)) == always  # the file is absent
    own.write_bytes(b"")
    assert set(hashes(*settings)) == always | {"items.file"}
