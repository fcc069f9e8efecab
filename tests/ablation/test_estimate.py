"""An ablation's cost is that of the runs that are not finished, and of measuring them."""

from pathlib import Path

import pytest

from mmctr_kit.ablation.estimate import ablation_cost
from mmctr_kit.cv.model_cost import LATENCY_SECONDS
from mmctr_kit.data.dataset import ChallengeData
from tests.ablation.test_variants import planned, recipe


def test_finished_runs_cost_nothing_but_their_measuring(
    tiny: ChallengeData, tmp_path: Path
) -> None:
    ablation = planned(tiny, recipe(), ("se-off", "tags-off"))
    cost = ablation_cost(ablation, tmp_path, finished=["base", "tags-off"])
    assert [*cost.runs] == ["se-off"]
    assert cost.measuring == 3 * LATENCY_SECONDS
    assert cost.seconds == pytest.approx(cost.runs["se-off"].seconds + cost.measuring)
