import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from mmctr_kit.data.contract import Task
from mmctr_kit.errors import DataError, UsageError
from mmctr_kit.submission.write import scores, write_submission

IDS = np.arange(4, dtype=np.int64)
LOGITS = np.array([-1.5, 0.0, 3.0, 0.25])

anything_finite = st.floats(allow_nan=False, allow_infinity=False)
crowded = st.builds(lambda at, steps: at + steps * 1e-12, st.floats(-50, 50), st.integers(0, 9))
saturating = st.floats(30, 1e6)


@settings(max_examples=300, deadline=None)
@given(
    st.one_of(
        hnp.arrays(np.float64, st.integers(1, 40), elements=anything_finite),
        hnp.arrays(np.float64, st.integers(1, 40), elements=crowded),
        hnp.arrays(np.float64, st.integers(1, 40), elements=saturating),
    )
)
def test_scores_lie_in_0_to_1_and_have_the_order_and_the_ties_of_the_logits(
    logits: np.ndarray,
) -> None:
    found = scores(logits)
    assert ((found >= 0) & (found <= 1)).all()
    rank = _ranks(logits)
    a, b = np.triu_indices(len(logits))
    assert (np.sign(found[a] - found[b]) == np.sign(rank[a] - rank[b])).all()


def _ranks(logits: np.ndarray) -> np.ndarray:
    """Dense ranks: differences of huge logits would overflow."""
    return np.unique(logits, return_inverse=True)[1]


@settings(max_examples=50, deadline=None)
@given(hnp.arrays(np.float64, st.integers(1, 40), elements=st.one_of(anything_finite, crowded)))
def test_the_written_text_reads_back_in_the_same_order(
    tmp_path_factory: pytest.TempPathFactory, logits: np.ndarray
) -> None:
    path = tmp_path_factory.mktemp("s") / "s.zip"
    write_submission(path, np.arange(len(logits)), {Task.BOTH: logits})
    read = pd.read_csv(path)
    assert list(read.columns) == ["ID", "Task1&2"]
    assert (_ranks(read["Task1&2"].to_numpy()) == _ranks(logits)).all()


def test_ordinary_logits_become_probabilities() -> None:
    assert scores(np.array([-2.0, 0.0, 2.0])) == pytest.approx(1 / (1 + np.exp([2.0, 0.0, -2.0])))


def test_a_large_logit_alone_is_no_reason_to_rescale() -> None:
    found = scores(np.array([-700.0, 0.5, 1.0]))
    assert found[0] == pytest.approx(np.exp(-700.0), rel=1e-12)
    assert found[1] == pytest.approx(1 / (1 + np.exp(-0.5)))


def test_saturated_logits_are_scaled_to_16_and_inseparable_ones_ranked() -> None:
    assert scores(np.array([-80.0, 40.0, 80.0])) == pytest.approx(
        1 / (1 + np.exp([16.0, -8.0, -16.0])), rel=1e-12
    )
    near = np.array([1e6, np.nextafter(1e6, 2e6), -1e6, -1e6])
    assert scores(near).tolist() == pytest.approx([3 / 6, 5 / 6, 1 / 6, 1 / 6])


def test_the_zip_holds_exactly_prediction_csv_with_the_columns_in_the_contracts_order(
    tmp_path: Path,
) -> None:
    path = tmp_path / "new" / "s.zip"
    write_submission(path, IDS, {Task.BOTH: -LOGITS, Task.TASK1: LOGITS})
    with zipfile.ZipFile(path) as archive:
        assert archive.namelist() == ["prediction.csv"]
        lines = archive.read("prediction.csv").decode().split("\n")
    assert lines[0] == "ID,Task1,Task1&2"
    assert lines[2] == "1,0.5,0.5"
    assert [float(line.split(",")[1]) for line in lines[1:5]] == scores(LOGITS).tolist()
    assert lines[5:] == [""]
    assert [p.name for p in path.parent.iterdir()] == ["s.zip"]


def test_the_same_input_gives_the_same_bytes_and_writing_again_is_allowed(tmp_path: Path) -> None:
    a, b = tmp_path / "a.zip", tmp_path / "b.zip"
    write_submission(a, IDS, {Task.TASK1: LOGITS})
    write_submission(b, IDS, {Task.TASK1: LOGITS})
    assert a.read_bytes() == b.read_bytes()
    before = a.stat().st_mtime_ns
    write_submission(a, IDS, {Task.TASK1: LOGITS})
    assert a.stat().st_mtime_ns == before


def test_another_file_is_overwritten_only_on_demand(tmp_path: Path) -> None:
    path = tmp_path / "s.zip"
    path.write_bytes(b"precious")
    with pytest.raises(UsageError, match="exists"):
        write_submission(path, IDS, {Task.TASK1: LOGITS})
    assert path.read_bytes() == b"precious"
    write_submission(path, IDS, {Task.TASK1: LOGITS}, overwrite=True)
    assert zipfile.is_zipfile(path)


@pytest.mark.parametrize(
    ("ids", "logits", "said"),
    [
        (IDS, np.array([0.0, np.nan, np.inf, 1.0]), "found 2 that are not, first nan for ID 1"),
        (IDS, LOGITS[:3], "expected 4 logits, one for each ID; found shape"),
        (IDS, LOGITS[:, None], "expected 4 logits"),
        (IDS + 1, LOGITS, "from 1 to 4"),
        (IDS[[0, 2, 1, 3]], LOGITS, "in order"),
        (IDS[:0], LOGITS[:0], "found 0 ids"),
    ],
)
def test_wrong_input_is_a_data_error_and_writes_nothing(
    tmp_path: Path, ids: np.ndarray, logits: np.ndarray, said: str
) -> None:
    with pytest.raises(DataError, match=said):
        write_submission(tmp_path / "s.zip", ids, {Task.TASK2: logits})
    assert not list(tmp_path.iterdir())


def test_no_columns_is_a_data_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="at least one task"):
        write_submission(tmp_path / "s.zip", IDS, {})


def test_a_path_that_cannot_be_a_submission_is_wrong_usage(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"\.zip"):
        write_submission(tmp_path / "s.csv", IDS, {Task.TASK1: LOGITS})
    (tmp_path / "folder.zip").mkdir()
    with pytest.raises(UsageError, match="is a folder"):
        write_submission(tmp_path / "folder.zip", IDS, {Task.TASK1: LOGITS}, overwrite=True)
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match="cannot write"):
        write_submission(tmp_path / "file" / "s.zip", IDS, {Task.TASK1: LOGITS})
