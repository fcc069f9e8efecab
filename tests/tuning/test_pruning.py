"""When a trial is given up."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmctr_kit.tuning.trial import PEERS, QUARTERS, below_peers, fold_end, step_of


@given(fold=st.integers(0, 9), epochs=st.integers(1, 40))
def test_a_fold_s_steps_ascend_and_stay_before_its_end(fold: int, epochs: int) -> None:
    steps = [step_of(fold, e, epochs) for e in range(1, epochs + 1)]
    told = [s for s in steps if s is not None]
    assert told == sorted(set(told))
    assert all(fold_end(fold) - QUARTERS < s < fold_end(fold) for s in told)
    assert steps[-1] is None  # the end is told when the fold's own rows are predicted


def test_trials_of_different_epochs_meet_at_the_quarters() -> None:
    steps = {
        epochs: [step_of(0, e, epochs) for e in range(1, epochs + 1)] for epochs in (1, 2, 4, 8)
    }
    assert steps[1] == [None]
    assert steps[2] == [2, None]
    assert steps[4] == [1, 2, 3, None]
    assert steps[8] == [None, 1, None, 2, None, 3, None, None]


def test_nothing_is_given_up_before_there_are_peers() -> None:
    assert below_peers(0.0, [0.9] * (PEERS - 1), ended=True) is None
    assert below_peers(0.0, [0.9] * PEERS, ended=True) is not None


@pytest.mark.parametrize(("value", "within", "end"), [(0.1, True, True), (0.4, False, True)])
def test_the_bar_is_lower_within_a_fold(value: float, within: bool, end: bool) -> None:
    peers = [0.2, 0.3, 0.5, 0.6, 0.7]
    assert (below_peers(value, peers, ended=False) is not None) == within
    assert (below_peers(value, peers, ended=True) is not None) == end
    assert below_peers(0.5, peers, ended=True) is None
