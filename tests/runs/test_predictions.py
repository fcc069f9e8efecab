"""Predictions are keyed by row, and a gap in them is an error."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmctr_kit.data.dataset import ChallengeData
from mmctr_kit.data.folds import UNPREDICTED, assign_folds, user_folds
from mmctr_kit.errors import RunError
from mmctr_kit.runs.predictions import Keys, Predictions, keys_of, predictions_for


@pytest.fixture
def found(tiny: ChallengeData) -> Predictions:
    rng = np.random.default_rng(0)
    sizes = (len(tiny.train), (3, len(tiny.valid)), (3, len(tiny.test)))
    oof, valid, test = (rng.normal(size=s) for s in sizes)
    return predictions_for(tiny, oof, user_folds(tiny.train.user_id, 3, 0), valid, test)


def test_predictions_carry_the_datas_keys_and_labels(
    found: Predictions, tiny: ChallengeData
) -> None:
    assert found.oof is not None
    np.testing.assert_array_equal(found.oof.keys.item_id, tiny.train.item_id)
    np.testing.assert_array_equal(found.oof.label, tiny.train.labels())
    np.testing.assert_array_equal(found.valid_label, tiny.valid.labels())
    np.testing.assert_array_equal(found.test_keys.user_id, tiny.test.user_id)
    assert len(found.valid_keys) == len(tiny.valid)


def test_the_mean_is_over_fold_models(found: Predictions) -> None:
    np.testing.assert_allclose(found.valid_mean(), sum(found.valid) / 3)
    np.testing.assert_allclose(found.test_mean(), sum(found.test) / 3)


@pytest.mark.parametrize("gap", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("part", ["oof", "valid", "test"])
def test_a_gap_is_an_error(found: Predictions, part: str, gap: float) -> None:
    assert found.oof is not None
    array = (found.oof.logit if part == "oof" else getattr(found, part)).copy()
    array.flat[-1] = gap
    changed = replace(found.oof, logit=array) if part == "oof" else array
    name = "OOF" if part == "oof" else part
    with pytest.raises(RunError, match=f"1 {name} prediction is missing or not finite"):
        replace(found, **{part: changed})


def test_predictions_without_oof_are_whole_too(tiny: ChallengeData) -> None:
    valid, test = np.zeros((1, len(tiny.valid))), np.zeros((1, len(tiny.test)))
    assert predictions_for(tiny, None, None, valid, test).oof is None


def test_left_out_valid_rows_leave_empty_arrays_of_every_fold(
    found: Predictions, tiny: ChallengeData
) -> None:
    assert found.has_valid
    bare = predictions_for(tiny, None, None, None, np.zeros((3, len(tiny.test))))
    assert not bare.has_valid
    assert bare.valid.shape == (3, 0)
    assert len(bare.valid_keys) == len(bare.valid_label) == len(bare.valid_mean()) == 0


@pytest.mark.parametrize("part", ["oof", "fold", "valid", "test"])
def test_a_digest_covers_every_logit(found: Predictions, part: str) -> None:
    oof = found.oof
    assert oof is not None
    assert replace(found, test=found.test.copy()).digest() == found.digest()
    if part in ("valid", "test"):
        array = getattr(found, part).copy()
        array[-1, -1] = np.nextafter(array[-1, -1], 9.0)
        changed = replace(found, **{part: array})
    elif part == "oof":
        changed = replace(found, oof=replace(oof, logit=oof.logit + 1e-15))
    else:
        changed = replace(found, oof=replace(oof, fold=(oof.fold + 1).astype(np.int16)))
    assert changed.digest() != found.digest()
    assert replace(found, oof=None).digest() != found.digest()


def test_keys_are_ordered_by_user_then_item_then_occurrence() -> None:
    user, item, occurrence = np.array([2, 1, 1, 1]), np.array([1, 2, 2, 1]), np.array([0, 1, 0, 5])
    keys = Keys(user, item.astype(np.int32), occurrence.astype(np.int32))
    assert keys.order().tolist() == [3, 2, 1, 0]


@given(st.lists(st.tuples(*[st.integers(0, 2)] * 3), max_size=5))
def test_keys_are_ordered_if_to_sort_them_moves_none(rows: list[tuple[int, int, int]]) -> None:
    user, item, occurrence = np.array(rows, np.int64).reshape(-1, 3).T
    keys = Keys(user, item.astype(np.int32), occurrence.astype(np.int32))
    assert keys.ordered == (rows == sorted(rows))
    assert keys.take(keys.order()).ordered


def test_train_and_valid_rows_are_loaded_in_the_order_of_their_keys(tiny: ChallengeData) -> None:
    for rows in (tiny.train, tiny.valid):
        assert (np.diff(keys_of(rows).order()) == 1).all()


def test_rows_that_nobody_predicts_are_no_oof_rows_and_have_no_fold(
    timed: ChallengeData,
) -> None:
    fold, rng = assign_folds(timed.train, "time", 3, 0), np.random.default_rng(0)
    oof = np.where(fold == UNPREDICTED, np.nan, rng.normal(size=len(fold)))
    valid, test = (rng.normal(size=(3, len(r))) for r in (timed.valid, timed.test))
    found = predictions_for(timed, oof, fold, valid, test).oof
    assert found is not None
    np.testing.assert_array_equal(found.logit, oof[fold >= 0])
    np.testing.assert_array_equal(found.label, timed.train.labels()[fold >= 0])
    np.testing.assert_array_equal(found.folds_of(timed.train), fold)
    assert not found.by_user
    keys = replace(found.keys, occurrence=found.keys.occurrence + 1)
    with pytest.raises(RunError, match="OOF rows are not the data's"):
        replace(found, keys=keys).folds_of(timed.train)


def test_folds_by_user_are_told_from_others(found: Predictions, tiny: ChallengeData) -> None:
    assert found.oof is not None
    assert found.oof.by_user
    np.testing.assert_array_equal(found.oof.folds_of(tiny.train), found.oof.fold)
    by_item = assign_folds(tiny.train, "item", 3, 0)
    assert not replace(found.oof, fold=by_item).by_user
