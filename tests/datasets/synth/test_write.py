"""The written files agree with the contract, with each other and with the truth."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from mmctr_kit.data.contract import FILES, SPLITS
from mmctr_kit.data.ragged import Ragged
from mmctr_kit.datasets.synth import Truth
from mmctr_kit.metrics.auc import auc
from tests.datasets.synth.made import TINY, table


def test_every_file_has_the_challenges_columns_types_and_the_presets_rows(
    made: tuple[Path, Truth],
) -> None:
    data = made[0] / "data"
    rows = {"train": 2_000, "valid": 400, "test": 398, "item_seq": 700, "item_info": 301}
    rows |= {"item_feature": 300, "item_emb": 300}
    types = {
        "item_seq": pa.list_(pa.int64(), 64),
        "item_tags": pa.list_(pa.int64(), 5),
        "item_title": pa.string(),
        "item_emb_d128": pa.list_(pa.float64(), 128),
        "txt_emb_BERT": pa.list_(pa.float32(), 768),
        "img_emb_CLIPRN50": pa.list_(pa.float32(), 1024),
    }
    for name, file in FILES.items():
        handle = pq.ParquetFile(data / file.path)
        assert handle.metadata.num_rows == rows[name]
        assert handle.schema_arrow.names == list(file.column_names)
        for field in handle.schema_arrow:
            if (name, field.name) in {("item_feature", "item_tags"), ("item_seq", "item_seq")}:
                assert field.type == pa.list_(pa.int64())
            elif name == "item_emb" and field.name != "item_id":
                assert field.type == pa.list_(pa.float32(), 128)
            else:
                assert field.type == (types[field.name] if field.name in types else pa.int64())
    assert {p.name for p in made[0].iterdir()} == {"data", "truth"}


def test_splits_share_no_user_and_every_user_has_one_positive_in_four(
    made: tuple[Path, Truth],
) -> None:
    seen: set[int] = set()
    for split in ("train", "valid"):
        rows = table(made[0], split)
        users, counts = np.unique(rows["user_id"], return_counts=True)
        assert set(counts) == {4}
        assert (np.bincount(rows["user_id"], rows["label"])[users] == 1).all()
        assert not seen & set(users)
        seen |= set(users)
        assert (np.diff(rows["user_id"]) == 0).mean() < 0.05
    users, counts = np.unique(table(made[0], "test")["user_id"], return_counts=True)
    assert sorted(counts) == [2] + [4] * 99
    assert not seen & set(users)


def test_rows_show_the_left_padded_history_of_item_seq_and_the_items_levels(
    made: tuple[Path, Truth],
) -> None:
    sequences, feature = table(made[0], "item_seq"), table(made[0], "item_feature")
    whole = dict(zip(sequences["user_id"], np.split(*_cuts(sequences["item_seq"])), strict=True))
    for split in SPLITS:
        rows = table(made[0], split)
        assert rows["item_seq"].dense().shape[1] == 64
        for user, shown, item in zip(
            rows["user_id"], rows["item_seq"].dense(), rows["item_id"], strict=True
        ):
            past = whole[user]
            assert shown.tolist() == [0] * (64 - len(past)) + past.tolist()
            assert len(set(past)) == len(past) >= 3
            assert item not in past
        for level in ("likes_level", "views_level"):
            assert (rows[level] == feature[level][rows["item_id"] - 1]).all()


def _cuts(lists: Ragged[np.int64]) -> tuple[Any, Any]:
    return lists.values, lists.offsets[1:-1]


def test_item_tables_agree_and_start_with_an_all_zero_padding_row(
    made: tuple[Path, Truth],
) -> None:
    info, feature, emb = (table(made[0], n) for n in ("item_info", "item_feature", "item_emb"))
    assert info["item_id"].tolist() == list(range(301))
    assert feature["item_id"].tolist() == emb["item_id"].tolist() == list(range(1, 301))
    tags, vectors = info["item_tags"].dense(), info["item_emb_d128"].dense()
    assert (tags.shape[1], vectors.shape[1]) == (5, 128)
    assert not tags[0].any()
    assert not vectors[0].any()
    assert (vectors[1:] == emb["item_emb_d128_v3"].dense()).all()
    longest = 0
    for padded, own in zip(tags[1:], np.split(*_cuts(feature["item_tags"])), strict=True):
        assert padded.tolist() == [0] * (5 - len(own)) + own[-5:].tolist()
        assert len(set(own)) == len(own)
        longest = max(longest, len(own))
    assert longest > 5
    assert tags.max() <= TINY.n_tags


def test_truth_is_keyed_to_the_rows_and_its_auc_can_be_recomputed(
    made: tuple[Path, Truth],
) -> None:
    out, truth = made
    oracle = pq.read_table(out / "truth" / "oracle.parquet").to_pandas()
    hidden = pq.read_table(out / "truth" / "test_labels.parquet").to_pandas()
    assert hidden["ID"].tolist() == table(out, "test")["ID"].tolist() == list(range(398))
    stored = json.loads((out / "truth" / "oracle.json").read_text(encoding="utf-8"))
    assert (stored["preset"], stored["seed"]) == ("tiny", 3)
    for split in SPLITS:
        rows, best = table(out, split), oracle[oracle["split"] == split]
        assert best["user_id"].tolist() == rows["user_id"].tolist()
        assert best["item_id"].tolist() == rows["item_id"].tolist()
        assert (best["occurrence"] == 0).all()
        if split == "test":
            assert best["ID"].tolist() == rows["ID"].tolist()
        else:
            assert best["ID"].isna().all()
        labels = hidden["label"].to_numpy() if split == "test" else rows["label"]
        for key, column in (("row", "log_odds"), ("group", "group_log_odds")):
            assert stored["auc"][split][key] == auc(labels, best[column].to_numpy())
            assert stored["auc"][split][key] == getattr(truth.auc[split], key)
