"""Whatever the bytes, findings and no exception; and what `score` reads from a file."""

import contextlib
import io
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from mmctr_kit.audit.findings import Level, worst
from mmctr_kit.data.contract import Task
from mmctr_kit.errors import DataError, UsageError
from mmctr_kit.submission.check import TestRows, check_submission, read_scores
from mmctr_kit.submission.write import write_submission

N = 50
TABLE = "ID,Task1,Task1&2\n" + "".join(f"{i},{(i * 7919 % 997) / 997},0\n" for i in range(N))


def zipped(content: bytes, method: int = 8) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        archive.writestr("prediction.csv", content)
    return buffer.getvalue()


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("robust") / "s.zip"


def check(path: Path, raw: bytes) -> Level:
    path.write_bytes(raw)
    found = check_submission(path, test=TestRows(N))
    assert all((f.what + f.todo).isprintable() for f in found)
    with contextlib.suppress(DataError):
        scores = read_scores(path)
        assert len(scores.ids) == len(np.unique(scores.ids)) > 0
        assert all(np.isfinite(c).all() for c in scores.columns.values())
    return worst(found)


@st.composite
def mutated(draw: st.DrawFn, clean: bytes) -> bytes:
    """``clean`` after a few cuts, insertions, overwritings and repeats."""
    raw = clean
    for _ in range(draw(st.integers(1, 4))):
        a = draw(st.integers(0, len(raw)))
        b = draw(st.one_of(st.integers(a, min(a + 4, len(raw))), st.integers(a, len(raw))))
        new = draw(
            st.one_of(
                st.binary(max_size=6),
                st.sampled_from([b",", b"\n", b"\r", b'"', b"\0", b"e", b"-", b".", b";", b" "]),
                st.just(raw[a:b] * 2),
            )
        )
        raw = raw[:a] + new + raw[b:]
    return raw


@settings(max_examples=150, deadline=None)
@given(raw=st.binary(max_size=400))
@example(raw=b"PK\x05\x06" + bytes(18))
@example(raw=b"PK\x05\x06" + b"\xff" * 18)
@example(raw=b"PK\x03\x04")
def test_arbitrary_bytes_fail_and_never_raise(path: Path, raw: bytes) -> None:
    assert check(path, raw) is Level.FAIL


@settings(max_examples=300, deadline=None)
@given(raw=st.one_of(mutated(zipped(TABLE.encode())), mutated(zipped(TABLE.encode(), 0))))
def test_a_mutated_zip_never_raises(path: Path, raw: bytes) -> None:
    check(path, raw)


@settings(max_examples=300, deadline=None)
@given(content=mutated(TABLE.encode()))
def test_a_mutated_table_never_raises(path: Path, content: bytes) -> None:
    check(path, zipped(content))


@settings(max_examples=100, deadline=None)
@given(content=st.text("ID,Task12&;\t\r\n\"' .+-e0159_nainfx\0\ufeffé٥", max_size=80))
def test_text_of_the_formats_own_characters_never_raises(path: Path, content: str) -> None:
    check(path, zipped(content.encode()))


@pytest.mark.parametrize(
    "content",
    [
        b"\n" * 3_000_000,
        b" \n" * 1_000_000,
        b"ID,Task1\n" + b"\n \n" * 500_000 + b"0,1",
        b"ID,Task1\n" + b"," * 3_000_000,
        b"," * 3_000_000,
        b"ID,Task1\n" + b"0,0.5\n" * 400_000,
        b"ID,Task1\n0," + b"9" * 1_000_000 + b"\n",
    ],
    ids=["feeds", "spaces", "blanks", "commas", "header", "rows", "digits"],
)
def test_a_degenerate_table_is_refused_in_seconds(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    assert worst(check_submission(path, test=TestRows(N))) is Level.FAIL


def test_a_written_submission_passes_and_reads_back(tmp_path: Path) -> None:
    logits = np.random.default_rng(0).normal(size=N) * 30
    ids = np.arange(N, dtype=np.int64)
    write_submission(tmp_path / "s.zip", ids, {Task.BOTH: logits, Task.TASK2: -logits})
    assert worst(check_submission(tmp_path / "s.zip", test=TestRows(N))) is Level.PASS
    scores = read_scores(tmp_path / "s.zip")
    assert scores.ids.tolist() == ids.tolist()
    assert list(scores.columns) == ["Task2", "Task1&2"]
    assert (np.argsort(scores.columns["Task1&2"]) == np.argsort(logits)).all()


def test_scores_are_read_from_a_zip_with_bytes_around_it(tmp_path: Path) -> None:
    logits = np.random.default_rng(0).normal(size=N)
    write_submission(tmp_path / "s.zip", np.arange(N), {Task.BOTH: logits})
    expected = read_scores(tmp_path / "s.zip").columns["Task1&2"]
    (tmp_path / "s.zip").write_bytes(b"MZ" + (tmp_path / "s.zip").read_bytes() + b"!")
    assert worst(check_submission(tmp_path / "s.zip", test=TestRows(N))) is Level.FAIL
    assert read_scores(tmp_path / "s.zip").columns["Task1&2"].tolist() == expected.tolist()


def test_scores_are_read_from_a_bare_csv_in_any_order_of_ids(tmp_path: Path) -> None:
    (tmp_path / "s.csv").write_text("ID,Task1\r\n7,0.25\r\n3,-2\r\n")
    scores = read_scores(tmp_path / "s.csv")
    assert scores.ids.tolist() == [7, 3]
    assert scores.columns["Task1"].tolist() == [0.25, -2.0]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("ID,Task1\n0,0.5\n1,\n", "score-missing: 1 value missing; the first: '' in line 3, Task1"),
        ("ID,Task1\n0,0.5\n0,0.25\n", "id-unique: 1 row with an ID seen before"),
        ("ID,Task1\nx,0.5\n", "id-integer: 1 value not an integer"),
        ("ID,score\n0,0.5\n", "csv-columns: column 2 is 'score'"),
        ("ID,Task1\n", "expected rows"),
        ("Task1\n0.5\n", "csv-header: expected ID"),
        ("", "file-readable: expected"),
    ],
)
def test_unreadable_scores_are_a_data_error_of_one_line(
    tmp_path: Path, text: str, said: str
) -> None:
    (tmp_path / "s.csv").write_text(text)
    with pytest.raises(DataError) as caught:
        read_scores(tmp_path / "s.csv")
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_broken_zip_is_a_data_error_and_a_missing_file_wrong_usage(tmp_path: Path) -> None:
    (tmp_path / "s.zip").write_bytes(zipped(TABLE.encode())[:200])
    with pytest.raises(DataError, match="zip-format"):
        read_scores(tmp_path / "s.zip")
    with pytest.raises(UsageError, match="no submission file"):
        read_scores(tmp_path / "absent.zip")
