import math

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from mmctr_kit.ensemble.choice import required_of_best, select_method
from mmctr_kit.metrics.estimate import MIN_Z, Estimate, false_alarm, required_z


def gap(value, se=0.001):
    return Estimate(value, se, 100)


CLEAR = {"mean": 40.0}
THREE = required_z(3)


def test_the_mean_stays_unless_a_method_wins_by_enough():
    used, reason = select_method(
        CLEAR, {"rank": gap(-0.001), "greedy": gap(0.0024), "gbm": gap(0)}, THREE
    )
    assert used == "mean"
    assert reason == (
        "Kept the plain mean: greedy is +0.0024 ± 0.0010 over it, less than the 2.4 standard "
        "errors required after correcting for 3 methods."
    )
    used, reason = select_method(
        CLEAR, {"rank": gap(-0.001), "greedy": gap(0.0025), "gbm": gap(0)}, THREE
    )
    assert used == "greedy"
    assert reason == (
        "Chose greedy: OOF AUC +0.0025 ± 0.0010 over the plain mean (2.5 standard errors; "
        "2.4 required after correcting for 3 methods)."
    )


def test_the_best_method_that_passes_is_chosen():
    gaps = {"a": gap(0.01), "b": gap(0.05, 0.04), "c": gap(0.02)}
    used, reason = select_method(CLEAR, gaps, THREE)
    assert used == "c"
    assert reason.endswith(" methods). Higher, but by less than required: b.")


def test_an_unknown_standard_error_or_a_single_run_leaves_the_mean():
    assert select_method(CLEAR, {"a": gap(0.1, math.nan)}, MIN_Z)[0] == "mean"
    assert select_method(CLEAR, {}, MIN_Z)[0] == "mean"


def test_differences_do_not_count_if_nothing_is_clear_of_chance():
    noise = {"mean": -1.0, "a": 2.9}
    used, reason = select_method(noise, {"a": gap(0.039)}, MIN_Z)
    assert used == "mean"
    assert "3 standard errors above 0.5" in reason
    signal = noise | {"a": 3.1}
    assert select_method(signal, {"a": gap(0.041)}, MIN_Z)[0] == "a"


def test_one_method_is_one_and_not_1_methods():
    assert select_method(CLEAR, {"rank": gap(-0.001)}, MIN_Z)[1].endswith(
        "correcting for 1 method."
    )


@settings(max_examples=20, deadline=None)
@given(st.integers(2, 10), st.integers(0, 2**32 - 1))
def test_the_best_of_several_needs_no_less_than_one_and_no_more_than_bonferroni(count, seed):
    """And equals in truth pass it as often as one comparison passes its 2 standard errors."""
    rng = np.random.default_rng(seed)
    parts = rng.normal(size=(count, 3)) * rng.exponential(size=3)
    parts = np.hstack([parts, 0.1 * np.eye(count)])
    parts /= np.linalg.norm(parts, axis=1)[:, None]
    needed = required_of_best(parts @ parts.T)
    assert MIN_Z <= needed <= required_z(count)
    best = (rng.normal(size=(40_000, count + 3)) @ parts.T).max(axis=1)
    assert abs((best > needed).mean() - false_alarm(MIN_Z)) < 0.005


def test_copies_count_as_one_and_strangers_as_many():
    assert required_of_best(np.ones((1, 1))) == MIN_Z
    assert required_of_best(np.ones((5, 5))) < 2.03
    assert required_of_best(np.eye(5)) > required_z(5) - 0.03


def test_a_standard_error_that_cannot_be_had_is_said():
    reason = select_method(CLEAR, {"a": gap(0.1, math.nan)}, MIN_Z)[1]
    assert reason == (
        "Kept the plain mean: a is +0.1000 ± n/a over it, which cannot be judged without a "
        "standard error."
    )
    reason = select_method({"mean": math.nan, "a": math.nan}, {"a": gap(0.1)}, MIN_Z)[1]
    assert "the standard error of an OOF AUC cannot be had" in reason
