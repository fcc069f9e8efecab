"""mmctr_kit.report.diagnostics: rises of learning curves. Weak slices: test_advice.py."""

import json
from pathlib import Path

import pytest

from mmctr_kit.data.dataset import ChallengeData
from mmctr_kit.metrics.estimate import Estimate
from mmctr_kit.report.context import open_context
from mmctr_kit.report.diagnostics import last_rise, sliced_run, still_rising
from tests.report.made import make_run
from tests.runs.unsealed import unsealed


def test_the_last_rise_is_the_mean_over_fold_models(tiny: ChallengeData, tmp_path: Path) -> None:
    run = make_run(tmp_path, "x", tiny, 1.0, 0)
    paths = sorted(unsealed(run.path).glob("folds/*/metrics.jsonl"))
    for path, rise in zip(paths, (0.01, 0.02, 0.03), strict=True):
        lines = [json.loads(line) for line in path.read_text().splitlines()]
        lines[-1]["holdout_auc"] = lines[-2]["holdout_auc"] + rise
        path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    rise = last_rise(run)
    assert rise is not None
    assert (rise.value, rise.se, rise.n) == (
        pytest.approx(0.02),
        pytest.approx(0.01 / 3**0.5),
        3,
    )


@pytest.mark.parametrize(
    ("value", "se", "rising"),
    [(0.01, 0.003, True), (0.01, 0.004, False), (0.0004, 0.0, False), (0.5, float("inf"), False)],
)
def test_a_rise_counts_if_it_is_large_and_certain(value: float, se: float, rising: bool) -> None:
    assert still_rising(Estimate(value, se, 3)) is rising


def test_the_slices_of_a_blend_are_those_of_its_best_run(made_runs: Path) -> None:
    context = open_context("mix", made_runs, made_runs)
    run = sliced_run(context)
    assert run is not None
    best = max(context.sources, key=lambda r: r.metrics["oof"]["value"])
    assert run.name == best.name
