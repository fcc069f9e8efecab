import math

import pytest
from scipy import stats

from mmctr_kit.ensemble.select import choose
from mmctr_kit.metrics.chance import errors_needed
from mmctr_kit.metrics.estimate import Estimate


def gap(value, error=0.001):
    return Estimate(value, error, 100)


CLEAR = {"mean": 40.0}


def test_more_methods_need_more_errors_at_the_same_chance():
    assert errors_needed(1) == pytest.approx(2.0)
    assert errors_needed(3) == pytest.approx(stats.norm.isf(stats.norm.sf(2.0) / 3))
    assert errors_needed(3) == pytest.approx(2.43, abs=0.01)


def test_the_mean_stays_unless_a_method_wins_by_enough():
    used, reason = choose(
        CLEAR, {"rank": gap(-0.001), "greedy": gap(0.0024), "gbm": gap(0)}, "mean"
    )
    assert used == "mean"
    assert reason == "mean: greedy +0.0024 ± 0.0010, under the 2.4 errors needed for 3 methods"
    used, reason = choose(
        CLEAR, {"rank": gap(-0.001), "greedy": gap(0.0025), "gbm": gap(0)}, "mean"
    )
    assert used == "greedy"
    assert "greedy: +0.0025 ± 0.0010 over mean, above the 2.4 errors" in reason


def test_the_best_of_those_that_pass_is_taken():
    used, _ = choose(CLEAR, {"a": gap(0.01), "b": gap(0.05, 0.04), "c": gap(0.02)}, "mean")
    assert used == "c"


def test_an_unknown_error_or_nothing_tried_leaves_the_mean():
    assert choose(CLEAR, {"a": gap(0.1, math.nan)}, "mean")[0] == "mean"
    assert choose(CLEAR, {}, "mean")[0] == "mean"


def test_where_nothing_is_clear_of_chance_differences_are_not_looked_at():
    noise = {"mean": -1.0, "a": 2.9}
    used, reason = choose(noise, {"a": gap(0.039)}, "mean")
    assert used == "mean"
    assert "3 errors above 0.5" in reason
    signal = noise | {"a": 3.1}
    assert choose(signal, {"a": gap(0.041)}, "mean")[0] == "a"


def test_one_method_is_one_and_not_1_methods():
    assert choose(CLEAR, {"rank": gap(-0.001)}, "mean")[1].endswith("errors needed for 1 method")
