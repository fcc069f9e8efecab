"""A data folder in any of its shapes loads into the same arrays, by id and never by position."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mmctr_kit.data.contract import FILES, GIVEN_EMBEDDINGS, SPLITS
from mmctr_kit.data.dataset import ChallengeData, Rows
from mmctr_kit.data.folds import user_folds
from mmctr_kit.data.load import MAX_TAG, load, load_given, load_own, targets_of_test
from mmctr_kit.errors import DataError, MmctrKitError, UsageError

N_ITEMS = 9
KEY = ("user_id", "item_id", "likes_level", "views_level")
Columns = dict[str, Any]
Tables = dict[str, pa.Table]

TRAIN: Columns = {
    "user_id": [7, 7, 7, -3, -3, 2**53 - 1, 2**53 - 1, 7],
    "item_seq": [[1, 2], [1, 2], [1, 2], [], [], [9, 9, 4], [9, 9, 4], [1, 2]],
    "item_id": [3, 4, 3, 5, 6, 8, 1, 3],
    "likes_level": [1, 10, 1, 0, 2, 3, 4, 2],
    "views_level": [1, 1, 2, 3, 4, 10, 6, 1],
    "label": [0, 1, 1, 0, 1, 0, 1, 0],
}


def clean() -> Tables:
    ids = np.arange(N_ITEMS + 1)
    vectors = np.where(ids[:, None] > 0, ids[:, None] + np.arange(3) / 4, 0).astype(np.float32)
    valid = {k: v[3:7] for k, v in TRAIN.items()} | {"user_id": [100, 100, 101, 101]}
    test = {k: v[::-1] for k, v in TRAIN.items() if k != "label"}
    columns: dict[str, Columns] = {
        "train": TRAIN,
        "valid": valid,
        "test": {"ID": np.arange(8)} | test,
        "item_info": {
            "item_id": ids,
            "item_tags": [
                [0] * (3 - i % 4) + list(range(1, i % 4 + 1)) if i else [0] * 3 for i in ids
            ],
            "item_emb_d128": list(vectors),
        },
        "item_emb": {"item_id": ids[1:]}
        | {f"item_emb_d128_{v}": list(vectors[1:] * s) for s, v in enumerate(GIVEN_EMBEDDINGS, 2)},
    }
    return {name: pa.table(c) for name, c in columns.items()}


def write(folder: Path, tables: Tables, **options: Any) -> Path:
    for name, table in tables.items():
        path = folder / FILES[name].path
        path.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(table, path, **options)
    return folder


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> ChallengeData:
    return load(write(tmp_path_factory.mktemp("reference"), clean()))


def with_column(table: pa.Table, name: str, values: Any) -> pa.Table:
    array = values if isinstance(values, pa.Array | pa.ChunkedArray) else pa.array(values)
    return table.set_column(table.column_names.index(name), name, array)


def cast(table: pa.Table, **kinds: pa.DataType) -> pa.Table:
    for name, kind in kinds.items():
        if name in table.column_names:
            table = with_column(table, name, table.column(name).cast(kind))
    return table


def all_cast(**kinds: pa.DataType) -> Callable[[Tables], Tables]:
    return lambda tables: {n: cast(t, **kinds) for n, t in tables.items()}


def as_arrays_of_64(tables: Tables) -> Tables:
    done = dict(tables)
    for split in SPLITS:
        rows = tables[split].column("item_seq").to_pylist()
        values = [[0] * (64 - len(r)) + r for r in rows]
        done[split] = with_column(
            tables[split], "item_seq", pa.array(values, pa.list_(pa.int64(), 64))
        )
    return done


def as_padded_lists(tables: Tables) -> Tables:
    return {n: cast(t, item_seq=pa.list_(pa.int32())) for n, t in as_arrays_of_64(tables).items()}


def shuffled(tables: Tables) -> Tables:
    rng = np.random.default_rng(3)
    return {n: t.take(pa.array(rng.permutation(len(t)))) for n, t in tables.items()}


def in_chunks(tables: Tables) -> Tables:
    return {
        n: pa.concat_tables([t.slice(0, 1), t.slice(1, 3), t.slice(4)]) for n, t in tables.items()
    }


def through_nullable_pandas(tables: Tables) -> Tables:
    done = {}
    for name, table in tables.items():
        frame = table.to_pandas().convert_dtypes(dtype_backend="numpy_nullable")
        frame.index = frame.index + 100
        done[name] = pa.Table.from_pandas(frame)
    return done


def with_more_columns(tables: Tables) -> Tables:
    return {
        n: t.append_column("note", pa.array([None] * len(t), pa.string())).select(
            ["note", *reversed(t.column_names)]
        )
        for n, t in tables.items()
    }


FLOAT_IDS = {n: pa.float64() for n in ("user_id", "item_id", "ID", "label", "likes_level")}
INT32 = {n: pa.int32() for n in ("item_id", "ID", "label", "likes_level", "views_level")}
WIDE_VECTORS = {
    n: pa.list_(pa.float64(), 3)
    for n in ("item_emb_d128", *(f"item_emb_d128_{v}" for v in GIVEN_EMBEDDINGS))
}

SHAPES: dict[str, Callable[[Tables], Tables]] = {
    "arrays of 64": as_arrays_of_64,
    "padded lists": as_padded_lists,
    "large lists": all_cast(item_seq=pa.large_list(pa.int64()), item_tags=pa.large_list(pa.int8())),
    "fixed tags": all_cast(item_tags=pa.list_(pa.int64(), 3)),
    "float ids": all_cast(**FLOAT_IDS),
    "float histories": all_cast(item_seq=pa.list_(pa.float64())),
    "int32": all_cast(**INT32),
    "float64 vectors": all_cast(**WIDE_VECTORS),
    "shuffled": shuffled,
    "chunks": in_chunks,
    "nullable": through_nullable_pandas,
    "more columns, another order": with_more_columns,
}
OPTIONS: dict[str, dict[str, Any]] = {
    "small row groups": {"row_group_size": 1},
    "no dictionary": {"use_dictionary": False},
    "data page 2, gzip": {"data_page_version": "2.0", "compression": "gzip"},
    "no arrow schema": {"store_schema": False},
    "parquet 1.0": {"version": "1.0"},
}


def arrays_of(data: ChallengeData) -> dict[str, Any]:
    found: dict[str, Any] = {
        "items": data.histories.values,
        "offsets": data.histories.offsets,
        "item_tags": data.item_tags,
        "item_emb": data.item_emb,
    }
    for split, rows in data.rows.items():
        found |= {f"{split} {k}": v for k, v in vars(rows).items() if v is not None}
    return found


def assert_same(a: ChallengeData, b: ChallengeData) -> None:
    left, right = arrays_of(a), arrays_of(b)
    assert left.keys() == right.keys()
    for name, array in left.items():
        assert array.dtype == right[name].dtype, name
        np.testing.assert_array_equal(array, right[name], err_msg=name)
    assert a.rows_fingerprint == b.rows_fingerprint
    assert a.context_fingerprint == b.context_fingerprint


@pytest.mark.parametrize("shape", SHAPES)
def test_the_same_values_load_alike_in_any_shape(
    reference: ChallengeData, tmp_path: Path, shape: str
) -> None:
    data = load(write(tmp_path, SHAPES[shape](clean())))
    assert_same(data, reference)
    np.testing.assert_array_equal(load_given(data, "e4"), load_given(reference, "e4"))


@pytest.mark.parametrize("options", OPTIONS)
def test_the_same_values_load_alike_however_parquet_packs_them(
    reference: ChallengeData, tmp_path: Path, options: str
) -> None:
    assert_same(load(write(tmp_path, clean(), **OPTIONS[options])), reference)


def history(data: ChallengeData, rows: Rows, row: int) -> tuple[int, ...]:
    begin, end = (
        data.histories.offsets[rows.history[row]],
        data.histories.offsets[rows.history[row] + 1],
    )
    return tuple(data.histories.values[begin:end].tolist())


def content(data: ChallengeData, rows: Rows) -> list[tuple[Any, ...]]:
    labels = [None] * len(rows) if rows.label is None else rows.label.tolist()
    columns = (rows.user_id, rows.item_id, rows.likes_level, rows.views_level)
    return [
        (*(int(c[i]) for c in columns), labels[i], history(data, rows, i)) for i in range(len(rows))
    ]


def written(columns: Columns) -> list[tuple[Any, ...]]:
    names = ("user_id", "item_id", "likes_level", "views_level", "label")
    labels = columns["label"] if "label" in columns else [None] * len(columns["user_id"])
    parts = [labels if n == "label" else columns[n] for n in names]
    return [(*row, tuple(h)) for *row, h in zip(*parts, columns["item_seq"], strict=True)]


def test_every_row_keeps_its_own_levels_label_and_history(reference: ChallengeData) -> None:
    assert sorted(content(reference, reference.train)) == sorted(written(TRAIN))
    test = {k: v[::-1] for k, v in TRAIN.items() if k != "label"}
    assert content(reference, reference.test) == written(test)
    assert reference.test.label is None


def test_targets_of_the_test_rows_come_with_how_often_and_how_well_train_had_them(
    tmp_path: Path,
) -> None:
    write(tmp_path, clean())
    item, seen, rate = targets_of_test(tmp_path)
    assert item.tolist() == TRAIN["item_id"][::-1]
    assert seen.tolist() == [TRAIN["item_id"].count(i) for i in item]
    labels = [(i, y) for i, y in zip(TRAIN["item_id"], TRAIN["label"], strict=True)]
    for i, found in zip(item, rate, strict=True):
        own = [y for j, y in labels if j == i]
        assert found == pytest.approx((sum(own) + 10 * 0.5) / (len(own) + 10))


def test_rows_stand_by_user_item_and_occurrence(reference: ChallengeData) -> None:
    train = reference.train
    keys = list(zip(train.user_id, train.item_id, train.occurrence, strict=True))
    assert keys == sorted(set(keys))
    assert train.occurrence[(train.user_id == 7) & (train.item_id == 3)].tolist() == [0, 1, 2]


def test_rows_that_share_a_history_share_its_place(reference: ChallengeData) -> None:
    assert len(reference.histories) == 3
    of_seven = reference.train.history[reference.train.user_id == 7]
    assert len(set(of_seven.tolist())) == 1


def test_tables_are_by_item_id_with_a_padding_row_of_zeros(reference: ChallengeData) -> None:
    assert reference.n_items == N_ITEMS
    assert reference.n_tags == 4
    assert not reference.item_emb[0].any()
    assert reference.item_emb[5].tolist() == [5, 5.25, 5.5]
    assert reference.item_tags[[0, 1, 6]].tolist() == [[0, 0, 0], [0, 0, 1], [0, 1, 2]]
    assert load_given(reference, "v2")[2].tolist() == [6, 6.75, 7.5]


def load_train(folder: Path, rows: list[Columns]) -> ChallengeData:
    """The clean data with other train rows."""
    if not (folder / FILES["valid"].path).exists():
        write(folder, clean())
    arrays = {
        n: pa.array([r[n] for r in rows], pa.list_(pa.int64()) if n == "item_seq" else pa.int64())
        for n in TRAIN
    }
    return load(write(folder, {"train": pa.table(arrays)}))


@pytest.mark.parametrize(
    ("column", "value"),
    [("views_level", 1), ("likes_level", 1), ("label", 1), ("item_seq", [2, 1]), ("item_seq", [1])],
)
def test_rows_that_differ_in_one_column_alone_have_one_order(
    tmp_path: Path, column: str, value: Any
) -> None:
    first = {"user_id": 5, "item_seq": [1, 2], "item_id": 3} | dict.fromkeys(list(TRAIN)[3:], 0)
    rows = [first, first | {column: value}, first]
    assert_same(load_train(tmp_path, rows), load_train(tmp_path, [rows[1], rows[0], rows[2]]))
    assert_same(load_train(tmp_path, rows), load_train(tmp_path, [rows[0], rows[2], rows[1]]))


ROW = st.fixed_dictionaries(
    {
        "user_id": st.sampled_from([-(2**63), 2**63 - 1]),
        "item_seq": st.lists(st.integers(1, 3), max_size=2),
        "item_id": st.integers(1, 2),
        "likes_level": st.integers(0, 1),
        "views_level": st.integers(0, 1),
        "label": st.integers(0, 1),
    }
)


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(rows=st.lists(ROW, min_size=1, max_size=10), data=st.data())
def test_the_order_of_train_rows_changes_no_array_fingerprint_or_fold(
    tmp_path: Path, rows: list[Columns], data: st.DataObject
) -> None:
    first = load_train(tmp_path, rows)
    columns = {n: [r[n] for r in rows] for n in TRAIN}
    assert sorted(content(first, first.train)) == sorted(written(columns))
    second = load_train(tmp_path, data.draw(st.permutations(rows)))
    assert_same(first, second)
    np.testing.assert_array_equal(
        user_folds(first.train.user_id, 5, 0), user_folds(second.train.user_id, 5, 0)
    )


@pytest.mark.parametrize(
    ("file", "column", "value", "changed"),
    [
        ("train", "label", 1, "rows"),
        ("train", "item_id", 9, "rows"),
        ("test", "user_id", 8, "rows"),
        ("valid", "views_level", 9, "context"),
        ("train", "item_seq", [1, 2, 5], "context"),
        ("item_info", "item_tags", [0, 0, 4], "context"),
        ("item_info", "item_emb_d128", [0.0, 0.0, 9.0], "context"),
    ],
)
def test_a_changed_value_changes_the_fingerprint_it_belongs_to(
    reference: ChallengeData, tmp_path: Path, file: str, column: str, value: Any, changed: str
) -> None:
    tables = clean()
    values = tables[file].column(column).to_pylist()
    values[-1] = value
    tables[file] = with_column(tables[file], column, values)
    data = load(write(tmp_path, tables))
    assert (data.rows_fingerprint != reference.rows_fingerprint) == (changed == "rows")
    if changed == "context":
        assert data.context_fingerprint != reference.context_fingerprint


TIMES = {"train": [5, 1, 2, 8, 9, 3, 4, 0], "valid": [20, 21, 22, 23], "test": list(range(30, 38))}


def timed(times: dict[str, list[int]]) -> Tables:
    tables = clean()
    for split, values in times.items():
        tables[split] = tables[split].append_column("time", pa.array(values))
    return tables


def test_data_without_times_has_the_fingerprints_that_it_had_before_there_were_any(
    reference: ChallengeData,
) -> None:
    assert reference.train.time is None
    assert reference.rows_fingerprint.startswith("9bebd6bc751e77a9a975afa17d8dbcd8")
    assert reference.context_fingerprint.startswith("40e3f898caab9f9e9c02fac00359a63c")


def test_times_come_with_their_rows_and_belong_to_the_context(
    reference: ChallengeData, tmp_path: Path
) -> None:
    data = load(write(tmp_path / "a", timed(TIMES)))
    for split in SPLITS:
        time, rows = data.rows[split].time, data.rows[split]
        assert time is not None
        written = zip(
            *(clean()[split].column(n).to_pylist() for n in KEY), TIMES[split], strict=True
        )
        read = zip(*(getattr(rows, n).tolist() for n in KEY), time.tolist(), strict=True)
        assert sorted(read) == sorted(written)
    assert data.rows_fingerprint == reference.rows_fingerprint
    later = load(write(tmp_path / "b", timed(TIMES | {"test": list(range(31, 39))})))
    assert len({d.context_fingerprint for d in (data, later, reference)}) == 3


def test_rows_that_differ_in_their_time_alone_load_alike_in_any_order(tmp_path: Path) -> None:
    columns = {name: [values[0]] * 3 for name, values in TRAIN.items()}
    loaded = []
    for times in ([3, 1, 2], [2, 3, 1]):
        tables = timed({s: TIMES[s] for s in ("valid", "test")})
        tables["train"] = pa.table(columns | {"time": times})
        loaded.append(load(write(tmp_path / str(times[0]), tables)))
    assert_same(*loaded)
    assert loaded[0].train.time is not None
    assert loaded[0].train.time.tolist() == [1, 2, 3]


@pytest.mark.parametrize(
    ("times", "expected"),
    [
        ({"train": TIMES["train"]}, r"valid.parquet lacks the column time that .*train.parquet"),
        (TIMES | {"valid": [1, 2, None, 4]}, r"valid.parquet: time holds 1 null; expected none"),
        (TIMES | {"valid": [1.5, 2, 3, 4]}, r"valid.parquet: time holds fractions"),
    ],
)
def test_times_in_some_splits_alone_or_with_gaps_are_refused(
    tmp_path: Path, times: dict[str, list[int]], expected: str
) -> None:
    with pytest.raises(DataError, match=expected):
        load(write(tmp_path, timed(times)))


def test_a_touched_folder_or_a_copy_is_loaded_from_the_cache_and_a_changed_one_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MMCTR_KIT_CACHE", str(tmp_path / "cache"))
    folder = write(tmp_path / "data", clean())
    load(folder)
    for name in ("train", "item_info"):
        os.utime(folder / FILES[name].path)
    load(folder)
    copied = shutil.copytree(folder, tmp_path / "copy")
    data = load(copied)
    assert data.folder == copied
    assert len(list((tmp_path / "cache").glob("data-*"))) == 1
    labels = with_column(clean()["train"], "label", 1 - np.array(TRAIN["label"]))
    write(folder, {"train": labels})
    assert load(folder).train.labels().sum() == len(TRAIN["label"]) - sum(TRAIN["label"])
    assert len(list((tmp_path / "cache").glob("data-*"))) == 2


def test_one_user_without_any_history_loads(tmp_path: Path) -> None:
    tables = clean()
    for split in SPLITS:
        one = tables[split].slice(0, 1)
        one = one if split != "test" else with_column(one, "ID", [0])
        tables[split] = with_column(one, "item_seq", [[]])
    data = load(write(tmp_path, tables))
    assert len(data.histories) == 1
    assert [history(data, rows, 0) for rows in data.rows.values()] == [(), (), ()]


def set_first(file: str, column: str, value: Any) -> Callable[[Tables], Tables]:
    def change(tables: Tables) -> Tables:
        values = tables[file].column(column).to_pylist()
        values[0] = value
        return tables | {file: with_column(tables[file], column, values)}

    return change


def without_rows(file: str) -> Callable[[Tables], Tables]:
    return lambda tables: tables | {file: tables[file].slice(0, 0)}


def without_column(file: str, column: str) -> Callable[[Tables], Tables]:
    return lambda tables: tables | {file: tables[file].drop_columns([column])}


FAULTS: dict[str, tuple[Callable[[Tables], Tables], str]] = {
    "item unknown": (set_first("train", "item_id", 10), r"item_id 10 is outside 1\.\.9"),
    "padding item as target": (set_first("train", "item_id", 0), "item_id 0 is outside"),
    "huge item": (set_first("test", "item_id", 2**33 + 1), "item_id 8589934593 is outside"),
    "history item unknown": (set_first("train", "item_seq", [10]), "item_seq holds item 10"),
    "right padding": (set_first("valid", "item_seq", [1, 0]), "padding after a real item"),
    "level 11": (set_first("train", "likes_level", 11), r"likes_level 11 is outside 0\.\.10"),
    "negative level": (set_first("test", "views_level", -1), "views_level -1 is outside"),
    "label 2": (
        set_first("train", "label", 2),
        r"label 2 is outside 0\.\.1; run 'mmctr-kit data check'",
    ),
    "fractional label": (set_first("train", "label", 0.5), "holds fractions"),
    "null label": (set_first("valid", "label", None), "1 null;"),
    "null history": (set_first("train", "item_seq", None), "1 null;"),
    "text user": (lambda t: all_cast(user_id=pa.string())(t), "expected integers"),
    "ID twice": (set_first("test", "ID", 1), r"ID is not 0\.\.7"),
    "item_info id twice": (set_first("item_info", "item_id", 1), r"item_id is not 0\.\.9"),
    "no padding row": (lambda t: t | {"item_info": t["item_info"].slice(1)}, "item_id is not"),
    "vectors of two lengths": (set_first("item_info", "item_emb_d128", [1.0]), "rows of 1 to 3"),
    "NaN vector": (
        lambda t: set_first("item_info", "item_emb_d128", [np.nan] * 3)(shuffled(t)),
        "non-finite",
    ),
    "negative tag": (set_first("item_info", "item_tags", [0, 0, -1]), "item_tags holds -1"),
    "huge tag": (set_first("item_info", "item_tags", [0, 0, 2_000_000_000]), "renumber the tags"),
    "tag one too large": (set_first("item_info", "item_tags", [0, 0, MAX_TAG + 1]), "10000001"),
    "no train rows": (without_rows("train"), "holds no rows"),
    "no test rows": (without_rows("test"), "holds no rows"),
    "no items": (without_rows("item_info"), "item_id is not"),
    "no label column": (without_column("train", "label"), "lacks column label"),
    "no ID column": (without_column("test", "ID"), "lacks column ID"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_faulty_folder_is_one_line_that_names_the_file(tmp_path: Path, fault: str) -> None:
    change, expected = FAULTS[fault]
    with pytest.raises(DataError, match=expected) as caught:
        load(write(tmp_path, change(clean())))
    assert ".parquet" in str(caught.value)
    assert "\n" not in str(caught.value)


GIVEN_FAULTS: dict[str, tuple[Callable[[Tables], Tables], str]] = {
    "an item twice": (set_first("item_emb", "item_id", 2), "item 1 occurs 0 times"),
    "an unknown item": (set_first("item_emb", "item_id", 10), "item 10 is not among items"),
    "a negative item": (set_first("item_emb", "item_id", -1), "item -1 is not among items"),
    "no rows": (without_rows("item_emb"), "item 1 occurs 0 times"),
    "too large to square": (
        set_first("item_emb", "item_emb_d128_e4", [0, 0, -1e30]),
        r"holds 1e\+30 for item \d+; expected values up to 1e\+18",
    ),
    "an infinite value": (set_first("item_emb", "item_emb_d128_e4", [0, 0, np.inf]), "non-finite"),
    "two lengths": (set_first("item_emb", "item_emb_d128_e4", [0.0]), "rows of 1 to 3 values"),
    "no column": (without_column("item_emb", "item_emb_d128_e4"), "^items.embedding is e4, which"),
}


@pytest.mark.parametrize("fault", GIVEN_FAULTS)
def test_a_faulty_item_emb_is_one_line(tmp_path: Path, fault: str) -> None:
    change, expected = GIVEN_FAULTS[fault]
    data = load(write(tmp_path, change(clean())))
    with pytest.raises(DataError, match=expected) as caught:
        load_given(data, "e4")
    assert "\n" not in str(caught.value)


def test_given_embeddings_follow_the_files_content(tmp_path: Path) -> None:
    data = load(write(tmp_path, clean()))
    before = load_given(data, "v1")
    write(tmp_path, {"item_emb": shuffled(clean())["item_emb"]})
    np.testing.assert_array_equal(load_given(data, "v1"), before)
    write(tmp_path, set_first("item_emb", "item_emb_d128_v1", [0.0, 0.0, 7.0])(clean()))
    assert load_given(data, "v1")[1].tolist() == [0, 0, 7]
    (tmp_path / FILES["item_emb"].path).unlink()
    with pytest.raises(DataError, match="which holds embedding 'v1'; download it"):
        load_given(data, "v1")


def test_ones_own_embedding_is_by_item_id_too(reference: ChallengeData, tmp_path: Path) -> None:
    path = tmp_path / "own.parquet"
    order = np.random.default_rng(0).permutation(np.arange(1, N_ITEMS + 1))
    pq.write_table(pa.table({"vector": [[float(i)] for i in order], "item_id": order}), path)
    assert load_own(reference, path).tolist() == [[float(i)] for i in range(N_ITEMS + 1)]
    pq.write_table(pa.table({"vector": [[1.0]], "item_id": [1]}), path)
    with pytest.raises(DataError, match="item 2 occurs 0 times"):
        load_own(reference, path)
    with pytest.raises(UsageError, match=r"no item-embedding file .*items\.file"):
        load_own(reference, tmp_path / "absent.parquet")


def test_a_folder_that_is_none_is_an_error_for_the_user(tmp_path: Path) -> None:
    for folder in (tmp_path, tmp_path / "absent"):
        with pytest.raises(MmctrKitError):
            load(folder)


def test_the_generated_data_loads_as_written(tiny_root: Path, tiny: ChallengeData) -> None:
    for split in SPLITS:
        table = pq.read_table(tiny_root / "data" / FILES[split].path)
        columns = {n: table.column(n).to_pylist() for n in table.column_names}
        columns["item_seq"] = [[i for i in h if i] for h in columns["item_seq"]]
        found, expected = content(tiny, tiny.rows[split]), written(columns)
        assert (found if split == "test" else sorted(found)) == (
            expected if split == "test" else sorted(expected)
        )
