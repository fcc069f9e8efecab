"""mmctr_kit.embed.content: text and image of items, from item_feature or files of one's own."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mmctr_kit.data.dataset import ChallengeData
from mmctr_kit.data.modalities import load_modality
from mmctr_kit.data.parquet import ENCODED
from mmctr_kit.embed.content import Content, read_dropped
from mmctr_kit.errors import DataError, UsageError
from mmctr_kit.recipe import Items


def encoded(path: Path, n_items: int, missing: int = 3) -> Path:
    """A file as ``items encode`` writes it, with text alone, in which one item has none."""
    vectors = [None if i == missing else [float(i), 1.0] for i in range(1, n_items + 1)]
    columns = {
        "item_id": np.arange(1, n_items + 1),
        "text": pa.array(vectors, pa.list_(pa.float32(), 2)),
    }
    pq.write_table(pa.table(columns), path)
    return path


def of(data: ChallengeData, **keys: str) -> Content:
    return Content.of(data, Items.model_validate({"embedding": "separate_pca", **keys}))


def test_a_file_gives_the_modality_that_it_has_and_item_feature_the_other(
    tiny: ChallengeData, tmp_path: Path
) -> None:
    content = of(tiny, encoded=str(encoded(tmp_path / "e.parquet", tiny.n_items)))
    assert content.held == ("text", "image")
    text = content.vectors("text")
    assert text[:5].tolist() == [[0, 0], [1, 1], [2, 1], [0, 0], [4, 1]]
    present = content.present("text")
    assert present is not None
    assert np.flatnonzero(~present).tolist() == [0, 3]
    np.testing.assert_array_equal(content.vectors("image"), load_modality(tiny, "image"))
    assert set(content.files("text")) == {"encoded"}
    assert set(content.files("text", "image")) == {"encoded", "file"}


def test_a_dropped_modality_is_missing_in_vectors_and_in_presence(
    tiny: ChallengeData, tmp_path: Path
) -> None:
    path = tmp_path / "drop.csv"
    path.write_text("item_id,modality,reason\n7,image,grey\n9,text,duplicate\n9,image,far\n")
    content, whole = of(tiny, drop_modality=str(path)), Content(tiny)
    for modality, items in (("text", [9]), ("image", [7, 9])):
        assert modality in ("text", "image")
        rest = np.setdiff1d(np.arange(tiny.n_items + 1), items)
        vectors, present, known = (
            content.vectors(modality),
            content.present(modality),
            whole.present(modality),
        )
        assert present is not None
        assert known is not None
        assert not vectors[items].any()
        assert not present[items].any()
        assert whole.vectors(modality)[items].any()
        np.testing.assert_array_equal(vectors[rest], whole.vectors(modality)[rest])
        np.testing.assert_array_equal(present[rest], known[rest])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "begins with nothing; expected the header item_id,modality,reason"),
        ("item,what\n1,text\n", "begins with item,what; expected the header"),
        ("item_id,modality,reason\n1,text,\n0,text,\n", "line 3: found item_id '0'"),
        (
            "item_id,modality,reason\n1,sound,\n",
            "line 2: .*modality 'sound'; expected an item 1",
        ),
        ("item_id,modality,reason\n10,text,\n", "line 2: found item_id '10'"),
        ("item_id,modality,reason\nx,text,\n", "line 2: found item_id 'x'"),
    ],
)
def test_a_broken_file_of_dropped_modalities_is_one_line(
    tmp_path: Path, text: str, message: str
) -> None:
    path = tmp_path / "drop.csv"
    path.write_text(text)
    with pytest.raises(DataError, match=message):
        read_dropped(path, 9)


def test_a_file_that_is_absent_or_of_another_kind_is_one_line(
    tiny: ChallengeData, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match=r"no file at .*\(recipe key items.encoded\)"):
        of(tiny, encoded=str(tmp_path / "absent.parquet"))
    with pytest.raises(UsageError, match=r"no file at .*\(recipe key items.drop_modality\)"):
        of(tiny, drop_modality=str(tmp_path / "absent.csv"))
    other = tmp_path / "own.parquet"
    pq.write_table(pa.table({"item_id": [1], "vector": [[1.0]]}), other)
    with pytest.raises(DataError, match="has no column text or image; expected a file of"):
        _ = of(tiny, encoded=str(other)).held
    with pytest.raises(DataError, match="item 301 is not among items"):
        of(tiny, encoded=str(encoded(tmp_path / "e.parquet", 301))).vectors("text")


def test_a_file_of_items_encode_that_was_made_of_fewer_items_is_refused(
    tiny: ChallengeData, tmp_path: Path
) -> None:
    """A file that was made otherwise may leave items out; they have no text."""
    path = encoded(tmp_path / "e.parquet", 100)
    assert not of(tiny, encoded=str(path)).vectors("text")[101:].any()
    pq.write_table(pq.read_table(path).replace_schema_metadata({ENCODED: "{}"}), path)
    with pytest.raises(DataError, match=r"e.parquet has 100 items and the data 300, so it was"):
        of(tiny, encoded=str(path)).vectors("text")
