"""What a study will cost before it begins, measured on its recipe as it is."""

from dataclasses import dataclass, replace

from mmctr_kit.cv.estimate import Meter, PlanCost, own_rows
from mmctr_kit.cv.plan import Plan, plan_cv
from mmctr_kit.tuning.finalists import final_recipe, final_seeds
from mmctr_kit.tuning.study import StudyPlan


@dataclass(frozen=True)
class StudyCost:
    """What a study will still cost, in seconds on the clock.

    ``trial`` is one trial that is not stopped early, and ``search`` all ``trials`` that are left,
    with the start of their workers. ``finalist`` is the run of one of the ``finalists`` to train
    (None without any).
    """

    trials: int
    trial: float
    search: float
    finalists: int
    finalist: PlanCost | None

    @property
    def seconds(self) -> float:
        """All of it."""
        return self.search + self.finalists * (
            0.0 if self.finalist is None else self.finalist.seconds
        )


def finalist_plan(plan: StudyPlan, seeds: int) -> Plan:
    """The plan of a finalist's run, if the recipe as it is were one."""
    used = final_seeds(plan.recipe, seeds)
    return plan_cv(
        final_recipe(plan.recipe, {}, used), plan.data, plan.base.executor, plan.base.items
    )


def study_cost(
    plan: StudyPlan, trials: int, finalists: int, seeds: int
) -> tuple[PlanCost, StudyCost]:
    """Measure the recipe as it is: the cost of its cross-validation by one worker, and the study's.

    ``trials`` and ``finalists`` are those that are left. Raises as :meth:`Meter.cost` does.
    """
    with Meter() as meter:
        # A trial is its folds one after another, by one of the study's workers.
        base = meter.cost(replace(plan.base, resources=plan.resources))
        finalist = meter.cost(finalist_plan(plan, seeds)) if finalists else None
    trial = trial_seconds(plan.base, base)
    rounds = -(-trials // plan.resources.workers)
    search = base.start + rounds * trial if trials else 0.0
    return base, StudyCost(trials, trial, search, finalists, finalist)


def trial_seconds(plan: Plan, cost: PlanCost) -> float:
    """The seconds of a trial: a model of each fold, which predicts the rows of its own fold."""
    fit = cost.fit
    one = fit.seconds_to_prepare + fit.steps * fit.seconds_per_step
    return plan.recipe.folds.count * (one + own_rows(plan, fit) * fit.seconds_per_row)
