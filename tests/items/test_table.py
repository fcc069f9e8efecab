"""The item table that a recipe asks for, by item id."""

import shutil
from pathlib import Path
from typing import Literal, get_args

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from numpy.typing import NDArray
from sklearn.decomposition import PCA as Reference  # noqa: N811

from mmctr_kit.data.contract import FILES, GIVEN_EMBEDDINGS, GivenEmbedding, Modality
from mmctr_kit.data.dataset import ChallengeData
from mmctr_kit.data.load import load
from mmctr_kit.data.modalities import load_modality
from mmctr_kit.embed.content import Content
from mmctr_kit.errors import DataError, UsageError
from mmctr_kit.items import table as item_table_module
from mmctr_kit.items.table import (
    Modalities,
    describe,
    item_parts,
    item_table,
    item_vectors,
    missing_modalities,
    modality_names,
    modality_pca,
)
from mmctr_kit.recipe import Items

COMBINATIONS: list[Modalities] = [("text",), ("image",), ("text", "image")]


def test_item_info_is_its_own_embedding(tiny: ChallengeData) -> None:
    assert item_table(tiny, Items(embedding="item_info")) is tiny.item_emb


@pytest.mark.parametrize(
    ("items", "names"),
    [
        (Items(embedding="item_info"), ("item_info",)),
        (Items(embedding="e4"), ("text", "image")),
        (Items(embedding="joint_pca", dim=4), ("text+image",)),
        (Items(embedding="separate_pca", text_dim=4, image_dim=4), ("text", "image")),
        (
            Items(embedding="blocks", blocks=("factors", "image"), factors_dim=4, image_dim=4),
            ("factors", "image"),
        ),
    ],
    ids=lambda v: v.embedding if isinstance(v, Items) else "",
)
def test_a_modality_has_the_name_that_its_reader_knows(
    tiny: ChallengeData, items: Items, names: tuple[str, ...]
) -> None:
    assert modality_names(tiny, items) == names
    assert len(item_parts(tiny, items)[0]) == len(names)


def test_none_is_a_table_without_columns(tiny: ChallengeData) -> None:
    table = item_table(tiny, Items(embedding="none"))
    assert table.shape == (tiny.n_items + 1, 0)
    assert table.dtype == np.float32


@pytest.mark.parametrize("name", GIVEN_EMBEDDINGS)
def test_a_given_embedding_stands_by_item_id_with_a_padding_row_of_zeros(
    tiny: ChallengeData, name: GivenEmbedding
) -> None:
    written = pq.read_table(tiny.folder / FILES["item_emb"].path)
    vectors = dict(
        zip(
            written.column("item_id").to_pylist(),
            written.column(f"item_emb_d128_{name}").to_pylist(),
            strict=True,
        )
    )
    table = item_table(tiny, Items(embedding=name))
    assert not table[0].any()
    for item in range(1, tiny.n_items + 1):
        np.testing.assert_array_equal(table[item], np.float32(vectors[item]))


def test_a_file_of_ones_own_stands_by_item_id(tiny: ChallengeData, tmp_path: Path) -> None:
    ids = np.arange(tiny.n_items, 0, -1)
    path = tmp_path / "own.parquet"
    pq.write_table(pa.table({"item_id": ids, "vector": [[float(i), -i] for i in ids]}), path)
    table = item_table(tiny, Items(embedding="file", file=str(path)))
    assert table[[0, 1, 300]].tolist() == [[0, 0], [1, -1], [300, -300]]


def test_what_is_not_there_is_one_line(tiny_root: Path, tmp_path: Path) -> None:
    folder = tmp_path / "data"
    shutil.copytree(tiny_root / "data", folder)
    (folder / FILES["item_emb"].path).unlink()
    data = load(folder)
    with pytest.raises(DataError, match="which holds embedding 'e4'; download it"):
        item_table(data, Items(embedding="e4"))
    with pytest.raises(UsageError, match="no item-embedding file"):
        item_table(data, Items(embedding="file", file=str(tmp_path / "absent.parquet")))


MADE = [
    Items(embedding="text", text_dim=20),
    Items(embedding="image", image_dim=7),
    Items(embedding="joint_pca", dim=30),
    Items(embedding="separate_pca", text_dim=12, image_dim=40),
]


def modality(data: ChallengeData, name: Modality) -> NDArray[np.float64]:
    return load_modality(data, name)[1:].astype(np.float64)


def reference(data: ChallengeData, items: Items) -> NDArray[np.float64]:
    """scikit-learn's version of a table, without the padding row."""
    text, image = modality(data, "text"), modality(data, "image")
    parts = {
        "text": [(text, items.text_dim)],
        "image": [(image, items.image_dim)],
        "joint_pca": [(np.hstack([text, image]), items.dim)],
        "separate_pca": [(text, items.text_dim), (image, items.image_dim)],
    }[items.embedding]
    scores = []
    for x, dims in parts:
        one = Reference(dims, whiten=items.whiten, svd_solver="full").fit_transform(x)
        if items.normalize == "l2":
            one /= np.linalg.norm(one, axis=1, keepdims=True)
        scores.append(one)
    return np.hstack(scores)


