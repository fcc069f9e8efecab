"""Plans of training: all errors come before the first epoch, and a plan can be shown alone."""

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from mmctr_kit.api.options import Options
from mmctr_kit.api.preflight import AnyPath, load_to_train, warn_of_missing
from mmctr_kit.api.progress import Listener, ProgressEvent
from mmctr_kit.api.results import AblationResult, FitResult
from mmctr_kit.api.training_progress import AblationProgress, CvProgress
from mmctr_kit.errors import MmctrKitError, RunError, UsageError

if TYPE_CHECKING:
    from mmctr_kit.ablation.estimate import AblationCost
    from mmctr_kit.ablation.variants import Ablation
    from mmctr_kit.cv.fold import Job
    from mmctr_kit.cv.plan import Plan
    from mmctr_kit.cv.whole import CvReference
    from mmctr_kit.data.dataset import ChallengeData
    from mmctr_kit.recipe import Recipe
    from mmctr_kit.runs.run import Run

Planned = TypeVar("Planned")


@dataclass(frozen=True)
class PlannedRun:
    """A run that can begin; ``plan`` is None if it is finished and no plan was asked for.

    ``as_finalist``: it is at ``path`` because a study has trained this very run as a finalist.
    """

    path: Path
    plan: "Plan | None"
    finished: bool
    force: bool
    load_seconds: float
    as_finalist: bool = False

    def left(self) -> "Sequence[Job]":
        """The models that are still to be trained: all, unless an earlier command's go on."""
        from mmctr_kit.runs.writer import RunWriter

        assert self.plan is not None
        if self.finished or self.force:
            return self.plan.jobs
        writer = RunWriter(self.path)
        return [job for job in self.plan.jobs if not writer.fold(*job).finished]

    def run(self, listen: Listener) -> "Run":
        """Train what is not finished yet, and return the finished run."""
        from mmctr_kit.runs.run import Run

        if self.plan is not None:
            from mmctr_kit.cv.run import run_cv

            progress = CvProgress(self.plan, self.path.name, listen)
            if run := run_cv(self.plan, self.path, self.force, progress, progress.resume):
                return run
        text = f"{self.path} is finished already; nothing to do (--force trains it again)"
        if self.as_finalist:
            text = (
                f"this is trained already, as a finalist: blend or submit {self.path} as it is "
                "(--force trains it again)"
            )
        listen(ProgressEvent("finished", text))
        return Run(self.path)


def plan_dry(plan: Callable[[Options], Planned], options: Options, listen: Listener) -> Planned:
    """What ``plan`` makes of the options, as if forced if another run has the name, with a warning.

    For a dry run, which replaces nothing.
    """
    from mmctr_kit.runs.conflict import NameTakenError

    try:
        return plan(options)
    except NameTakenError as e:
        listen(ProgressEvent("warning", f"without --dry-run this would stop: {e}"))
        return plan(replace(options, force=True))


def plan_runs(
    recipes: "Sequence[str | Path | Recipe]",
    data: "str | Path | ChallengeData",
    options: Options,
    listen: Listener,
    *,
    plan_finished: bool = False,
) -> list[PlannedRun]:
    """Check that every recipe can be trained on the data, and plan its run.

    All are checked first: an error must not come after hours of the run before it.
    ``plan_finished``: plan finished runs too, to show the plan.
    """
    from mmctr_kit.runs.conflict import require_free

    if options.name is not None and len(recipes) > 1:
        raise UsageError("--name goes with one recipe; several runs are named by their recipes")
    loaded = [options.load(recipe) for recipe in recipes]
    names = [options.name_of(recipe) for recipe in loaded]
    for each in names:
        if names.count(each) > 1:
            raise UsageError(
                f"two recipes share the name {each}: run them separately with different --name"
            )
    paths = [options.path(each, data) for each in names]
    kind = {"kind": "cv"}
    done = [
        require_free(path, kind, options.force, recipe.to_yaml())
        for path, recipe in zip(paths, loaded, strict=True)
    ]
    if plan_finished or not all(done):
        options.require()
    from mmctr_kit.cv.plan import check_run, plan_cv, trained_finalist
    from mmctr_kit.items.features import ItemFeatures

    began = time.perf_counter()
    content = load_to_train(data, listen, loaded, options.strict)
    seconds = time.perf_counter() - began
    checked = []
    for path, recipe in zip(paths, loaded, strict=True):
        items = ItemFeatures.derive(recipe, content)
        warn_of_missing(path.name, recipe, items, listen)
        finished, finalist = check_run(recipe, content, items, path, options.force), None
        if not (finished or options.force or path.exists()):
            finalist = trained_finalist(recipe, content, items, Path(options.runs))
        checked.append((finalist or path, recipe, items, finished, finalist is not None))
    planned = []
    for path, recipe, items, finished, as_finalist in checked:
        plan, trained = None, finished or as_finalist
        if plan_finished or not trained:
            plan = plan_cv(recipe, content, options.made_executor, items)
        planned.append(PlannedRun(path, plan, trained, options.force, seconds, as_finalist))
    return planned


@dataclass(frozen=True)
class PlannedFit:
    """A single fit that can begin, and a cross-validation of its recipe if there is one."""

    planned: PlannedRun
    recipe: "Recipe"
    cv: "Run | None"

    def run(self, listen: Listener) -> FitResult:
        """Train the model unless it is finished, and return the run."""
        return FitResult(self.planned.run(listen).path, self.cv)

    def reference(self) -> "CvReference | None":
        """The scores of the cross-validation, between which the fit's score is to be expected."""
        from mmctr_kit.cv.whole import cv_reference

        return None if self.cv is None else cv_reference(self.recipe, self.cv)


