"""mmctr_kit.audit.profile.measurement: p-values, their tolerance and their correction."""

import math

import pytest

from mmctr_kit.audit.profile.measurement import Measurement, holm_test, normal_p
from mmctr_kit.metrics.estimate import Estimate

PS = [0.02, 0.0015, 0.5, 0.02]


def test_holm_multiplies_the_smallest_p_by_all_and_never_falls() -> None:
    read = [Measurement("row-order", str(p), Estimate(0.5, 0.1, 9), 0.5, 0.0, p, "") for p in PS]
    found = holm_test(read)
    assert [v.p_holm for v in found] == pytest.approx([0.06, 0.006, 0.5, 0.06])
    assert [v.suspicious for v in found] == [False, True, False, False]
    assert [v.measurement for v in found] == read


def test_what_lies_within_the_tolerance_is_clean_however_certain() -> None:
    assert normal_p(Estimate(0.519, 1e-9, 9), 0.5, 0.02) == 1.0
    assert normal_p(Estimate(0.521, 0.0, 9), 0.5, 0.02) == 0.0
    assert normal_p(Estimate(0.3, 0.01, 9), 0.5, 0.02, above=True) == 1.0
    assert normal_p(Estimate(0.9, math.nan, 1), 0.5, 0.02) == 1.0
    assert normal_p(Estimate(0.52 + 1.96 * 0.01, 0.01, 9), 0.5, 0.02) == pytest.approx(
        0.05, abs=1e-3
    )
