from dataclasses import replace

import numpy as np
import pytest

from mmctr_kit.ensemble.stack import Stack
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
    ("change", "message"),
    [
        ({"names": (), "oof": np.zeros((0, 6)), "valid": np.zeros((0, 2, 3))}, "at least one run"),
        ({"names": ("a", "a")}, "once"),
        ({"valid": np.zeros((2, 3))}, "valid logits must have shape"),
        ({"valid": np.zeros((1, 2, 3))}, "valid logits must have shape"),
        ({"test": np.zeros((2, 3, 4))}, "test logits must have shape"),
        ({"oof": np.zeros((2, 5))}, "OOF logits must have shape"),
        ({"oof": np.zeros((1, 6))}, "OOF logits must have shape"),
        ({"user": np.arange(5)}, "OOF logits must have shape"),
        ({"item": np.arange(5)}, "OOF logits must have shape"),
        ({"label": np.array([0, 1, 0, 2, 0, 1])}, "0 or 1"),
        ({"fold": np.array([0, 0, 1, 1, 2, 2])}, "0..1"),
        ({"fold": np.array([0, 0, -1, -1, 1, 1])}, "0..1"),
        ({"label": np.array([0, 0, 0, 1, 0, 1])}, "fold 0 lacks one"),
    ],
)
def test_what_does_not_match_is_refused_in_one_line(change, message):
    with pytest.raises(RunError, match=message) as caught:
        replace(stack(), **change)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize("field", ["oof", "valid", "test"])
def test_a_gap_is_an_error_that_names_the_run_and_counts(field, bad):
    logits = getattr(stack(), field).copy()
    logits[1].flat[[0, 2]] = bad
    with pytest.raises(RunError, match=r"2 gaps .* run 'b'"):
        replace(stack(), **{field: logits})


def test_without_oof_the_rows_are_not_looked_at():
    empty = np.zeros(0, dtype=np.int64)
    bare = replace(stack(), oof=None, label=empty, user=empty, item=empty, fold=empty)
    assert bare.runs == 2
