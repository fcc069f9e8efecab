"""What study.json says of trials: their states, and which key matters."""

from typing import Any

import optuna
import pytest
from optuna.distributions import FloatDistribution
from optuna.trial import FrozenTrial, TrialState, create_trial

from mmctr_kit.tuning.folder import REFUSED
from mmctr_kit.tuning.summary import importance, state_of, states

UNIT = FloatDistribution(0.0, 1.0)


def trial(state: TrialState = TrialState.COMPLETE, **parts: Any) -> FrozenTrial:
    value = parts.pop("value", 0.5) if state == TrialState.COMPLETE else None
    return create_trial(state=state, value=value, **parts)


def study(values: list[float]) -> optuna.Study:
    """Trials whose value is their parameter ``x``; ``y`` means nothing."""
    made = optuna.create_study(direction="maximize")
    for i, x in enumerate(values):
        params = {"x": x, "y": (i * 7 % 10) / 10}
        made.add_trial(trial(value=x, params=params, distributions={"x": UNIT, "y": UNIT}))
    return made


@pytest.mark.parametrize(
    ("made", "state"),
    [
        (trial(), "complete"),
        (trial(TrialState.PRUNED), "pruned"),
        (trial(TrialState.PRUNED, user_attrs={REFUSED: "too wide"}), "refused"),
        (trial(TrialState.FAIL), "failed"),
        (trial(TrialState.RUNNING), "running"),
    ],
)
def test_a_refused_trial_is_told_from_a_pruned_one(made: FrozenTrial, state: str) -> None:
    assert state_of(made) == state


def test_trials_are_counted_by_state() -> None:
    trials = [{"state": s} for s in ("complete", "pruned", "complete")]
    assert states(trials) == {"complete": 2, "pruned": 1}


def test_the_key_that_decides_is_the_most_important() -> None:
    shares = importance(study([i / 20 for i in range(20)]))
    assert list(shares) == ["x", "y"]
    assert sum(shares.values()) == pytest.approx(1.0)
    assert shares["x"] > 0.8


@pytest.mark.parametrize("values", [[0.1, 0.2, 0.3], [0.5] * 6])
def test_few_trials_or_equal_ones_show_no_importance(values: list[float]) -> None:
    assert importance(study(values)) == {}