@pytest.mark.parametrize("normalize", ["none", "l2"])
@pytest.mark.parametrize("whiten", [False, True], ids=["", "whiten"])
@pytest.mark.parametrize("items", MADE, ids=lambda i: i.embedding)
def test_each_pca_is_scikit_learns_up_to_sign_under_a_padding_row_of_zeros(
    tiny: ChallengeData, items: Items, whiten: bool, normalize: Literal["none", "l2"]
) -> None:
    items = items.model_copy(update={"whiten": whiten, "normalize": normalize})
    table, expected = item_table(tiny, items), reference(tiny, items)
    assert table.dtype == np.float32
    assert table.shape == (tiny.n_items + 1, expected.shape[1])
    assert not table[0].any()
    found = table[1:].astype(np.float64)
    signs = np.sign((found * expected).sum(axis=0))
    off = np.linalg.norm(found * signs - expected, axis=0)
    assert (off <= 1e-6 * np.linalg.norm(expected, axis=0)).all()


def test_raw_is_both_modalities_as_they_are(tiny: ChallengeData) -> None:
    table = item_table(tiny, Items(embedding="raw"))
    np.testing.assert_array_equal(table[:, :768], load_modality(tiny, "text"))
    np.testing.assert_array_equal(table[:, 768:], load_modality(tiny, "image"))


@pytest.mark.parametrize("embedding", ["raw", "separate_pca"])
def test_each_part_gets_unit_length_and_a_zero_vector_stays_one(
    tiny: ChallengeData, embedding: Literal["raw", "separate_pca"]
) -> None:
    table = item_table(tiny, Items(embedding=embedding, normalize="l2"))
    cut = 768 if embedding == "raw" else 64
    missing = 0
    for part, name in ((table[:, :cut], "text"), (table[:, cut:], "image")):
        length = np.linalg.norm(part.astype(np.float64), axis=1)
        lacks = ~load_modality(tiny, name).any(axis=1)
        zero = lacks if embedding == "raw" else np.arange(len(table)) == 0
        np.testing.assert_allclose(length[~zero], 1, atol=1e-6)
        assert not length[zero].any()
        missing += int(lacks[1:].sum())
    assert missing


def test_items_without_an_image_share_the_pca_of_the_zero_vector_as_in_v2(
    tiny: ChallengeData,
) -> None:
    lacks = ~load_modality(tiny, "image").any(axis=1)
    lacks[0] = False
    for items in (Items(embedding="v2"), Items(embedding="image")):
        rows = item_table(tiny, items)[lacks]
        assert len(rows) > 1
        assert rows[0].any()
        assert (rows == rows[0]).all()


@pytest.mark.parametrize(
    ("given", "made"),
    [
        ("v1", Items(embedding="text", text_dim=128)),
        ("v2", Items(embedding="image", image_dim=128)),
        ("v3", Items(embedding="joint_pca")),
        ("e4", Items(embedding="separate_pca")),
    ],
)
def test_a_given_embedding_is_made_again_up_to_sign(
    tiny: ChallengeData, given: GivenEmbedding, made: Items
) -> None:
    theirs, ours = item_table(tiny, Items(embedding=given)), item_table(tiny, made)
    signs = np.sign((theirs * ours).sum(axis=0))
    np.testing.assert_allclose(ours * signs, theirs, atol=1e-4 * np.abs(theirs).max())


def test_a_description_says_what_share_of_the_variance_is_kept(tiny: ChallengeData) -> None:
    kept = Reference(12, svd_solver="full").fit(modality(tiny, "text")).explained_variance_ratio_
    items = Items(embedding="separate_pca", text_dim=12, whiten=True, normalize="l2")
    first, second = describe(tiny, items).splitlines()
    share = f"{100 * kept.sum():.1f} % of the variance"
    assert first == f"text: PCA, 12 of 768 dimensions, {share}, whitened, unit length"
    assert second.startswith("image: PCA, 64 of 1,024 dimensions, ")
    assert describe(tiny, Items(embedding="joint_pca")).startswith(
        "text + image: PCA, 128 of 1,792"
    )
    assert describe(tiny, Items(embedding="raw")).splitlines() == [
        "text: 768 dimensions, as given",
        "image: 1,024 dimensions, as given",
    ]
    assert describe(tiny, Items(embedding="e4")) == "e4: 128 dimensions, as given"
    assert describe(tiny, Items(embedding="none")) == "none: 0 dimensions, as given"


