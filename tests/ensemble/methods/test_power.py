import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmctr_kit.ensemble.methods.power import EXPONENTS, PowerMean
from mmctr_kit.ensemble.stack import OofRows
from mmctr_kit.metrics.calibration import sigmoid

ALL = (1.0, *EXPONENTS)


@pytest.mark.parametrize("exponent", ALL)
def test_it_is_the_logit_of_the_power_mean_of_probabilities(exponent):
    logits = np.random.default_rng(0).normal(size=(3, 500)) * 3.0
    wanted = (sigmoid(logits) ** exponent).mean(axis=0) ** (1.0 / exponent)
    np.testing.assert_allclose(sigmoid(PowerMean(exponent).apply(logits)), wanted, rtol=1e-10)


@pytest.mark.parametrize("exponent", ALL)
@given(
    low=st.lists(st.floats(-690, 690), min_size=2, max_size=5),
    rise=st.floats(0.5, 50),
)
@settings(deadline=None)
def test_it_lies_between_its_runs_and_rises_with_all_of_them(exponent, low, rise):
    logits = np.array(low)[:, None]
    mean = PowerMean(exponent)
    out = mean.apply(logits)[0]
    slack = 1e-6 * (1.0 + np.abs(logits).max())
    assert logits.min() - slack <= out <= logits.max() + slack
    assert mean.apply(np.minimum(logits + rise, 699.0))[0] > out - slack


@pytest.mark.parametrize("exponent", ALL)
def test_one_run_alone_and_the_order_of_runs_change_nothing(exponent):
    rng = np.random.default_rng(1)
    logits = rng.normal(size=(4, 300)) * 20.0
    mean = PowerMean(exponent)
    np.testing.assert_allclose(mean.apply(logits[:1]), logits[0], rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(mean.apply(logits[::-1]), mean.apply(logits), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("exponent", ALL)
def test_it_is_finite_beyond_what_a_probability_can_say(exponent):
    logits = np.array([[1e6, -1e6, 800.0], [900.0, -2e6, -900.0]])
    assert np.isfinite(PowerMean(exponent).apply(logits)).all()


def test_the_exponent_is_the_one_that_ranks_best():
    """Two runs of which each is silent on half of the positives: the highest should decide."""
    rng = np.random.default_rng(2)
    rows = 20_000
    label = rng.random(rows) < 0.25
    by_first = rng.random(rows) < 0.5
    logits = np.stack(
        [np.where(by_first == first, 4.0 * label, 0.0) + rng.normal(size=rows) for first in (0, 1)]
    )
    user, fold = np.arange(rows), (np.arange(rows) % 3).astype(np.int16)
    assert PowerMean.choose(OofRows(logits, fold, label=label, user=user), 0).exponent == max(
        EXPONENTS
    )
    mirrored = PowerMean.choose(OofRows(-logits, fold, label=~label, user=user), 0)
    assert mirrored.exponent == min(EXPONENTS)
