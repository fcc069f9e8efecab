"""The item table as item_info.parquet: a folder with it loads and passes its check."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mmctr_kit.audit.check import check_data
from mmctr_kit.audit.findings import Level
from mmctr_kit.data.contract import FILES
from mmctr_kit.data.dataset import ChallengeData
from mmctr_kit.data.load import load
from mmctr_kit.errors import MmctrKitError, UsageError
from mmctr_kit.items import export
from mmctr_kit.items.export import export_items
from mmctr_kit.items.table import item_table
from mmctr_kit.recipe import Items

INFO = FILES["item_info"].path


@pytest.mark.parametrize("embedding", ["separate_pca", "joint_pca"])
def test_a_folder_with_the_file_in_place_loads_and_passes_its_check(
    tiny: ChallengeData, tmp_path: Path, embedding: str
) -> None:
    items = Items.model_validate({"embedding": embedding})
    table = item_table(tiny, items)
    folder = tmp_path / "data"
    shutil.copytree(tiny.folder, folder)
    assert export_items(tiny, table, folder / INFO, overwrite=True) == []
    again = load(folder)
    np.testing.assert_array_equal(again.item_emb, table)
    np.testing.assert_array_equal(again.item_tags, tiny.item_tags)
    assert again.rows_fingerprint == tiny.rows_fingerprint
    findings = check_data(folder)
    assert [f for f in findings if f.level is Level.FAIL] == []
    # That it is not nearly v3, as the challenge's own is, the check may say.
    allowed = {f.id for f in check_data(tiny.folder) if f.level is Level.WARN}
    allowed |= {"item-info-alignment"}
    assert {f.id for f in findings if f.level is Level.WARN} <= allowed


def test_the_file_is_the_challenges_own_by_column_type_and_order(
    tiny: ChallengeData, tmp_path: Path
) -> None:
    path = tmp_path / "new" / "item_info.parquet"
    export_items(tiny, item_table(tiny, Items(embedding="e4")), path)
    written, own = pq.read_table(path), pq.read_table(tiny.folder / INFO)
    assert written.column_names == own.column_names
    for field in own.schema:
        kind = written.schema.field(field.name).type
        if field.name == "item_id":
            assert kind == pa.int64()
            continue
        assert kind.list_size == field.type.list_size
        assert kind.value_type == field.type.value_type
    for name in ("item_id", "item_tags"):
        assert written.column(name).to_pylist() == own.column(name).to_pylist()
    assert written.column("item_emb_d128").to_pylist()[0] == [0.0] * 128


def test_narrow_tags_are_padded_on_the_left_to_five(tiny: ChallengeData, tmp_path: Path) -> None:
    narrow = replace(tiny, item_tags=tiny.item_tags[:, -2:])
    path = tmp_path / "x.parquet"
    export_items(narrow, tiny.item_emb, path)
    tags = np.array(pq.read_table(path).column("item_tags").to_pylist())
    assert tags.shape[1] == 5
    assert not tags[:, :3].any()
    np.testing.assert_array_equal(tags[:, 3:], tiny.item_tags[:, -2:])


def test_another_number_of_dimensions_keeps_the_name_and_is_warned_of(
    tiny: ChallengeData, tmp_path: Path
) -> None:
    path = tmp_path / "x.parquet"
    table = item_table(tiny, Items(embedding="text", text_dim=10))
    (warning,) = export_items(tiny, table, path)
    assert "10 dimensions" in warning
    assert "128" in warning
    assert "\n" not in warning
    vectors = np.array(pq.read_table(path).column("item_emb_d128").to_pylist())
    np.testing.assert_array_equal(vectors, table.astype(np.float64))


def test_the_same_table_gives_the_same_bytes(tiny: ChallengeData, tmp_path: Path) -> None:
    table = item_table(tiny, Items(embedding="image", whiten=True))
    for name in ("a", "b"):
        export_items(tiny, table, tmp_path / f"{name}.parquet")
    assert (tmp_path / "a.parquet").read_bytes() == (tmp_path / "b.parquet").read_bytes()


def test_what_cannot_be_written_is_one_line_and_leaves_what_was_there(
    tiny: ChallengeData, tmp_path: Path
) -> None:
    path = tmp_path / "x.parquet"
    path.write_text("mine")
    padded = tiny.item_emb.copy()
    padded[0, 0] = 1
    cases = [
        (tiny.item_emb, path, False, "exists; name another file, or --force"),
        (tiny.item_emb, tmp_path / "x.csv", False, "end it in .parquet"),
        (tiny.item_emb, path / "y.parquet", False, "cannot write"),
        (np.zeros((tiny.n_items + 1, 0), np.float32), path, True, "no table to write"),
        (padded, path, True, "padding row is not all zeros"),
    ]
    for table, where, overwrite, message in cases:
        with pytest.raises(UsageError, match=message):
            export_items(tiny, table, where, overwrite)
    assert path.read_text() == "mine"
    assert [p.name for p in tmp_path.iterdir()] == ["x.parquet"]


def test_a_write_that_breaks_off_leaves_nothing(
    tiny: ChallengeData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full_disk(path: Path, *_: object) -> None:
        path.write_text("half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(export, "write_file", full_disk)
    with pytest.raises(MmctrKitError, match="No space left on device"):
        export_items(tiny, tiny.item_emb, tmp_path / "x.parquet")
    assert list(tmp_path.iterdir()) == []
