"""mmctr_kit.metrics.estimate: a value with its standard error, as text, as JSON, over seeds."""

import doctest
import json
import math
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from mmctr_kit.metrics import estimate
from mmctr_kit.metrics.estimate import Estimate, mean_estimate, recipe_estimate, required_z


def test_the_examples_of_the_docstrings_are_true():
    assert doctest.testmod(estimate).failed == 0


def test_estimates_print_and_compare_as_a_reader_expects():
    assert str(Estimate(0.93061, 0.00241, 10)) == "0.9306 ± 0.0024"
    assert str(Estimate(0.930612, 0.0000412, 10)) == "0.93061 ± 0.00004"
    assert Estimate(0.0003, 0.0004, 10).signed() == "+0.0003 ± 0.0004"
    assert Estimate(0.93061, 0.00241, 10).compact() == "0.9306 ±.0024"
    assert Estimate(-0.0003, 0.0004, 10).compact(signed=True) == "-0.0003 ±.0004"
    assert Estimate(0.9306, 0.0024, 10).percent() == "93.1 ± 0.2 %"
    assert Estimate(0.00012, 0.00002, 10).percent() == "0.012 ± 0.002 %"
    assert Estimate(0.56, 0.02, 10).z(0.5) == pytest.approx(3.0)
    assert Estimate(0.5, 0.0, 10).z(0.5) == 0.0
    assert Estimate(0.6, 0.0, 10).z(0.5) == math.inf
    assert not Estimate(0.6, math.nan, 10).z(0.5) > 2


@given(st.floats(-1, 1), st.floats(2e-9, 1) | st.sampled_from([0.0, math.inf, math.nan]))
def test_no_text_of_an_estimate_shows_nan_or_a_standard_error_of_zeros(value, se):
    estimate = Estimate(value, se, 10)
    texts = (str(estimate), estimate.signed(), estimate.compact(), estimate.percent())
    for text in (text.removesuffix(" %") for text in texts):
        shown = text.partition("±")[2].strip()
        if not math.isfinite(se):
            assert shown == "n/a"
        elif se == 0:
            assert shown == "0" or (shown == "n/a" and value in (0, 1))
        else:
            assert float(shown) > 0
    assert (estimate.z_text() == "n/a") or abs(float(estimate.z_text()) - estimate.z(0)) < 0.06
    assert Estimate(value, math.nan, 10).z_text() == "n/a"


def test_more_decimals_are_shown_only_as_the_standard_error_shrinks():
    lengths = [len(str(Estimate(0.5, 10.0**-k, 1))) for k in range(1, 9)]
    assert all(a <= b for a, b in pairwise(lengths))
    assert lengths[0] == lengths[3] < lengths[4]


SHARES = st.floats(0.0, 1.0)
ERRORS = st.floats(0.0, 1e300) | st.just(math.inf)


@given(SHARES, ERRORS)
def test_the_interval_of_an_auc_holds_it_and_stays_between_0_and_1(value: float, se: float):
    low, high = Estimate(value, se, 9).share_interval()
    assert 0.0 <= low <= value + 1e-9
    assert value - 1e-9 <= high <= 1.0


def test_a_narrow_interval_of_an_auc_is_the_usual_one_and_an_unknown_one_is_unknown():
    auc = Estimate(0.9306, 0.0004, 9)
    assert auc.share_interval() == pytest.approx(auc.interval(), abs=1e-5)
    assert auc.interval() == pytest.approx((0.9298, 0.9314), abs=1e-4)
    for end in (
        *Estimate(0.9, math.nan, 9).share_interval(),
        *Estimate(1.0, math.nan, 9).interval(),
    ):
        assert math.isnan(end)


FINITE = st.floats(allow_nan=False, allow_infinity=False)


@given(FINITE, FINITE, st.integers(0, 10**9))
def test_json_gives_back_the_same_estimate(value, se, n):
    text = json.dumps(Estimate(value, se, n).to_json(), allow_nan=False)
    assert Estimate.from_json(json.loads(text)) == Estimate(value, se, n)


def test_an_unknown_standard_error_is_null_in_json_and_comes_back_as_nan():
    stored = Estimate(0.5, math.nan, 3).to_json()
    assert stored == {"value": 0.5, "error": None, "n": 3}
    assert math.isnan(Estimate.from_json(stored).se)


def test_an_absent_or_null_estimate_is_none():
    stored = {"oof": None, "valid": {"value": 0.5, "error": 0.1, "n": 3}}
    assert Estimate.find(stored, "oof") is None
    assert Estimate.find(stored, "recipe_oof") is None
    assert Estimate.find(stored, "valid") == Estimate(0.5, 0.1, 3)


def test_the_mean_of_correlated_estimates_has_their_mean_standard_error():
    assert mean_estimate([Estimate(0.5, 0.25, 8), Estimate(1.0, 0.75, 8)]) == Estimate(0.75, 0.5, 8)


def test_a_recipes_standard_error_adds_the_spread_of_its_seeds():
    found = recipe_estimate([Estimate(v, 0.003, 100) for v in (0.92, 0.94, 0.93)])
    assert found.value == pytest.approx(0.93)
    assert found.se == pytest.approx(math.sqrt(0.003**2 + 0.01**2 / 3))
    assert math.isnan(recipe_estimate([Estimate(0.93, 0.003, 100)]).se)


def test_more_comparisons_require_more_standard_errors_at_the_same_chance():
    assert required_z(1) == pytest.approx(2.0)
    assert required_z(3) == pytest.approx(stats.norm.isf(stats.norm.sf(2.0) / 3))
    assert required_z(3) == pytest.approx(2.43, abs=0.01)


@pytest.mark.parametrize("value", [0.0, 0.5, 1.0])
def test_a_share_without_a_standard_error_has_no_interval(value: float) -> None:
    low, high = Estimate(value, math.nan, 10).share_interval()
    assert math.isnan(low)
    assert math.isnan(high)
