from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from mmctr_kit.data.dataset import ChallengeData, Rows
from mmctr_kit.data.ragged import Ragged
from mmctr_kit.ensemble.stack import FEATURES, Stack, context_of
from mmctr_kit.errors import RunError


def stack():
    return Stack(
        names=("a", "b"),
        oof=np.arange(12.0).reshape(2, 6),
        label=np.array([0, 1, 0, 1, 0, 1]),
        user=np.array([1, 1, 2, 2, 3, 3]),
        item=np.array([7, 8, 7, 8, 9, 9]),
        fold=np.array([0, 0, 1, 1, 1, 1], dtype=np.int16),
        valid=np.zeros((2, 2, 3)),
        test=np.zeros((2, 2, 4)),
    )


def test_a_matching_stack_knows_its_size():
    assert (stack().runs, stack().folds) == (2, 2)


@pytest.mark.parametrize(
    "change",
    [
        {"names": ("a",)},
        {"valid": np.zeros((1, 2, 3))},
        {"test": np.zeros((2, 3, 4))},
        {"oof": np.zeros((2, 5))},
        {"oof": np.zeros((1, 6))},
        {"user": np.arange(5)},
        {"item": np.arange(5)},
        {"fold": np.array([0, 0, 1, 1, 2, 2])},
        {"fold": np.array([0, 0, -1, -1, 1, 1])},
    ],
)
def test_what_does_not_match_is_refused_in_one_line(change):
    with pytest.raises(RunError, match=r"runs .* do not fit each other") as caught:
        replace(stack(), **change)
    assert "\n" not in str(caught.value)


def test_without_oof_the_rows_are_not_looked_at():
    empty = np.zeros(0, dtype=np.int64)
    bare = {"oof": None, "label": empty, "user": empty, "item": empty, "fold": empty}
    assert replace(stack(), **bare, without_oof=("a",)).runs == 2
    with pytest.raises(RunError, match="do not fit each other"):
        replace(stack(), **bare)


def rows_of(item, history, label):
    n = len(item)
    user = np.arange(n) // 2
    small = np.arange(1, n + 1, dtype=np.int8)
    return Rows(
        user,
        np.asarray(item, np.int32),
        np.zeros(n, np.int32),
        small,
        small + 1,
        np.asarray(history, np.int32),
        label,
    )


def data():
    """Four train rows of items 1, 1, 1, 2 in folds 0, 0, 1, 1; histories of 3 and 1 items."""
    label = np.array([1, 0, 0, 1], np.int8)
    return ChallengeData(
        Path("nowhere"),
        {
            "train": rows_of([1, 1, 1, 2], [0, 0, 1, 1], label),
            "valid": rows_of([2, 3], [0, 1], label[:2]),
            "test": rows_of([1], [1], None),
        },
        Ragged(np.array([1, 2, 3, 4], np.int32), np.array([0, 3, 4])),
        np.zeros((5, 1), np.int32),
        np.zeros((5, 1), np.float32),
        "rows",
        "context",
    )


def test_each_row_has_its_levels_its_history_and_how_popular_its_item_is_elsewhere():
    found = context_of(data(), np.array([0, 0, 1, 1], np.int16))
    assert found.oof.shape == (len(FEATURES), 4)
    np.testing.assert_array_equal(found.oof[0], [1, 2, 3, 4])
    np.testing.assert_array_equal(found.oof[1], [2, 3, 4, 5])
    np.testing.assert_allclose(found.oof[2], np.log1p([3, 3, 1, 1]), rtol=1e-6)
    # Item 1 is once in the other fold of rows 0 and 1, twice in that of row 2; item 2 nowhere.
    np.testing.assert_allclose(np.expm1(found.oof[3]), [2, 2, 4, 0], rtol=1e-6)


def test_valid_and_test_see_in_each_fold_what_its_oof_rows_saw():
    found = context_of(data(), np.array([0, 0, 1, 1], np.int16))
    assert (found.valid.shape, found.test.shape) == ((2, 4, 2), (2, 4, 1))
    np.testing.assert_allclose(np.expm1(found.valid[:, 3]), [[2, 0], [0, 0]], rtol=1e-6)
    np.testing.assert_allclose(np.expm1(found.test[:, 3]), [[2], [4]], rtol=1e-6)
    np.testing.assert_allclose(found.test[0, 2], np.log1p([1]), rtol=1e-6)


def test_with_folds_by_time_popularity_counts_what_came_before():
    """Row 0 is predicted by nobody; the model of fold 0 saw it alone, that of fold 1 two rows."""
    timed = data()
    train = replace(timed.train, time=np.array([1, 2, 3, 3]))
    timed = replace(timed, rows={**timed.rows, "train": train})
    found = context_of(timed, np.array([-1, 0, 1, 1], np.int16))
    assert found.oof.shape == (len(FEATURES), 3)
    np.testing.assert_array_equal(found.oof[0], [2, 3, 4])
    np.testing.assert_allclose(np.expm1(found.oof[3]), [4 * 1, 2 * 2, 0], rtol=1e-6)
    np.testing.assert_allclose(np.expm1(found.test[:, 3]), [[4 * 1], [2 * 2]], rtol=1e-6)