@pytest.mark.parametrize(
    ("items", "message"),
    [
        (Items(embedding="text", text_dim=769), "items.text_dim is 769, .* text vectors have 768"),
        (
            Items(embedding="joint_pca", dim=1793),
            "items.dim is 1793, .* text \\+ image vectors have",
        ),
        (
            Items(embedding="separate_pca", image_dim=2000),
            "items.image_dim is 2000, .* 1024 or less",
        ),
    ],
    ids=lambda v: v.embedding if isinstance(v, Items) else "",
)
def test_more_dimensions_than_the_vectors_have_is_one_line(
    tiny: ChallengeData, items: Items, message: str
) -> None:
    for call in (item_table, describe):
        with pytest.raises(DataError, match=message):
            call(tiny, items)


def test_without_an_image_what_is_made_of_both_is_made_of_text_and_says_so(
    tiny_root: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "data"
    shutil.copytree(tiny_root / "data", folder)
    path = folder / FILES["item_feature"].path
    pq.write_table(pq.read_table(path).drop_columns(["img_emb_CLIPRN50"]), path)
    data = load(folder)
    text = item_table(data, Items(embedding="text", text_dim=20))
    assert missing_modalities(data, Items(embedding="text")) == ()
    assert np.array_equal(item_table(data, Items(embedding="separate_pca", text_dim=20)), text)
    assert np.array_equal(item_table(data, Items(embedding="joint_pca", dim=20)), text)
    raw = Items(embedding="raw")
    assert item_table(data, raw).shape[1] == 768
    assert missing_modalities(data, raw) == ("image",)
    assert item_parts(data, raw)[0] == (768,)
    assert describe(data, raw) == "text: 768 dimensions, as given"
    with pytest.raises(DataError, match=r"no image embedding .*; use items.embedding: text$"):
        item_table(data, Items(embedding="image"))


def test_without_either_modality_the_line_says_what_to_use(tiny_root: Path, tmp_path: Path) -> None:
    folder = tmp_path / "data"
    shutil.copytree(tiny_root / "data", folder)
    (folder / FILES["item_feature"].path).unlink()
    with pytest.raises(DataError, match=r"it lacks item_feature.parquet.*embedding: item_info"):
        item_table(load(folder), Items(embedding="separate_pca"))


def test_the_parts_of_a_table_are_its_modalities_and_which_items_have_them(
    tiny: ChallengeData,
) -> None:
    widths, present = item_parts(tiny, Items(embedding="separate_pca", text_dim=9, image_dim=4))
    assert widths == (9, 4)
    for column, name in enumerate(get_args(Modality)):
        assert np.array_equal(present[1:, column], modality(tiny, name).any(1))
    assert item_parts(tiny, Items(embedding="e4"))[0] == (64, 64)
    for embedding in ("item_info", "v3", "none"):
        widths, present = item_parts(tiny, Items(embedding=embedding))
        assert widths == (item_table(tiny, Items(embedding=embedding)).shape[1],)
        assert present.all()


@pytest.mark.parametrize("which", COMBINATIONS, ids=" + ".join)
def test_the_padding_row_takes_no_part_in_the_fit(tiny: ChallengeData, which: Modalities) -> None:
    real = np.hstack([load_modality(tiny, m)[1:] for m in which]).astype(np.float64)
    pca = modality_pca(Content(tiny), which)
    np.testing.assert_allclose(pca.mean, real.mean(axis=0), atol=1e-12)
    theirs = Reference(50, svd_solver="full").fit(real)
    np.testing.assert_allclose(pca.variance[:50], theirs.explained_variance_, rtol=1e-9)
    assert [len(v) for v in item_vectors(Content(tiny), which)] == [tiny.n_items] * len(which)


def test_a_pca_is_fitted_once_for_the_same_content_in_any_folder(
    tiny: ChallengeData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = modality_pca(Content(tiny), ("text",))
    shutil.copytree(tiny.folder, tmp_path / "data")
    fits: list[int] = []
    fit = item_table_module.fit_pca
    monkeypatch.setattr(item_table_module, "fit_pca", lambda v: fits.append(len(v)) or fit(v))
    copy = load(tmp_path / "data")
    np.testing.assert_array_equal(
        modality_pca(Content(copy), ("text",)).components, first.components
    )
    assert fits == []

    path = tmp_path / "data" / FILES["item_feature"].path
    table = pq.read_table(path)
    place = table.column_names.index("txt_emb_BERT")
    doubled = pa.array([[2 * v for v in row] for row in table.column(place).to_pylist()])
    pq.write_table(table.set_column(place, "txt_emb_BERT", doubled), path)
    again = modality_pca(Content(copy), ("text",))
    assert fits == [1]
    np.testing.assert_allclose(again.variance, 4 * first.variance, rtol=1e-9, atol=1e-12)
