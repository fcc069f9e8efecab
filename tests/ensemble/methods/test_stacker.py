import lightgbm
import numpy as np
import pytest

from mmctr_kit.ensemble.methods import stacker
from mmctr_kit.ensemble.methods.average import WeightedMean
from mmctr_kit.ensemble.methods.stacker import Stacker
from mmctr_kit.ensemble.stack import OofRows
from mmctr_kit.metrics.auc import auc, rank_correlation, tied_share

ROWS = 8000
EQUAL = WeightedMean.equal(2)
USER = np.repeat(np.arange(ROWS // 4), 4)


def oof(logits, label, context=None):
    fold = np.zeros(len(label), np.int16)
    return OofRows(logits, fold, context, label=label, user=USER)


def runs(seed=0, rows=ROWS):
    """Two runs, the second useful only where the first is unsure, and labels."""
    rng = np.random.default_rng(seed)
    label = rng.random(rows) < 0.25
    first = 1.5 * label + rng.normal(size=rows)
    second = np.where(np.abs(first) < 1.0, 2.0 * label, 0.0) + rng.normal(size=rows)
    return np.stack([first, second]), label


def test_it_never_falls_where_a_run_rises():
    logits, label = runs()
    fitted = Stacker.fit(oof(logits, label), EQUAL, 0)
    rng = np.random.default_rng(1)
    higher = logits + rng.exponential(size=logits.shape) * (rng.random(logits.shape) < 0.5)
    moved = (higher > logits).any(axis=0)
    assert (fitted.apply(higher)[moved] > fitted.apply(logits)[moved]).all()


def test_with_context_it_still_never_falls_where_a_run_rises():
    logits, label = runs()
    rng = np.random.default_rng(2)
    context = (label + rng.normal(size=(2, ROWS))).astype(np.float32)
    fitted = Stacker.fit(oof(logits, label, context), EQUAL, 0)
    higher = logits + rng.exponential(size=logits.shape)
    assert (fitted.apply(higher, context) > fitted.apply(logits, context)).all()
    assert auc(label, fitted.apply(logits, context)) > 0.01 + auc(
        label, Stacker.fit(oof(logits, label), EQUAL, 0).apply(logits)
    )


def test_it_ties_nothing_and_stays_finite_far_outside_oof():
    logits, label = runs()
    fitted = Stacker.fit(oof(logits, label), EQUAL, 0)
    assert tied_share(fitted.apply(logits)) == 0.0
    assert np.isfinite(fitted.apply(1e6 * logits)).all()


def test_it_learns_what_the_mean_misses():
    logits, label = runs()
    later, later_label = runs(1, 40_000)
    fitted = Stacker.fit(oof(logits, label), EQUAL, 0)
    assert auc(later_label, fitted.apply(later)) > auc(later_label, later.mean(axis=0)) + 0.002


def test_the_old_trap_a_deep_forest_on_one_oof_column_overfits_and_the_stacker_cannot():
    logits, label = runs()
    later, later_label = runs(1, 40_000)
    column, new = logits[:1], later[:1]
    deep = lightgbm.train(
        {
            "objective": "binary",
            "num_leaves": 255,
            "min_data_in_leaf": 1,
            "verbosity": -1,
            "num_threads": 1,
        },
        lightgbm.Dataset(column.T, label=label.astype(np.float32)),
        100,
    )
    alone = auc(later_label, new[0])
    fitted = Stacker.fit(oof(column, label), WeightedMean.equal(1), 0)
    assert auc(label, deep.predict(column.T)) > auc(label, column[0]) + 0.01
    assert auc(later_label, deep.predict(new.T)) < alone - 0.01
    assert rank_correlation(fitted.apply(new), new[0]) == pytest.approx(1.0, abs=1e-12)


def test_equal_seeds_give_equal_bits():
    logits, label = runs()
    np.testing.assert_array_equal(
        Stacker.fit(oof(logits, label), EQUAL, 3).apply(logits),
        Stacker.fit(oof(logits, label), EQUAL, 3).apply(logits),
    )


def test_of_very_many_rows_whole_users_are_drawn(monkeypatch):
    logits, label = runs()
    whole = Stacker.fit(oof(logits, label), EQUAL, 0)
    monkeypatch.setattr(stacker, "FIT_ROWS", ROWS // 2)
    part = Stacker.fit(oof(logits, label), EQUAL, 0)
    assert part.line != whole.line
    assert rank_correlation(part.apply(logits), whole.apply(logits)) > 0.99
