"""Text and image by item id, or one line that says what to use instead."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from mmctr_kit.data import modalities
from mmctr_kit.data.contract import FILES
from mmctr_kit.data.dataset import ChallengeData
from mmctr_kit.data.load import load
from mmctr_kit.data.modalities import COLUMNS, Modality, load_modality
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

    monkeypatch.setattr(modalities, "read_table", refuse)
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