def plan_single_fit(
    recipe: "str | Path | Recipe | None",
    data: "str | Path | ChallengeData",
    options: Options,
    like: "AnyPath | Run | None",
    listen: Listener,
    *,
    plan_finished: bool = False,
) -> PlannedFit:
    """Check that one model of the recipe can be trained on the whole train split, and plan it.

    ``like`` is the cross-validation whose best epoch to stop at, and whose recipe to take if
    ``recipe`` is None. ``plan_finished`` as in :func:`plan_runs`.
    """
    from mmctr_kit.cv.whole import CHOSEN, refit, require_like
    from mmctr_kit.runs.conflict import require_free
    from mmctr_kit.runs.run import Run, open_run

    cv, beside = None, ""
    if like is not None:
        cv = like if isinstance(like, Run) else open_run(str(like), Path(options.runs))
    if recipe is None:
        if cv is None:
            raise UsageError("RECIPE is missing; name one, or a cv run with --like RUN")
        recipe, beside = cv.recipe(), cv.name
    base = options.load(recipe)
    beside = beside or base.name
    for key in (str(setting).partition("=")[0] for setting in options.settings):
        if key.split(".")[0] == "folds":
            raise UsageError(f"{key} does nothing in fit, which has no folds; leave it out")
        if cv is not None and key in CHOSEN:
            raise UsageError(f"{key} does nothing with --like, which decides it; leave one out")
    if len(base.seeds) > 1:
        raise UsageError(
            f"seeds: fit trains one model, and the recipe has {len(base.seeds)} seeds; choose one "
            f"with --set seeds=[{base.seeds[0]}]"
        )
    final = base if cv is None else refit(base, cv)
    name = f"{beside}-fit" if options.name is None else options.name
    path = options.path(name, data)
    require_free(path, {"kind": "fit"}, options.force, final.to_yaml())
    from mmctr_kit.cv.plan import check_run, plan_fit
    from mmctr_kit.items.features import ItemFeatures
    from mmctr_kit.runs.seal import noting_damage

    began = time.perf_counter()
    content = load_to_train(data, listen)
    seconds = time.perf_counter() - began
    if cv is not None and cv.manifest.rows != content.rows_fingerprint:
        raise RunError(
            f"run '{cv.name}' is of other data than {content.folder}; name a cv run of that, or "
            "give its own data"
        )
    items = ItemFeatures.derive(final, content)
    warn_of_missing(path.name, final, items, listen)
    finished = check_run(final, content, items, path, options.force, "fit")
    plan = None
    if plan_finished or not finished:
        plan = plan_fit(final, content, options.made_executor, items)
    if cv is None:
        near = Run(path.with_name(beside))
        # Of another recipe, or damaged: then it is no reference.
        with suppress(MmctrKitError), noting_damage(f"not compared with {near.name}"):
            same = near.finished and near.manifest.rows == content.rows_fingerprint
            cv = near if same and require_like(final, near) else None
    return PlannedFit(PlannedRun(path, plan, finished, options.force, seconds), final, cv)


@dataclass(frozen=True)
class PlannedAblation:
    """An ablation that can begin."""

    path: Path
    ablation: "Ablation"
    force: bool

    def cost(self, finished: Sequence[str]) -> "AblationCost":
        """Measure what all but the ``finished`` runs will cost on this machine."""
        from mmctr_kit.ablation.estimate import ablation_cost

        return ablation_cost(self.ablation, self.path, finished)

    def finished(self) -> list[str]:
        """The names of the runs that are finished already; RunError if one would be refused."""
        from mmctr_kit.ablation.variants import finished_runs

        return finished_runs(self.ablation, self.path, self.force)

    def run(self, listen: Listener) -> AblationResult:
        """Train the base and every variant, measure their costs, and compare."""
        from mmctr_kit.ablation.table import tabulate
        from mmctr_kit.ablation.variants import run_ablation

        # All of them first: an error must not come after hours of the runs before it.
        finished = self.finished()
        for line in left_out_lines(self.ablation.left_out):
            listen(ProgressEvent("note", line))
        names = list(self.ablation.runs)
        done = f", {len(finished)} of them finished already" if finished else ""
        listen(ProgressEvent("note", f"{self.path}: {len(names)} runs{done}"))
        progress = AblationProgress(names, len(self.ablation.base.jobs), listen)
        costs = run_ablation(self.ablation, self.path, self.force, progress)
        return AblationResult(self.path, tabulate(self.ablation, self.path, costs))


def plan_ablation(
    recipe: "str | Path | Recipe",
    data: "str | Path | ChallengeData",
    options: Options,
    listen: Listener,
    only: Sequence[str] = (),
    skip: Sequence[str] = (),
) -> PlannedAblation:
    """Check that the base can run on the data, and plan its variants."""
    base = options.load(recipe)
    path = options.path(options.name_of(base), data, ".ablate")
    from mmctr_kit.ablation.variants import choose_variants, require_ablation
    from mmctr_kit.ablation.variants import plan_ablation as plan_variants

    choose_variants(base, only, skip)
    require_ablation(base, path, options.force)
    options.require()
    content = load_to_train(data, listen, [base])
    ablation = plan_variants(base, content, options.made_executor, only, skip)
    warn_of_missing(base.name, base, ablation.base.items, listen)
    return PlannedAblation(path, ablation, options.force)


def left_out_lines(left_out: Mapping[str, str]) -> list[str]:
    """Make one line for each reason, with all that is left out for it."""
    reasons: dict[str, list[str]] = {}
    for name, why in left_out.items():
        reasons.setdefault(why, []).append(name)
    return [f"left out: {', '.join(names)} ({why})" for why, names in reasons.items()]
