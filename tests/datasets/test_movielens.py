"""Converting MovieLens: the layout, the seed, the folder."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mmctr_kit.data.contract import FILES, GIVEN_DIM
from mmctr_kit.datasets import movielens
from mmctr_kit.datasets.movielens import TEST_LABELS, convert
from mmctr_kit.errors import DataError, UsageError
from tests.datasets.movielens.made import (
    N_ITEMS,
    WRITERS,
    make_ratings,
    make_source,
    split_tables,
    tables,
)


@pytest.mark.parametrize("name", ["ml-1m", "ml-latest", "recbole"])
def test_every_format_of_the_same_data_gives_the_same_files(
    name: str, out: Path, tmp_path: Path
) -> None:
    convert(make_source(tmp_path / "src", WRITERS[name]), tmp_path / "out")
    found, expected = tables(tmp_path / "out"), tables(out)
    assert found.keys() == expected.keys()
    assert [n for n in expected if not found[n].equals(expected[n])] == []


def test_a_seed_decides_everything_and_another_seed_gives_other_rows(
    out: Path, tmp_path: Path
) -> None:
    source = make_source(tmp_path / "src")
    convert(source, tmp_path / "same")
    convert(source, tmp_path / "other", seed=1)
    for path in sorted(p for p in out.rglob("*") if p.is_file()):
        assert (tmp_path / "same" / path.relative_to(out)).read_bytes() == path.read_bytes()
    same, other = split_tables(out), split_tables(tmp_path / "other")
    assert set(same["valid"]["user_id"].to_pylist()) != set(other["valid"]["user_id"].to_pylist())


def test_files_have_the_contracts_columns_and_types(out: Path) -> None:
    i64 = pa.int64()
    rows = {
        "user_id": i64,
        "item_seq": pa.list_(i64, 64),
        "item_id": i64,
        "likes_level": i64,
        "views_level": i64,
    }
    f32 = pa.float32()
    text = pq.read_schema(out / "item_feature.parquet").field("txt_emb_BERT").type
    assert text == pa.list_(f32, text.list_size)
    assert text.list_size <= GIVEN_DIM
    expected = {
        "train": rows | {"label": i64},
        "valid": rows | {"label": i64},
        "test": {"ID": i64} | rows,
        "item_info": {
            "item_id": i64,
            "item_tags": pa.list_(i64, 5),
            "item_emb_d128": pa.list_(pa.float64(), 128),
        },
        "item_feature": {
            "item_id": i64,
            "item_title": pa.string(),
            "item_tags": pa.list_(i64),
            "likes_level": i64,
            "views_level": i64,
            "txt_emb_BERT": text,
        },
        "item_emb": {"item_id": i64, "item_emb_d128_v1": pa.list_(f32, 128)},
    }
    for name, types in expected.items():
        schema = pq.read_schema(out / FILES[name].path)
        assert {n: schema.field(n).type for n in schema.names} == types
        assert schema.names == [n for n in FILES[name].column_names if n in types]


def test_the_three_embeddings_are_one_of_unit_length_and_the_padding_row_is_zero(
    out: Path,
) -> None:
    text = np.stack(pq.read_table(out / "item_feature.parquet").to_pandas()["txt_emb_BERT"])
    v1 = np.stack(pq.read_table(out / "item_emb.parquet").to_pandas()["item_emb_d128_v1"])
    info = np.stack(pq.read_table(out / FILES["item_info"].path).to_pandas()["item_emb_d128"])
    np.testing.assert_allclose(np.linalg.norm(text, axis=1), 1, atol=1e-5)
    np.testing.assert_array_equal(v1[:, : text.shape[1]], text)
    assert not v1[:, text.shape[1] :].any()
    np.testing.assert_array_equal(info[1:], v1)
    assert not info[0].any()


def test_test_ids_count_from_zero_and_their_labels_lie_beside_the_layout(out: Path) -> None:
    test = pq.read_table(out / FILES["test"].path)
    truth = pq.read_table(out / TEST_LABELS)
    assert test["ID"].to_pylist() == list(range(len(test))) == truth["ID"].to_pylist()
    assert "label" not in test.column_names
    assert sum(truth["label"].to_pylist()) == len(test) / 4


def test_the_summary_counts_what_was_written(
    out: Path, all_rows: dict[str, np.ndarray], tmp_path: Path
) -> None:
    summary = convert(make_source(tmp_path / "src"), tmp_path / "out")
    users, first = np.unique(all_rows["user_id"], return_index=True)
    assert summary.users == len(users) == 16
    assert summary.items == N_ITEMS
    assert dict(summary.rows) == {s: len(t) for s, t in split_tables(out).items()}
    lengths = (all_rows["item_seq"][first] > 0).sum(axis=1)
    assert summary.mean_history == pytest.approx(lengths.mean())
    assert summary.label_mean == pytest.approx(0.25)
    assert any("image absent" in n for n in summary.notes)
    assert any("1 users left out" in n for n in summary.notes)


def test_too_few_users_and_an_empty_file_are_refused(tmp_path: Path) -> None:
    few = make_source(tmp_path / "few", ratings=make_ratings(9))
    with pytest.raises(DataError, match=r"has 9 users .* at least 10"):
        convert(few, tmp_path / "out")
    none = make_source(tmp_path / "none", ratings=[])
    with pytest.raises(DataError, match="holds no rating"):
        convert(none, tmp_path / "out")


def test_an_out_that_holds_anything_is_refused_and_an_empty_one_filled(tmp_path: Path) -> None:
    source = make_source(tmp_path / "src")
    out = tmp_path / "deep" / "out"
    out.mkdir(parents=True)
    convert(source, out)
    before = tables(out)
    with pytest.raises(UsageError, match="not an empty folder"):
        convert(source, out, seed=3)
    assert tables(out) == before
    with pytest.raises(UsageError, match="not an empty folder"):
        convert(source, source / "u.data")


def test_an_out_that_cannot_be_made_is_wrong_usage(tmp_path: Path) -> None:
    source = make_source(tmp_path / "src")
    with pytest.raises(UsageError, match="cannot write"):
        convert(source, source / "u.data" / "out")


def test_a_failure_while_writing_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise OSError("disk full")

    source = make_source(tmp_path / "src")
    monkeypatch.setattr(movielens, "write_items", broken)
    with pytest.raises(OSError, match="disk full"):
        convert(source, tmp_path / "out")
    assert [p.name for p in tmp_path.iterdir()] == ["src"]


@pytest.mark.parametrize("seed", [-1, 2**31])
def test_a_seed_out_of_range_is_wrong_usage(seed: int, tmp_path: Path) -> None:
    source = make_source(tmp_path / "src")
    with pytest.raises(UsageError, match="expected 0 to"):
        convert(source, tmp_path / "out", seed)
