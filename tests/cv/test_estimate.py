"""What a plan will cost is counted from one model's measured cost, by what its workers do."""

from dataclasses import replace

import pytest

from mmctr_kit.cv.estimate import Meter, plan_cost, scoring_seconds
from mmctr_kit.cv.executors.local import LocalExecutor
from mmctr_kit.cv.plan import Plan, plan_cv, plan_fit
from mmctr_kit.data.dataset import ChallengeData
from mmctr_kit.errors import RunError
from mmctr_kit.recipe import load_recipe
from mmctr_kit.training.learner import Cost

SETTINGS = ("training.epochs=2", "training.batch_size=256", "folds.count=2")
FIT = Cost(
    parameters=10,
    batch_size=256,
    epochs=2,
    steps=8,
    seconds_per_step=0.5,
    seconds_per_row=0.01,
    data_on="host",
    seconds_to_prepare=7.0,
)


@pytest.fixture(scope="module")
def plan(tiny: ChallengeData) -> Plan:
    recipe = load_recipe("din_demo", (*SETTINGS, "seeds=[0,1]", "training.holdout=0.1"))
    return plan_cv(recipe, tiny, LocalExecutor("cpu", 1, 1))


def test_a_worker_prepares_each_fold_once_and_fits_the_models_in_turn(plan: Plan) -> None:
    cost = plan_cost(plan, FIT, start=3.0, score=1.0)
    assert (cost.start, cost.prepare, cost.train, cost.score) == (3.0, 2 * 7.0, 4 * 8 * 0.5, 1.0)
    # Of 2,000 rows 1,000 are a fold's, and 100 of the others are held out, in 2 epochs.
    assert cost.predict == pytest.approx(4 * (1000 + 2 * 90 + 400 + 400) * 0.01)
    assert cost.seconds == pytest.approx(3 + 14 + 16 + cost.predict + 1)


def test_of_a_run_that_goes_on_only_the_models_that_are_left_cost(plan: Plan) -> None:
    whole = plan_cost(plan, FIT, start=3.0, score=1.0)
    left = plan_cost(plan, FIT, start=3.0, score=1.0, jobs=plan.jobs[3:])
    assert (left.start, left.prepare, left.train, left.score) == (3.0, 7.0, 8 * 0.5, 1.0)
    assert left.predict == whole.predict / 4
    assert plan_cost(plan, FIT, 0.0, 1.0, ()).seconds == 1.0


def test_two_workers_take_half_the_rounds(plan: Plan) -> None:
    parallel = replace(plan, resources=replace(plan.resources, workers=2))
    one, two = plan_cost(plan, FIT, 0.0, 0.0), plan_cost(parallel, FIT, 0.0, 0.0)
    assert (two.train, two.predict) == (one.train / 2, one.predict / 2)


def test_a_single_fit_predicts_valid_and_test_alone(tiny: ChallengeData) -> None:
    recipe = load_recipe("din_demo", ("training.holdout=0", "training.snapshot=last"))
    cost = plan_cost(plan_fit(recipe, tiny, LocalExecutor("cpu", 1)), FIT, 0.0, 0.0)
    assert cost.predict == pytest.approx(800 * 0.01)


def test_a_plan_of_one_worker_is_measured_here_and_starts_no_process(plan: Plan) -> None:
    with Meter() as meter:
        cost = meter.cost(plan)
    assert cost.start == 0
    assert min(cost.prepare, cost.train, cost.predict, cost.score) > 0


def test_more_seeds_are_scored_more_often(plan: Plan, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([0.0, 1.0, 0.0, 1.0])
    monkeypatch.setattr("mmctr_kit.cv.estimate.time.perf_counter", lambda: next(clock))
    assert scoring_seconds(plan) == 3.0
    assert scoring_seconds(replace(plan, recipe=load_recipe("din_demo", SETTINGS))) == 1.0


@pytest.mark.slow
def test_workers_measure_at_once_and_their_start_counts(plan: Plan) -> None:
    parallel = replace(plan, resources=replace(plan.resources, workers=2))
    with Meter() as meter:
        cost = meter.cost(parallel)
        again = meter.cost(parallel)
        assert cost.start > 0.5  # a process that imports torch
        assert again.fit.parameters == cost.fit.parameters
        for process, _ in meter._pool._running.values():
            process.kill()
        with pytest.raises(RunError, match="the process that measured 'din_demo' was killed"):
            meter.cost(parallel)
