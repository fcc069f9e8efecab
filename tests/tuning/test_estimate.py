"""A study's cost is that of its trials, by its workers, and of the finalists' runs."""

from dataclasses import replace

import pytest

from mmctr_kit.cv.estimate import plan_cost
from mmctr_kit.tuning.estimate import finalist_plan, study_cost, trial_seconds
from mmctr_kit.tuning.study import StudyPlan
from tests.cv.test_estimate import FIT


def test_a_trial_is_a_model_of_each_fold_that_predicts_its_own_rows(plan: StudyPlan) -> None:
    # 1,000 of 2,000 rows; 200 of the others are held out, in two epochs.
    rows = 1000 + 2 * int(800 * 0.2)
    each = 7.0 + 8 * 0.5 + rows * 0.01
    assert trial_seconds(plan.base, plan_cost(plan.base, FIT, 0.0, 0.0)) == pytest.approx(2 * each)


def test_a_finalist_is_the_recipe_with_new_seeds(plan: StudyPlan) -> None:
    final = finalist_plan(plan, 3)
    assert final.jobs == tuple((fold, seed) for fold in (0, 1) for seed in (1, 2, 3))


def test_the_trials_are_shared_among_workers_and_only_what_is_left_counts(plan: StudyPlan) -> None:
    _, cost = study_cost(plan, 5, 2, 1)
    assert cost.search == pytest.approx(5 * cost.trial)
    assert cost.finalist is not None
    assert cost.seconds == pytest.approx(cost.search + 2 * cost.finalist.seconds)
    _, over = study_cost(plan, 0, 0, 1)
    assert (over.search, over.finalist, over.seconds) == (0.0, None, 0.0)
    assert replace(cost, finalists=0).seconds == cost.search
