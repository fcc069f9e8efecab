"""mmctr_kit.data.modalities: text and image vectors, and which items lack them."""

import shutil
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mmctr_kit.data import load as load_module
from mmctr_kit.data.contract import FILES, Modality
from mmctr_kit.data.dataset import ChallengeData
from mmctr_kit.data.load import load
from mmctr_kit.data.modalities import COLUMNS, Quality, item_coverage, load_modality, words
from mmctr_kit.errors import DataError

FEATURE = FILES["item_feature"].path
Change = Callable[[Any], Any]


@pytest.fixture
def changed(tiny_root: Path, tmp_path: Path) -> Callable[[Change], ChallengeData]:
    """The tiny data set with item_feature changed by a function of its Arrow table."""

    def make(change: Change) -> ChallengeData:
        folder = tmp_path / "data"
        shutil.copytree(tiny_root / "data", folder)
        pq.write_table(change(pq.read_table(folder / FEATURE)), folder / FEATURE)
        return load(folder)

    return make


@pytest.mark.parametrize("modality", COLUMNS)
def test_vectors_stand_by_item_id_under_a_padding_row_of_zeros(
    changed: Callable[[Change], ChallengeData], modality: Modality
) -> None:
    rng = np.random.default_rng(0)
    data = changed(lambda table: table.take(rng.permutation(len(table))))
    written = pq.read_table(data.folder / FEATURE)
    ids = np.asarray(written.column("item_id"))
    assert (np.diff(ids) < 0).any()
    table = load_modality(data, modality)
    assert table.dtype == np.float32
    assert len(table) == data.n_items + 1
    assert not table[0].any()
    vectors = np.array(written.column(COLUMNS[modality]).to_pylist(), np.float32)
    np.testing.assert_array_equal(table[ids], vectors)


