"""Plan a cross-validation, or a single fit, of one recipe on one data set.

A fold model is trained on the rows of other folds (with folds by time, of earlier ones), less those
of a held-out share of users, who choose its snapshot. It then predicts the rows of its fold (OOF),
and valid and test. A single fit is one model of the whole train split, less the held-out share; it
predicts valid and test.
"""

import platform
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np

from mmctr_kit import __version__
from mmctr_kit.cv.executors.base import Executor, Resources
from mmctr_kit.cv.fold import FoldRows, Job, fold_rows
from mmctr_kit.data.dataset import ChallengeData
from mmctr_kit.data.folds import WHOLE, fold_fingerprint
from mmctr_kit.data.hashing import fingerprint
from mmctr_kit.errors import DataError, MmctrKitError, UsageError, plural
from mmctr_kit.items.features import ItemFeatures, content_hashes
from mmctr_kit.models.registry import MODELS
from mmctr_kit.recipe import Recipe
from mmctr_kit.runs.conflict import DataNow, is_finished
from mmctr_kit.runs.manifest import Manifest
from mmctr_kit.runs.run import Run
from mmctr_kit.runs.seal import noting_damage
from mmctr_kit.training.build import check_model
from mmctr_kit.training.teacher import teacher_digest


@dataclass(frozen=True)
class Plan:
    """A planned run: its jobs, who fits them with which resources, and the item features."""

    recipe: Recipe
    data: ChallengeData
    items: ItemFeatures
    executor: Executor
    resources: Resources
    jobs: tuple[Job, ...]

    @property
    def kind(self) -> Literal["cv", "fit"]:
        """Whether the plan is a cross-validation or a single fit."""
        return "fit" if self.jobs[0][0] == WHOLE else "cv"


def plan_cv(
    recipe: Recipe,
    data: ChallengeData,
    executor: Executor,
    items: ItemFeatures | None = None,
) -> Plan:
    """Check that the recipe can run on the data, and plan its jobs.

    By default ``items`` are derived. Raises DataError if the folder lacks what the recipe asks for
    or is too small for its folds, and UsageError if options of its model clash.
    """
    _require_no_teacher(recipe)
    return _plan(recipe, data, executor, items, range(recipe.folds.count))


def plan_fit(
    recipe: Recipe, data: ChallengeData, executor: Executor, items: ItemFeatures | None = None
) -> Plan:
    """Check that one model of the recipe can be trained on the whole train split, and plan it.

    Arguments and errors are those of :func:`plan_cv`. The recipe has one seed.
    """
    return _plan(recipe, data, executor, items, (WHOLE,))


def _plan(
    recipe: Recipe,
    data: ChallengeData,
    executor: Executor,
    items: ItemFeatures | None,
    folds: Sequence[int],
) -> Plan:
    items = items or ItemFeatures.derive(recipe, data)
    if len(np.unique(data.valid.labels())) < 2:
        raise DataError(
            "all rows of valid have one label; expected 0 and 1 (see 'mmctr-kit data check')"
        )
    require_classes(recipe, data, folds)
    check_model(recipe, data, items)
    # The seeds of a fold come one after another, since they share its prepared data.
    jobs = tuple((f, s) for f in folds for s in recipe.seeds)
    resources = executor.resources(len(jobs), MODELS[recipe.model_name].learner.uses_gpu)
    return Plan(recipe, data, items, executor, resources, jobs)


def check_run(
    recipe: Recipe,
    data: ChallengeData,
    items: ItemFeatures,
    path: Path,
    force: bool,
    kind: Literal["cv", "fit"] = "cv",
) -> bool:
    """Whether :func:`run_cv` would find the run finished, without a device; RunError if refused."""
    if kind == "cv":
        _require_no_teacher(recipe)
    now = DataNow(data.folder, partial(content_hashes, recipe, data))
    return is_finished(path, _identity(recipe, data, items, kind), force, recipe.to_yaml(), now)


def trained_finalist(
    recipe: Recipe, data: ChallengeData, items: ItemFeatures, runs: Path
) -> Path | None:
    """A finished finalist of a study in the folder ``runs`` that is this very cross-validation."""
    wanted = _identity(recipe, data, items, "cv")
    for path in sorted(runs.glob("*.study/finalists/*")):
        # Nobody would want a damaged one.
        with suppress(MmctrKitError), noting_damage("a finalist may be this very run"):
            run = Run(path)
            if run.finished and not run.manifest.differences(wanted):
                return path
    return None


def _require_no_teacher(recipe: Recipe) -> None:
    if recipe.training.teacher is not None:
        raise UsageError(
            "training.teacher: only fit may have one; fold models would learn the labels of their "
            "own folds from it"
        )


def manifest_of(plan: Plan) -> Manifest:
    """The run's fingerprints and environment."""
    import torch

    return replace(
        _identity(plan.recipe, plan.data, plan.items, plan.kind),
        environment={
            "mmctr_kit": __version__,
            "python": platform.python_version(),
            "torch": torch.__version__,
            "numpy": np.__version__,
            "device": plan.resources.hardware,
            # On a GPU the number of threads does not change the result.
            "threads": plan.resources.threads if plan.resources.device == "cpu" else None,
        },
    )


def _identity(
    recipe: Recipe, data: ChallengeData, items: ItemFeatures, kind: Literal["cv", "fit"]
) -> Manifest:
    """The manifest of the run without its environment."""
    content, folds = recipe.content(), ""
    if kind == "fit":
        del content["folds"]
        content["training"]["teacher"] = teacher_digest(recipe.training, data)
    else:
        folds = fold_fingerprint(recipe.folds.assign(data.train), recipe.folds.by)
    return Manifest(
        kind=kind,
        rows=data.rows_fingerprint,
        features=fingerprint(*items.fingerprints),
        folds=folds,
        recipe=fingerprint(content, data.rows_fingerprint, *items.fingerprints),
        seeds=recipe.seeds,
    )


def require_classes(recipe: Recipe, data: ChallengeData, folds: Iterable[int]) -> None:
    """Raise DataError if a part of one of the ``folds`` is without both labels."""
    for fold in folds:
        _require_classes(fold_rows(recipe, data, fold), data, recipe)


def _require_classes(rows: FoldRows, data: ChallengeData, recipe: Recipe) -> None:
    label, fit = data.train.labels(), not len(rows.predicted)
    idle = {"predicted": fit, "holdout": recipe.training.holdout == 0}
    for name, part in vars(rows).items():
        if not idle.get(name) and len(np.unique(label[part])) < 2:
            cut = "training.holdout leaves" if fit else f"{recipe.folds.count} folds leave"
            remedy = (
                "training.holdout higher" if fit else "folds.count lower or training.holdout higher"
            )
            raise DataError(
                f"{cut} a {name} part of {plural(len(part), 'row')} without both labels (train has "
                f"{plural(len(label), 'row')}); set {remedy}"
            )
