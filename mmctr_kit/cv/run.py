"""Run a planned cross-validation or single fit, and assemble its run folder."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mmctr_kit.activity import doing
from mmctr_kit.cv.fold import PHASES, FitContext, Job, Listener
from mmctr_kit.cv.plan import Plan, manifest_of
from mmctr_kit.data.folds import WHOLE
from mmctr_kit.files import locked
from mmctr_kit.items.features import content_hashes
from mmctr_kit.runs.predictions import Predictions, mean_logits, predictions_for
from mmctr_kit.runs.run import Run
from mmctr_kit.runs.scores import score_predictions, seed_scores
from mmctr_kit.runs.slices import slice_metrics
from mmctr_kit.runs.writer import RunWriter, begin_run


@dataclass(frozen=True)
class ResumePoint:
    """What an earlier command left of a run: ``finished`` jobs, and the ``epochs`` others have."""

    finished: tuple[Job, ...]
    epochs: Mapping[Job, int]


def run_cv(
    plan: Plan,
    path: Path,
    force: bool,
    listen: Listener,
    resume: Callable[[ResumePoint], None] = lambda _: None,
) -> Run | None:
    """Fit every model of the plan that is not finished yet, and assemble the run at ``path``.

    If an earlier command left something to resume, ``resume`` is called with it first. Returns
    None if the same run was finished before. Raises RunError if ``path`` holds a different run.
    """
    began = time.perf_counter()
    with locked(path):
        writer = begin_run(path, manifest_of(plan), plan.recipe.to_yaml(), force, plan.data.folder)
        if writer is None:
            return None
        point = _resume_point(plan, writer)
        if point.finished or point.epochs:
            writer.resumed()
            resume(point)
        waiting = [job for job in plan.jobs if job not in point.finished]
        context = FitContext(plan.recipe, plan.data, plan.items, writer)
        files = content_hashes(plan.recipe, plan.data)
        plan.executor.fit_folds(context, plan.resources, waiting, listen)
        _await(writer, waiting)
        return _assemble(plan, writer, time.perf_counter() - began, files)


_LATE_SECONDS = 90.0
"""How late a network disk may show what another machine wrote."""


def _await(writer: RunWriter, jobs: Sequence[Job]) -> None:
    """Wait for fold folders that other machines have finished, and this one does not see yet."""
    deadline = time.monotonic() + _LATE_SECONDS
    while not all(writer.fold(*job).finished for job in jobs) and time.monotonic() < deadline:
        time.sleep(1.0)


def _resume_point(plan: Plan, writer: RunWriter) -> ResumePoint:
    finished = tuple(job for job in plan.jobs if writer.fold(*job).finished)
    begun = {job: writer.fold(*job).epochs_done() for job in plan.jobs if job not in finished}
    return ResumePoint(finished, {job: epochs for job, epochs in begun.items() if epochs})


def _assemble(plan: Plan, writer: RunWriter, seconds: float, files: Mapping[str, str]) -> Run:
    doing("putting the predictions together")
    whole = predictions_of(plan, writer, plan.recipe.seeds)
    folders = [writer.fold(*job) for job in plan.jobs]
    timed = {folder.path.name: folder.timings() for folder in folders}
    folds = {name: {phase: t[phase] for phase in PHASES} for name, t in timed.items()}
    phases = {name: sum(fold[name] for fold in folds.values()) for name in PHASES}
    timings = {
        "last_command_seconds": seconds,
        "phase_seconds": phases,
        "fold_seconds": folds,
        "data_on": {name: t["data_on"] for name, t in timed.items() if "data_on" in t},
        "data_files": files,  # here, since files of other bytes may hold the same data
    }
    doing("scoring")
    metrics = score_predictions(whole) | slice_metrics(plan.data, whole)
    if plan.kind == "cv":
        per_seed = {plan.recipe.seeds[0]: whole}
        if len(plan.recipe.seeds) > 1:
            per_seed = {seed: predictions_of(plan, writer, (seed,)) for seed in plan.recipe.seeds}
        metrics |= seed_scores(per_seed)
    metrics["alarm_causes"] = []
    if metrics["alarm"]:
        from mmctr_kit.audit.profile import causes

        doing("looking for causes of the alarm")
        metrics["alarm_causes"] = causes(plan.data)
    doing("writing the run")
    return writer.finish(whole, metrics, timings)


def predictions_of(plan: Plan, writer: RunWriter, seeds: Sequence[int]) -> Predictions:
    """The fold models' logits, averaged over ``seeds``, in the order of the data."""
    data = plan.data
    if plan.kind == "fit":
        logits = writer.fold(WHOLE, *seeds).logits()
        return predictions_for(data, None, None, logits["valid"][None], logits["test"][None])
    count, fold = plan.recipe.folds.count, plan.recipe.folds.assign(data.train)
    oof = np.full(len(data.train), np.nan)
    valid = np.empty((count, len(data.valid)))
    test = np.empty((count, len(data.test)))
    for f in range(count):
        each = [writer.fold(f, seed).logits() for seed in seeds]
        oof[fold == f] = mean_logits([x["oof"] for x in each])
        valid[f] = mean_logits([x["valid"] for x in each])
        test[f] = mean_logits([x["test"] for x in each])
    return predictions_for(data, oof, fold, valid, test)
