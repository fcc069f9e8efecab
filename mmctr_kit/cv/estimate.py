"""What a plan will cost, measured on a few steps in as many processes as are to train."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection
from statistics import fmean
from typing import Any, Self

import numpy as np

from mmctr_kit.activity import doing
from mmctr_kit.cv.executors.base import Resources, WorkerConfig
from mmctr_kit.cv.fold import Job
from mmctr_kit.cv.plan import Plan
from mmctr_kit.data.folds import UNPREDICTED
from mmctr_kit.errors import RunError
from mmctr_kit.items.features import ItemFeatures
from mmctr_kit.processes import WorkerExit, WorkerPool, measuring_killed
from mmctr_kit.runs.predictions import predictions_for
from mmctr_kit.runs.scores import score_predictions
from mmctr_kit.training.build import make_learner
from mmctr_kit.training.learner import Cost

_SCORED = 200_000
"""The scoring is timed on at most so many train rows."""


@dataclass(frozen=True)
class PlanCost:
    """What a whole plan will cost, in seconds on the clock; ``fit`` is the cost of one model.

    ``start``: worker processes start, import PyTorch and load the data; 0 if the models are trained
    in the command's own process. ``prepare``: signals, extra rows, learned item vectors, features
    of trees. ``train`` and ``predict``: held-out, OOF, valid and test rows. ``score``: the whole
    run's predictions.
    """

    fit: Cost
    start: float
    prepare: float
    train: float
    predict: float
    score: float

    @property
    def seconds(self) -> float:
        """All of it."""
        return self.start + self.prepare + self.train + self.predict + self.score


class Meter:
    """Measures the costs of plans on one data set; worker processes end with the ``with`` block.

    If a plan has several workers, each measures at once with the others, as they will train. The
    next plan with the same resources is measured by the same workers.
    """

    def __init__(self) -> None:
        self._pool = WorkerPool()
        self._resources: Resources | None = None
        self._events: Iterator[tuple[int, Any]] = iter(())
        self._start = 0.0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._end()

    def cost(self, plan: Plan, jobs: Sequence[Job] | None = None) -> PlanCost:
        """The cost of a plan that this machine will carry out, or of some of its ``jobs``.

        Raises UsageError if this machine has no such device, and RunError if a worker is killed.
        """
        doing(f"measuring {plan.recipe.name}")
        fit, start = self._fit(plan)
        return plan_cost(plan, fit, start, scoring_seconds(plan), jobs)

    def _fit(self, plan: Plan) -> tuple[Cost, float]:
        """The cost of one model, and the seconds in which a worker starts."""
        from mmctr_kit.training.device import prepare

        resources, rows = plan.resources, trained_rows(plan)
        if resources.workers == 1:
            prepare(resources.device, resources.threads)
            learner = make_learner(plan.recipe, plan.data, plan.items, resources.device)
            return learner.cost(rows), 0.0
        if resources != self._resources:
            self._begin(plan)
        for number in range(resources.workers):
            self._pool.send(number, (plan.recipe, rows))
        costs, starts = zip(*self._answers(plan), strict=True)
        measured = ("seconds_per_step", "seconds_per_row", "seconds_to_prepare")
        means = {name: fmean(getattr(cost, name) for cost in costs) for name in measured}
        return replace(costs[0], **means), self._start + max(starts)

    def _begin(self, plan: Plan) -> None:
        self._end()
        began = time.perf_counter()
        self._pool, self._resources = WorkerPool(), plan.resources
        for number in range(plan.resources.workers):
            self._pool.start(number, _work, plan.resources.worker(number, plan.recipe, plan.data))
        self._events = self._pool.events()
        self._answers(plan)
        self._start = time.perf_counter() - began

    def _answers(self, plan: Plan) -> list[Any]:
        """What each worker says next."""
        answers = dict[int, Any]()
        while len(answers) < plan.resources.workers:
            number, answer = next(self._events)
            if isinstance(answer, WorkerExit):
                raise RunError(measuring_killed(plan.recipe.name))
            answers[number] = answer
        return list(answers.values())

    def _end(self) -> None:
        self._pool.__exit__()
        self._resources = None


def _work(config: WorkerConfig, pipe: Connection) -> None:
    """Send None when the data are loaded, then the cost of a model of each recipe that comes."""
    _, data = config.load()
    pipe.send(None)
    while True:
        recipe, rows = pipe.recv()
        began = time.perf_counter()
        items = ItemFeatures.derive(recipe, data)
        learner = make_learner(recipe, data, items, config.device)
        made = time.perf_counter() - began
        pipe.send((learner.cost(rows), made))


def trained_rows(plan: Plan) -> int:
    """How many rows a model of the plan is trained on, in the mean."""
    used = 1.0 if plan.kind == "fit" else plan.recipe.folds.shares[0]
    return int(len(plan.data.train) * used * (1 - plan.recipe.training.holdout))


def plan_cost(
    plan: Plan, fit: Cost, start: float, score: float, jobs: Sequence[Job] | None = None
) -> PlanCost:
    """The cost of a plan, or of some of its ``jobs``, whose models cost ``fit`` each.

    Its workers ``start`` in so many seconds, and its predictions are scored in ``score``.
    """
    jobs = plan.jobs if jobs is None else jobs
    rounds = -(-len(jobs) // plan.resources.workers)
    # A worker prepares a fold once for all of its seeds.
    prepared = min(rounds, len({fold for fold, _ in jobs}))
    all_rows = len(plan.data.valid) + len(plan.data.test)
    return PlanCost(
        fit=fit,
        start=start,
        prepare=prepared * fit.seconds_to_prepare,
        train=rounds * fit.steps * fit.seconds_per_step,
        predict=rounds * (own_rows(plan, fit) + all_rows) * fit.seconds_per_row,
        score=score,
    )


def own_rows(plan: Plan, fit: Cost) -> int:
    """How many rows of the train split a model predicts: of its fold, and each epoch held-out."""
    rows = len(plan.data.train)
    fold = 0.0 if plan.kind == "fit" else plan.recipe.folds.shares[1]
    return int(rows * fold) + int(trained_rows(plan) * plan.recipe.training.holdout) * fit.epochs


def scoring_seconds(plan: Plan) -> float:
    """The seconds in which the plan's predictions are scored, timed with random logits."""
    data, seeds = plan.data, len(plan.recipe.seeds)
    random = np.random.default_rng(0)
    oof = fold = None
    share = 1.0
    if plan.kind == "cv":
        fold = plan.recipe.folds.assign(data.train).copy()
        fold[random.permutation(len(fold))[_SCORED:]] = UNPREDICTED
        share = min(1.0, _SCORED / len(fold))
        oof = random.normal(size=len(fold))
    models = 1 if fold is None else plan.recipe.folds.count
    valid, test = (random.normal(size=(models, len(rows))) for rows in (data.valid, data.test))
    predictions = predictions_for(data, oof, fold, valid, test)
    began = time.perf_counter()
    score_predictions(predictions)
    each = (time.perf_counter() - began) / share
    # Once for the whole run, and once for each seed of several.
    return each * (1 + (seeds if seeds > 1 else 0))
