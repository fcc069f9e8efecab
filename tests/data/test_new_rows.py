"""mmctr_kit.data.new_rows: rows to predict, from files in the challenge's columns."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv as pacsv
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmctr_kit.data.contract import FILES
from mmctr_kit.data.dataset import ChallengeData
from mmctr_kit.data.new_rows import NewRows, read_rows
from mmctr_kit.errors import DataError, MmctrKitError, UsageError

HISTORIES = st.lists(st.lists(st.integers(1, 300), max_size=6), min_size=1, max_size=5)


def table(histories: list[Any], **columns: Any) -> pa.Table:
    """Rows of user 1, whose target item counts up from 1."""
    count = len(histories)
    whole = {
        "user_id": [1] * count,
        "item_seq": histories,
        "item_id": list(range(1, count + 1)),
        "likes_level": [3] * count,
        "views_level": [4] * count,
    }
    return pa.table(whole | columns)


def histories_of(rows: NewRows) -> list[list[int]]:
    """The rows' histories, in the order of the test split."""
    found = rows.data.histories.take(rows.data.test.history)
    return [x.tolist() for x in np.split(found.values, found.offsets[1:-1])]


def test_the_test_file_gives_the_test_split_itself(tiny: ChallengeData, tiny_root: Path) -> None:
    rows = read_rows(tiny_root / "data" / FILES["test"].path, tiny)
    for name, column in vars(tiny.test).items():
        assert np.array_equal(getattr(rows.data.test, name), column), name
    assert np.array_equal(rows.data.histories.values, tiny.histories.values)
    assert rows.ids is not None
    assert rows.ids.tolist() == list(range(len(tiny.test)))
    assert rows.new_users == len(rows)
    seen = np.isin(tiny.test.item_id, tiny.train.item_id)
    assert rows.new_items == int((~seen).sum()) > 0


def test_rows_with_ids_are_in_their_order_whatever_the_files(
    tiny: ChallengeData, tiny_root: Path, tmp_path: Path
) -> None:
    whole = pq.read_table(tiny_root / "data" / FILES["test"].path)
    order = np.random.default_rng(0).permutation(whole.num_rows)
    pq.write_table(whole.take(pa.array(order)), tmp_path / "rows.parquet")
    rows = read_rows(tmp_path / "rows.parquet", tiny)
    assert np.array_equal(rows.data.test.item_id, tiny.test.item_id)
    assert np.array_equal(rows.data.test.history, tiny.test.history)
    assert rows.ids is not None
    assert np.array_equal(rows.ids, order)
    assert np.array_equal(order[rows.order], np.arange(len(order)))


FORMS = ("{}", "[{}]", " [ {} ] ", "[0, 0, {}]")


