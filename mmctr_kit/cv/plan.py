"""Plan a cross-validation: the folds and seeds of one recipe on one data set.

A fold model is trained on the other folds' users, less a held-out share of them that chooses its
snapshot. It then predicts the rows of its fold (OOF), and valid and test.
"""

import os
import platform
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from mmctr_kit import __version__
from mmctr_kit.cv.fold import FoldRows, Job, fold_rows
from mmctr_kit.cv.parallel import Resources
from mmctr_kit.data.dataset import ChallengeData
from mmctr_kit.data.folds import fold_fingerprint, user_folds
from mmctr_kit.data.hashing import fingerprint
from mmctr_kit.errors import DataError, plural
from mmctr_kit.items.features import ItemFeatures
from mmctr_kit.models.registry import MODELS
from mmctr_kit.recipe import Recipe
from mmctr_kit.runs.conflict import is_finished
from mmctr_kit.runs.manifest import Manifest
from mmctr_kit.training.build import check_model, make_learner
from mmctr_kit.training.learner import Cost


@dataclass(frozen=True)
class Plan:
    """A planned cross-validation: its jobs, the resources that fit them, and the item features."""

    recipe: Recipe
    data: ChallengeData
    items: ItemFeatures
    resources: Resources
    jobs: tuple[Job, ...]

    def cost(self) -> tuple[Cost, float]:
        """The cost of one fit, measured on a few steps, and the seconds of the whole plan."""
        from mmctr_kit.training.device import prepare

        prepare(self.resources.device, self.resources.threads)
        rows = self.data.rows
        folds = self.recipe.folds.count
        trained = int(len(rows["train"]) * (1 - 1 / folds) * (1 - self.recipe.training.holdout))
        learner = make_learner(self.recipe, self.data, self.items, self.resources.device)
        cost = learner.cost(trained)
        held = int(trained * self.recipe.training.holdout) * cost.epochs
        predicted = len(rows["train"]) // folds + len(rows["valid"]) + len(rows["test"]) + held
        one = cost.steps * cost.seconds_per_step + predicted * cost.seconds_per_row
        rounds = -(-len(self.jobs) // self.resources.workers)
        return cost, one * rounds


def plan_cv(
    recipe: Recipe,
    data: ChallengeData,
    device: str,
    workers: int | None = None,
    items: ItemFeatures | None = None,
) -> Plan:
    """Check that the recipe can run on the data, and plan its jobs.

    ``device`` is a resolved one ('cpu', 'cuda:0', 'cuda:0,cuda:1'); a model that does not use a GPU
    gets the CPU. By default there is one worker per core of a CPU, or per GPU, and ``items`` are
    derived. Raises DataError if the folder lacks what the recipe asks for or is too small for its
    folds, and UsageError if options of its model clash.
    """
    items = items or ItemFeatures.derive(recipe, data)
    if not MODELS[recipe.model_name].learner.uses_gpu:
        device = "cpu"
    if len(np.unique(data.valid.labels())) < 2:
        raise DataError(
            "all rows of valid have one label; expected 0 and 1 (see 'mmctr-kit data check')"
        )
    # The seeds of a fold come one after another, since they share its prepared data.
    jobs = tuple((f, s) for f in range(recipe.folds.count) for s in recipe.seeds)
    cores = available_cores()
    devices = tuple(device.split(","))
    workers = min(workers or (cores if device == "cpu" else len(devices)), len(jobs))
    for fold in range(recipe.folds.count):
        _require_classes(fold_rows(recipe, data, fold), data, recipe)
    check_model(recipe, data, items)
    resources = Resources(devices, workers, max(1, cores // workers))
    return Plan(recipe, data, items, resources, jobs)


def check_run(
    recipe: Recipe, data: ChallengeData, items: ItemFeatures, path: Path, force: bool
) -> bool:
    """Whether :func:`run_cv` would find the run finished, without a device; RunError if refused."""
    return is_finished(path, _identity(recipe, data, items), force, recipe.to_yaml())


def available_cores() -> int:
    """The cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def manifest_of(plan: Plan) -> Manifest:
    """The run's fingerprints and environment."""
    import torch

    from mmctr_kit.training.device import describe_device

    return replace(
        _identity(plan.recipe, plan.data, plan.items),
        environment={
            "mmctr_kit": __version__,
            "python": platform.python_version(),
            "torch": torch.__version__,
            "numpy": np.__version__,
            "device": describe_device(plan.resources.device),
            # On a GPU the number of threads does not change the result.
            "threads": plan.resources.threads if plan.resources.device == "cpu" else None,
        },
    )


def _identity(recipe: Recipe, data: ChallengeData, items: ItemFeatures) -> Manifest:
    """The manifest of the run without its environment."""
    folds = user_folds(data.train.user_id, recipe.folds.count, recipe.folds.seed)
    return Manifest(
        kind="cv",
        rows=data.rows_fingerprint,
        features=fingerprint(*items.fingerprints),
        folds=fold_fingerprint(folds),
        recipe=fingerprint(recipe.content(), data.rows_fingerprint, *items.fingerprints),
        seeds=recipe.seeds,
    )


def _require_classes(rows: FoldRows, data: ChallengeData, recipe: Recipe) -> None:
    label = data.train.labels()
    for name, part in vars(rows).items():
        if len(np.unique(label[part])) < 2:
            raise DataError(
                f"{recipe.folds.count} folds leave a {name} part of {plural(len(part), 'row')} "
                f"without both labels (train has {plural(len(label), 'row')}); set folds.count "
                "lower or training.holdout higher"
            )
