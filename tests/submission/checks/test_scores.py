import numpy as np
import pytest

from mmctr_kit.audit.findings import Finding, Level, Log
from mmctr_kit.submission.checks.catalog import CHECKS
from mmctr_kit.submission.checks.scores import check_scores
from mmctr_kit.submission.reading.table import SubmissionTable

N = 4_000
LOGIT = np.random.default_rng(0).normal(size=N) * 3
SCORE = 1 / (1 + np.exp(-LOGIT))


def check(**columns: np.ndarray) -> dict[str, Finding]:
    n = len(next(iter(columns.values())))
    log = Log(CHECKS)
    check_scores(SubmissionTable(None, columns, np.arange(2, 2 + n), n), log, (0.0, 1.0))
    return {f.id: f for f in log.findings()}


def doubts(**columns: np.ndarray) -> dict[str, str]:
    return {i: f.what for i, f in check(**columns).items() if f.level is not Level.PASS}


def test_probabilities_raise_no_doubt() -> None:
    assert doubts(Task1=SCORE, Task2=SCORE**2) == {}


@pytest.mark.parametrize(
    ("column", "looks"),
    [
        (LOGIT, "logits"),
        (np.log(SCORE), "log-probabilities"),
        (SCORE * 100, "percent"),
        (np.argsort(SCORE).astype(float), "ranks"),
        (SCORE * (1 + 1e-7) / SCORE.max(), "a rounding error?"),
        (SCORE - 0.3, "scale the scores into [0, 1]"),
        (SCORE + 0.2, "scale the scores into [0, 1]"),
    ],
)
def test_values_outside_0_to_1_fail_with_what_they_look_like(
    column: np.ndarray, looks: str
) -> None:
    found = check(Task1=column)["score-range"]
    assert found.level is Level.FAIL
    assert looks in found.todo


def test_range_names_the_first_offender_and_ignores_what_could_not_be_read() -> None:
    column = SCORE.copy()
    column[[7, 9]] = 1.5, -0.25
    column[3] = np.nan
    assert doubts(Task1=column) == {
        "score-range": "Task1: expected values in [0, 1]; 2 values outside (least -0.25, largest "
        "1.5), first 1.5 in line 9"
    }


@pytest.mark.parametrize("value", [1.0000001, -1e-9, 1 + 2**-52])
def test_a_value_just_outside_is_shown_with_the_digits_that_tell(value: float) -> None:
    column = SCORE.copy()
    column[0] = value
    found = check(Task1=column)["score-range"]
    assert f"first {value!r} in line 2" in found.what
    assert found.todo == "a rounding error? clip values to [0, 1]"


def test_a_constant_column_is_a_placeholder_only_beside_one_that_varies() -> None:
    zero, half = np.zeros(N), np.full(N, 0.5)
    found = check(Task1=zero, Task2=SCORE)["score-constant"]
    assert found.level is Level.PASS
    assert "Task1 constant" in found.what
    assert doubts(Task1=zero, Task2=half) == {
        "score-constant": "expected scores; Task1 is 0 everywhere, Task2 is 0.5 everywhere"
    }


@pytest.mark.parametrize(
    ("column", "why"),
    [
        (1 / (1 + np.exp(-(LOGIT * 6).astype(np.float32))), "where a float32 sigmoid saturates"),
        ((SCORE**8).round(3), "no score has more than 3 digits: rounded"),
        (SCORE.round(3), "no score has more than 3 digits: rounded"),
        (np.tile(SCORE[:100].astype(np.float32).astype(float), 40), "the scores are float32"),
        (
            np.array([float(str(v)) for v in np.tile(SCORE[:100].astype(np.float32), 40)]),
            "the scores are float32",
        ),
        (
            np.array([float(f"{v:.6e}") for v in np.tile(SCORE[:100], 40)]),
            "no score has more than 7 digits: rounded when written",
        ),
        (np.tile(SCORE[:100], 40), "the model cannot distinguish"),
    ],
)
def test_tied_scores_are_a_doubt_with_its_reason(column: np.ndarray, why: str) -> None:
    found = doubts(Task1=column)
    assert list(found) == ["score-ties"]
    assert why in found["score-ties"]


def test_up_to_one_percent_of_tied_rows_is_no_doubt() -> None:
    column = SCORE.copy()
    column[:40] = 0.5
    assert doubts(Task1=column) == {}
    column[40] = 0.5
    assert "1.0% of the rows" in doubts(Task1=column)["score-ties"]


def test_hard_labels_are_named_once_and_not_as_ties() -> None:
    assert doubts(Task1=(SCORE > 0.5).astype(float)) == {
        "score-hard-labels": f"Task1 holds only 0 and 1 ({(SCORE > 0.5).mean():.1%} ones): labels, "
        "not scores"
    }


def test_equal_columns_are_a_remark_but_equal_placeholders_are_not() -> None:
    columns = {"Task1": SCORE, "Task2": 1 - SCORE, "Task1&2": SCORE}
    assert doubts(**columns) == {}
    assert check(**columns)["score-identical"].what.startswith(
        "Task1 and Task1&2 hold the same scores"
    )
    found = check(Task1=np.zeros(N), Task2=np.zeros(N), both=SCORE)
    assert found["score-identical"].what == "no two columns"


@pytest.mark.parametrize(("sign", "said"), [(1, "rises"), (-1, "falls")])
def test_scores_that_follow_the_id_are_a_doubt(sign: int, said: str) -> None:
    column = np.sort(SCORE)[::sign]
    assert said in doubts(Task1=column)["score-sorted"]
    assert doubts(Task1=column[:: N // 500]) == {}  # too few rows to suspect anything


def test_unreadable_columns_and_empty_tables_are_left_to_other_checks() -> None:
    assert doubts(Task1=np.full(N, np.nan)) == {}
    assert check(Task1=np.zeros(0)) == {}