@given(histories=HISTORIES, form=st.sampled_from(FORMS), between=st.sampled_from((", ", " ", ",")))
def test_a_history_in_a_csv_file_is_read_however_it_is_written(
    histories: list[list[int]],
    form: str,
    between: str,
    tiny: ChallengeData,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    path = tmp_path_factory.mktemp("csv") / "rows.csv"
    texts = [form.format(between.join(map(str, items))) for items in histories]
    pacsv.write_csv(table(texts), path)
    assert histories_of(read_rows(path, tiny)) == histories


def test_what_pandas_and_numpy_print_is_read(tiny: ChallengeData, tmp_path: Path) -> None:
    items = np.arange(1, 65)
    pacsv.write_csv(table([str(items)]), tmp_path / "rows.csv")  # over several lines
    assert histories_of(read_rows(tmp_path / "rows.csv", tiny)) == [items.tolist()]


def test_a_table_of_pandas_is_read_as_it_is(tiny: ChallengeData) -> None:
    frame = table(["3 17 5", "[]"]).to_pandas()
    assert histories_of(read_rows(pa.Table.from_pandas(frame), tiny)) == [[3, 17, 5], []]


def test_unknown_items_are_left_out_of_histories_and_counted(tiny: ChallengeData) -> None:
    rows = read_rows(table([[0, 5, 301, 7], [9999, 301], [], [1, 2]]), tiny)
    assert histories_of(rows) == [[5, 7], [], [], [1, 2]]
    assert (rows.shortened, rows.left_out, rows.without_history) == (2, 3, 2)


def test_the_folders_own_rows_and_histories_stay_as_they_are(tiny: ChallengeData) -> None:
    rows = read_rows(table([[1, 2, 3], [4, 4, 4]]), tiny)
    before, now = tiny.histories, rows.data.histories
    assert np.array_equal(now.values[: len(before.values)], before.values)
    for split in ("train", "valid"):
        assert rows.data.rows[split] is tiny.rows[split]
    assert rows.data.rows_fingerprint == tiny.rows_fingerprint
    assert rows.data.test.label is None


MISTAKES = {
    "items": (
        table([[1], [2], [3]], item_id=[1, 301, 0]),
        r"row 2 \(from 1\): item_id 301 is no item of item_info, .* \(2 rows of 3\)",
    ),
    "one row": (table([[1]], item_id=[9000]), r"item_id 9000 .*1\.\.300.* \(1 row of 1\)"),
    "padding": (table([[1], [1, 0]]), r"row 2 \(from 1\): item_seq has padding"),
    "negative": (table([[1], [-4]]), r"row 2 .*: item_seq holds item -4; expected ids from 1 on"),
    "level": (table([[1]], views_level=[11]), r"row 1 .*: views_level 11 is outside 0..10"),
    "huge": (table(["1 " + "9" * 20]), r"row 1 .*: item_seq is '1 9+'"),
    "text": (table(["1 2", "1;2"]), r"row 2 .*: item_seq is '1;2'"),
    "fraction": (
        table([[1], [1]], user_id=[1, 1.5]),
        r"row 2 .*: user_id is '1.5'; expected a whole",
    ),
    "column": (
        table([[1]]).drop_columns(["item_id"]),
        "lacks column item_id; expected .* and perhaps ID, found user_id",
    ),
    "twice": (table([[1]]).append_column("user_id", pa.array([1])), "holds column user_id twice"),
    "same ID": (
        table([[1]] * 5, ID=[7, 5, 5, 7, 5]),
        r"row 3 \(from 1\): ID 5 occurs before; .* but 3 rows have the IDs of earlier ones; leave",
    ),
    "one ID": (table([[1], [1]], ID=[2, 2]), "row 2 .*: ID 2 occurs .* but 1 row has the ID of e"),
    "null": (table([[1]], user_id=[None]), "user_id is empty; expected a whole number"),
    "nothing": (table([[1]]).slice(0, 0), "the table of rows has no rows; expected one for each"),
    "number": (table([3]), "expected one array or list a row"),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_in_the_rows_is_one_line_that_names_it(name: str, tiny: ChallengeData) -> None:
    rows, says = MISTAKES[name]
    with pytest.raises(DataError, match=says) as caught:
        read_rows(rows, tiny)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("absent.csv", None, "no file of rows at"),
        ("rows.txt", b"user_id\n1\n", r"ends in .parquet or .csv"),
        ("rows.parquet", b"user_id\n1\n", "not a readable parquet file"),
        ("rows.csv", b"\xff\xfe\x00", "lacks column|cannot be read"),
        ("rows.csv", b"user_id;item_id\n1;2\n", "rows.csv: the header has ';' between columns; "),
        ("rows.csv", b"user_id\titem_id\n1\t[2, 3]\n", "the header has tabs .*expected ','"),
        ("rows.csv", b"", r"rows.csv cannot be read \(Empty CSV"),
        (
            "rows.csv",
            b"user_id,item_seq,item_id,likes_level,views_level\n",
            "rows.csv has no rows; expected one for each score that is asked for",
        ),
        (
            "rows.csv",
            b"user_id,item_seq,item_id,likes_level,views_level\n1,[1,2],3,4,5\n",
            "line 2: .*into quotes, or use spaces",
        ),
        (
            "rows.csv",
            b"user_id,item_seq,item_id,likes_level,views_level\n1,2,3,4,5\n\n1,2,x,4,5\n",
            "rows.csv, line 4: item_id is 'x'; expected a whole number",
        ),
    ],
)
def test_a_file_that_is_no_table_of_rows_is_refused_in_one_line(
    name: str, content: bytes | None, says: str, tiny: ChallengeData, tmp_path: Path
) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(MmctrKitError, match=says) as caught:
        read_rows(tmp_path / name, tiny)
    assert "\n" not in str(caught.value)
    assert isinstance(caught.value, UsageError) == (name in ("absent.csv", "rows.txt"))


@pytest.mark.parametrize("users", [pa.array([2.0**53]), pa.array([2**63], pa.uint64())])
def test_users_that_would_be_taken_for_others_are_refused(
    tiny: ChallengeData, users: pa.Array
) -> None:
    with pytest.raises(DataError, match=r"user_id holds (9007199254740992 as|values beyond)"):
        read_rows(table([[1]], user_id=users), tiny)


@pytest.mark.parametrize("user", ["9007199254740993.0", "9223372036854775808"])
def test_users_of_a_csv_file_that_a_float_would_round_are_refused(
    tiny: ChallengeData, tmp_path: Path, user: str
) -> None:
    rows = tmp_path / "rows.csv"
    rows.write_text(f"user_id,item_seq,item_id,likes_level,views_level\n{user},3,1,1,1\n")
    with pytest.raises(DataError, match="different ids would be one"):
        read_rows(rows, tiny)
