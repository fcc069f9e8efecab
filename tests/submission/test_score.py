"""AUC of test scores by ID, whatever the order of scores and labels."""

from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from mmctr_kit.errors import DataError, UsageError
from mmctr_kit.metrics.auc import auc, auc_with_se
from mmctr_kit.submission.check import Scores
from mmctr_kit.submission.score import read_labels, score, task_column

RNG = np.random.default_rng(0)
N = 200
LABELS = (np.arange(N), (np.arange(N) % 4 == 0).astype(np.int64))
VALUES = LABELS[1] + RNG.normal(size=N)
USERS = np.arange(N) // 4 + 1000


def test_scores_and_labels_meet_by_id() -> None:
    expected = auc_with_se(LABELS[1], VALUES, USERS)
    assert score(LABELS[0], VALUES, LABELS, USERS) == expected
    one, two = RNG.permutation(N), RNG.permutation(N)
    labels = (LABELS[0][two], LABELS[1][two])
    assert score(LABELS[0][one], VALUES[one], labels, USERS).value == expected.value
    assert score(LABELS[0][one], VALUES[one], labels, USERS).se == pytest.approx(expected.se)


def test_without_users_rows_count_as_independent() -> None:
    found = score(LABELS[0], VALUES, LABELS, None)
    assert found == auc_with_se(LABELS[1], VALUES, np.arange(N))


def test_scores_without_a_label_are_left_out() -> None:
    half = (LABELS[0][::2], LABELS[1][::2])
    found = score(LABELS[0], VALUES, half, USERS)
    assert found.n == N // 2
    assert found.value == auc(half[1], VALUES[::2])


@pytest.mark.parametrize(
    ("labels", "users", "fault"),
    [
        ((np.array([0, N]), np.array([0, 1])), None, f"1 labelled IDs have no score, first {N}"),
        ((np.array([-1, 0]), np.array([0, 1])), None, "first -1"),
        ((np.array([0, 1]), np.array([0, 1])), USERS[:1], "the test set has 1 rows"),
        ((np.array([0, 1]), np.array([1, 1])), None, "labels 0 and 1, but all"),
        ((np.zeros(0, np.int64), np.zeros(0, np.int64)), None, "labels 0 and 1, but all"),
    ],
)
def test_what_cannot_be_scored_is_one_line(labels: Any, users: Any, fault: str) -> None:
    with pytest.raises(DataError, match=fault) as caught:
        score(LABELS[0], VALUES, labels, users)
    assert "\n" not in str(caught.value)


def _write(path: Path, columns: dict[str, Any]) -> Path:
    frame = pd.DataFrame(columns)
    if path.suffix == ".parquet":
        frame.to_parquet(path)
    else:
        frame.to_csv(path, index=False)
    return path


@pytest.mark.parametrize("name", ["labels.parquet", "labels.csv", "labels.txt"])
@pytest.mark.parametrize("kind", [np.int8, np.int64, np.float64, np.bool_])
def test_labels_are_read_by_name_from_parquet_and_csv(
    tmp_path: Path, name: str, kind: type[np.generic]
) -> None:
    label = np.array([0, 1, 1]).astype(kind)
    path = _write(tmp_path / name, {"label": label, "x": "a", "ID": [2, 0, 1]})
    ids, labels = read_labels(path)
    assert ids.tolist() == [2, 0, 1]
    assert labels.tolist() == [0, 1, 1]
    assert ids.dtype == labels.dtype == np.int64


@pytest.mark.parametrize("suffix", ["parquet", "csv"])
@pytest.mark.parametrize(
    ("columns", "fault"),
    [
        ({"ID": [0, 1]}, "lacks column label; found ID"),
        ({"id": [0, 1], "label": [0, 1]}, "lacks column ID"),
        ({"ID": [0, 0], "label": [0, 1]}, "holds an ID twice"),
        ({"ID": [0, 1], "label": [0, 2]}, "labels must be 0 or 1"),
        ({"ID": [0, 1], "label": [0.5, 1]}, "column label holds fractions"),
        ({"ID": [0, 1], "label": [None, 1.0]}, "(row 1 .from 1.|line 2): label is missing"),
        (
            {"ID": [0, 1], "label": ["no", "yes"]},
            "(row 1 .from 1.|line 2): label is 'no'",
        ),
        ({"ID": ["a", "b"], "label": [0, 1]}, "(row 1 .from 1.|line 2): ID is 'a'"),
        ({"ID": [0.5, 1], "label": [0, 1]}, "column ID holds fractions"),
        ({"ID": [1e30, 1], "label": [0, 1]}, "column ID holds 1e\\+30 as float64"),
    ],
)
def test_faulty_labels_are_one_line(
    tmp_path: Path, suffix: str, columns: dict[str, Any], fault: str
) -> None:
    with pytest.raises(DataError, match=fault) as caught:
        read_labels(_write(tmp_path / f"labels.{suffix}", columns))
    assert "\n" not in str(caught.value)


def test_a_whole_number_too_large_for_any_type_is_named(tmp_path: Path) -> None:
    path = tmp_path / "l.csv"
    path.write_text(f"ID,label\n0,1\n{'9' * 400},0\n")
    with pytest.raises(DataError, match="l.csv, line 3: ID is '9{40}'; expected numbers"):
        read_labels(path)


@pytest.mark.parametrize("content", [b"", b"ID,label\n1,2\n1,2,3\n", b"\xff\xfe\x00", b"PAR1"])
@pytest.mark.parametrize("name", ["l.csv", "l.parquet"])
def test_a_file_that_is_no_table_is_one_line(tmp_path: Path, name: str, content: bytes) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"l\.(csv|parquet)") as caught:
        read_labels(path)
    assert "\n" not in str(caught.value)


def test_no_labels_file_is_wrong_usage(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no labels file"):
        read_labels(tmp_path / "absent.csv")


def _scores(**columns: list[float]) -> Scores:
    return Scores(np.arange(2), {n: np.array(v) for n, v in columns.items()})


def test_the_only_column_that_varies_is_taken() -> None:
    found = _scores(Task1=[0.0, 0.0], Task2=[0.1, 0.2])
    assert task_column(found, None).tolist() == [0.1, 0.2]
    assert task_column(found, "Task1").tolist() == [0, 0]


@pytest.mark.parametrize(
    ("columns", "task", "fault"),
    [
        ({"Task1": [0.1, 0.2], "Task2": [0.1, 0.2]}, None, "2 columns hold scores .*--task"),
        ({"Task1": [0.0, 0.0]}, None, r"0 columns hold scores \(none\)"),
        ({"Task1": [0.1, 0.2]}, "Task2", "no column Task2; found Task1"),
    ],
)
def test_a_column_that_is_not_told_is_asked_for(
    columns: dict[str, list[float]], task: str | None, fault: str
) -> None:
    with pytest.raises(UsageError, match=fault):
        task_column(_scores(**columns), task)


@pytest.mark.parametrize(
    "ids",
    [
        np.array([2.0**53]),
        np.array([2.0**24], np.float32),
        [Decimal(2**53 + 1)],
        [str(2**53 + 1)],
    ],
    ids=["float64", "float32", "decimal", "text"],
)
def test_ids_that_round_to_one_are_refused(tmp_path: Path, ids: Any) -> None:
    path = tmp_path / "labels.parquet"
    pd.DataFrame({"ID": ids, "label": [1]}).to_parquet(path)
    with pytest.raises(DataError, match=r"column ID holds .*different ids would be one"):
        read_labels(path)