def test_the_second_time_it_comes_from_the_cache(
    tiny: ChallengeData, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = load_modality(tiny, "text")

    def refuse(*_: object) -> None:
        raise AssertionError("read again")

    monkeypatch.setattr(load_module, "read_table", refuse)
    again = load_modality(tiny, "text")
    np.testing.assert_array_equal(again, first)
    assert not again.flags.writeable


ABSENT: dict[str, tuple[tuple[str, ...], Modality, str]] = {
    "no image": (
        ("img_emb_CLIPRN50",),
        "image",
        "the folder has no image embedding (item_feature.parquet lacks img_emb_CLIPRN50); "
        "use items.embedding: text",
    ),
    "no text": (
        ("txt_emb_BERT",),
        "text",
        "the folder has no text embedding (item_feature.parquet lacks txt_emb_BERT); "
        "use items.embedding: image",
    ),
    "neither": (
        ("txt_emb_BERT", "img_emb_CLIPRN50"),
        "text",
        "the folder has no text embedding (item_feature.parquet lacks txt_emb_BERT); "
        "use items.embedding: item_info",
    ),
}


@pytest.mark.parametrize("case", ABSENT)
def test_a_column_that_is_absent_is_one_line_with_what_to_use(
    changed: Callable[[Change], ChallengeData], case: str
) -> None:
    dropped, modality, expected = ABSENT[case]
    data = changed(lambda table: table.drop_columns(list(dropped)))
    with pytest.raises(DataError) as caught:
        load_modality(data, modality)
    assert str(caught.value) == expected


def test_a_file_that_is_absent_is_one_line(changed: Callable[[Change], ChallengeData]) -> None:
    data = changed(lambda table: table)
    (data.folder / FEATURE).unlink()
    with pytest.raises(DataError) as caught:
        load_modality(data, "image")
    assert str(caught.value) == (
        "the folder has no image embedding (it lacks item_feature.parquet); "
        "use items.embedding: item_info"
    )


def test_an_item_without_vector_is_named(changed: Callable[[Change], ChallengeData]) -> None:
    data = changed(lambda table: table.slice(1))
    with pytest.raises(DataError, match=r"^item_feature.parquet: txt_emb_BERT: item 1 occurs 0"):
        load_modality(data, "text")


TEXT, IMAGE = "txt_emb_BERT", "img_emb_CLIPRN50"


def folder_with(tiny: ChallengeData, tmp_path: Path, columns: Mapping[str, Any]) -> ChallengeData:
    """The tiny data with an item_feature.parquet of its own."""
    ids = {"item_id": list(range(1, tiny.n_items + 1))}
    pq.write_table(pa.table(ids | dict(columns)), tmp_path / "item_feature.parquet")
    return replace(tiny, folder=tmp_path)


def test_missing_and_weak_are_told_by_item_id_whatever_the_order(
    tiny: ChallengeData, tmp_path: Path
) -> None:
    n = tiny.n_items
    rng = np.random.default_rng(0)
    text, image = rng.standard_normal((n, 4)), rng.standard_normal((n, 3))
    titles = ["a title of words"] * n
    text[4] = image[4] = 0
    titles[4], titles[6], titles[7] = "one", "two words", "three short words"
    image[10] = image[11]
    order = rng.permutation(n)
    pq.write_table(
        pa.table(
            {
                "item_id": order + 1,
                "item_title": [titles[i] for i in order],
                TEXT: list(text[order].astype(np.float32)),
                IMAGE: list(image[order].astype(np.float32)),
            }
        ),
        tmp_path / "item_feature.parquet",
    )
    found = item_coverage(replace(tiny, folder=tmp_path))
    assert found.text is not None
    assert found.image is not None
    assert found.unknown == {}
    assert np.flatnonzero(found.text == Quality.MISSING).tolist() == [0, 5]
    assert np.flatnonzero(found.text == Quality.WEAK).tolist() == [7]
    assert np.flatnonzero(found.image == Quality.MISSING).tolist() == [0, 5]
    assert np.flatnonzero(found.image == Quality.WEAK).tolist() == [11, 12]


def test_the_generated_items_without_text_are_found(tiny: ChallengeData) -> None:
    found = item_coverage(tiny)
    table = pq.read_table(tiny.folder / "item_feature.parquet")
    vectors = np.stack(table[TEXT].to_numpy())
    missing = np.sort(table["item_id"].to_numpy()[~vectors.any(axis=1)])
    assert len(missing) > 0
    assert found.text is not None
    assert np.flatnonzero(found.text == Quality.MISSING).tolist() == [0, *missing]


def test_an_absent_file_or_column_makes_that_alone_unknown(
    tiny: ChallengeData, tmp_path: Path
) -> None:
    none = item_coverage(replace(tiny, folder=tmp_path))
    assert (none.text, none.image) == (None, None)
    assert none.unknown["image"] == "the data folder has no item_feature.parquet"
    vectors = [[1.0, 2.0]] * tiny.n_items
    part = item_coverage(folder_with(tiny, tmp_path, {TEXT: vectors}))
    assert part.text is not None
    assert (part.text[1:] == Quality.PRESENT).all()
    assert set(part.unknown) == {"image", "weak text"}
    assert part.unknown["image"] == "item_feature.parquet has no column img_emb_CLIPRN50"


def test_a_broken_column_is_unknown_and_names_no_folder(
    tiny: ChallengeData, tmp_path: Path
) -> None:
    vectors: list[list[float] | None] = [[1.0]] * tiny.n_items
    titles = ["some longer title"] * tiny.n_items
    columns = {"item_title": titles, TEXT: vectors, IMAGE: [None, *vectors[1:]]}
    found = item_coverage(folder_with(tiny, tmp_path, columns))
    assert found.image is None
    assert "holds 1 null" in found.unknown["image"]
    assert found.text is not None
    (tmp_path / "item_feature.parquet").write_bytes(b"no parquet")
    broken = item_coverage(replace(tiny, folder=tmp_path))
    assert set(broken.unknown) == {"text", "image"}
    assert str(tmp_path) not in "".join(broken.unknown.values())


def test_an_item_that_the_file_lacks_is_missing_and_a_strange_one_makes_it_unknown(
    tiny: ChallengeData, tmp_path: Path
) -> None:
    table = pq.read_table(tiny.folder / "item_feature.parquet", columns=["item_id", TEXT])
    pq.write_table(table.slice(1), tmp_path / "item_feature.parquet")
    gone = table["item_id"][0].as_py()
    found = item_coverage(replace(tiny, folder=tmp_path))
    assert found.text is not None
    assert found.text[gone] == Quality.MISSING
    strange = table.set_column(0, "item_id", pa.array(np.arange(len(table)) + 10))
    pq.write_table(strange, tmp_path / "item_feature.parquet")
    assert "is not among items" in item_coverage(replace(tiny, folder=tmp_path)).unknown["text"]


def test_a_row_of_the_padding_item_is_no_item(tiny: ChallengeData, tmp_path: Path) -> None:
    ids = list(range(tiny.n_items + 1))
    table = pa.table({"item_id": ids, TEXT: [[1.0]] * len(ids)})
    pq.write_table(table, tmp_path / "item_feature.parquet")
    found = item_coverage(replace(tiny, folder=tmp_path))
    assert found.text is not None
    assert np.flatnonzero(found.text == Quality.MISSING).tolist() == [0]


def test_a_second_look_reads_the_file_no_more(
    tiny: ChallengeData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = tiny.folder / "item_feature.parquet"
    shutil.copy(source, tmp_path / "item_feature.parquet")
    here = replace(tiny, folder=tmp_path)
    first = item_coverage(here)
    monkeypatch.setattr("mmctr_kit.data.modalities._quality", None)
    second = item_coverage(here)
    assert first.text is not None
    assert second.text is not None
    assert np.array_equal(first.text, second.text)


@pytest.mark.parametrize(
    ("title", "count"),
    [("", 0), ("Untitled", 1), ("It's here", 3), ("猫の話", 3), ("vlog 日常 2", 4), ("한국", 2)],
)
def test_words_are_counted_in_scripts_without_spaces_too(title: str, count: int) -> None:
    assert words(title) == count


def test_a_title_that_is_null_is_an_empty_one(tiny: ChallengeData, tmp_path: Path) -> None:
    columns = {"item_title": [None] * tiny.n_items, TEXT: [[1.0, 2.0]] * tiny.n_items}
    found = item_coverage(folder_with(tiny, tmp_path, columns))
    columns = {"item_title": [""] * tiny.n_items, TEXT: [[1.0, 2.0]] * tiny.n_items}
    empty = item_coverage(folder_with(tiny, tmp_path, columns))
    assert found.text is not None
    assert empty.text is not None
    assert (found.text == empty.text).all()
    assert "weak text" not in found.unknown
