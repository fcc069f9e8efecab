"""The closed-form oracle against enumeration and against drawn labels."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmctr_kit.datasets.synth.oracle import group_log_odds, power_sums, row_log_odds
from mmctr_kit.metrics.auc import auc
from tests.datasets.synth.made import demo_users, enumerated_log_odds


@settings(max_examples=40, deadline=None)
@given(
    masses=st.lists(st.floats(0.02, 1.0), min_size=14, max_size=14),
    past=st.sets(st.integers(0, 6), max_size=3),
)
def test_the_closed_form_equals_enumeration_on_seven_items(
    masses: list[float], past: set[int]
) -> None:
    p, q = np.array(masses[:7]) / sum(masses[:7]), np.array(masses[7:]) / sum(masses[7:])
    h = sorted(past)
    outside = power_sums(p[None], q[None]) - power_sums(p[None, h], q[None, h])
    shown = [i for i in range(7) if i not in past][:4]
    rows = row_log_odds(p[None, shown], q[None, shown], outside)[0]
    assert rows == pytest.approx([enumerated_log_odds(p, q, past, [i])[0] for i in shown])
    for m in (2, 3, 4):
        group = group_log_odds(p[None, shown[:m]], q[None, shown[:m]], outside)[0]
        assert group == pytest.approx(enumerated_log_odds(p, q, past, shown[:m]))


@pytest.mark.parametrize("oracle", ["log_odds", "group_log_odds"])
def test_the_oracles_probabilities_are_those_of_the_drawn_labels(oracle: str) -> None:
    users = demo_users()
    p = 1 / (1 + np.exp(-getattr(users, oracle)))
    for part in np.array_split(np.argsort(p), 12):
        error = np.sqrt((p[part] * (1 - p[part])).sum())
        assert abs(users.label[part].sum() - p[part].sum()) < 4 * error


def test_the_group_oracle_gives_each_user_one_positive_and_beats_the_row_oracle() -> None:
    users = demo_users()
    p = 1 / (1 + np.exp(-users.group_log_odds.reshape(-1, 4)))
    assert p.sum(axis=1) == pytest.approx(1.0)
    assert auc(users.label, users.group_log_odds) > auc(users.label, users.log_odds) + 0.02
