"""Run a planned cross-validation or single fit, and assemble its run folder."""

import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mmctr_kit.activity import doing
from mmctr_kit.cv.fold import PHASES, FitContext, Job, Listener, model_identity
from mmctr_kit.cv.plan import Plan, manifest_of
from mmctr_kit.data.folds import WHOLE
from mmctr_kit.files import locked
from mmctr_kit.items.features import content_hashes
from mmctr_kit.runs.fold_models import FoldModel, score_model
from mmctr_kit.runs.importance import FILE as IMPORTANCE
from mmctr_kit.runs.importance import combine_importance
from mmctr_kit.runs.predictions import Predictions, mean_logits, predictions_for
from mmctr_kit.runs.run import Run
from mmctr_kit.runs.scores import score_predictions, seed_scores
from mmctr_kit.runs.slices import slice_metrics
from mmctr_kit.runs.writer import RunWriter, begin_run

_LOG = logging.getLogger(__name__)


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
    begun: bool = False,
) -> Run | None:
    """Fit every model of the plan that is not finished yet, and assemble the run at ``path``.

    If an earlier command left something to resume, ``resume`` is called with it first. Returns
    None if the same run was finished before. Raises RunError if ``path`` holds a different run.
    ``begun``: this command has made the folder itself, so that going on is no resume.
    """
    began = time.perf_counter()
    with locked(path):
        goes_on = path.exists() and not (force or begun)
        writer = begin_run(path, manifest_of(plan), plan.recipe.to_yaml(), force, plan.data.folder)
        if writer is None:
            return None
        if goes_on:
            writer.resumed()
        point = _resume_point(plan, writer)
        if point.finished or point.epochs:
            resume(point)
        waiting = [job for job in plan.jobs if job not in point.finished]
        _LOG.debug(
            "%s: %d of %d models to train, %s", path, len(waiting), len(plan.jobs), plan.resources
        )
        context = FitContext(plan.recipe, plan.data, plan.items, writer)
        files = content_hashes(plan.recipe, plan.data)
        plan.executor.fit_folds(context, plan.resources, waiting, listen)
        _await(writer, waiting)
        trained = time.perf_counter()
        _LOG.debug("%s: models trained after %.2f s", path, trained - began)
        run = _assemble(plan, writer, trained - began, files)
        _LOG.debug("%s: assembled and scored in %.2f s", path, time.perf_counter() - trained)
        return run


_LATE_SECONDS = 90.0
"""How late a network disk may show what another machine wrote."""


def _await(writer: RunWriter, jobs: Sequence[Job]) -> None:
    """Wait for fold folders that other machines have finished, and this one does not see yet."""
    deadline = time.monotonic() + _LATE_SECONDS
    while not all(writer.fold(*job).finished for job in jobs) and time.monotonic() < deadline:
        time.sleep(1.0)


def _resume_point(plan: Plan, writer: RunWriter) -> ResumePoint:
    finished = tuple(job for job in plan.jobs if writer.fold(*job).finished)
    for job in finished:
        writer.fold(*job).require_intact()
    for job in plan.jobs:
        identity = model_identity(plan.recipe, plan.data, plan.items, job)
        writer.fold(*job).require_made_of(identity)
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
        "trained": {
            name: {k: v for k, v in t["trained"].items() if k != "details"}
            for name, t in timed.items()
            if "trained" in t
        },
        "data_files": files,  # here, since files of other bytes may hold the same data
    }
    doing("scoring")
    metrics = score_predictions(whole) | slice_metrics(plan.data, whole)
    if plan.kind == "cv":
        per_seed = {plan.recipe.seeds[0]: whole}
        if len(plan.recipe.seeds) > 1:
            per_seed = {seed: predictions_of(plan, writer, (seed,)) for seed in plan.recipe.seeds}
        metrics |= seed_scores(per_seed)
    metrics["fold_models"] = [model.to_json() for model in _score_models(plan, writer)]
    _write_importance(plan, writer, whole)
    metrics["alarm_causes"] = []
    if metrics["alarm"]:
        from mmctr_kit.audit.profile import causes

        doing("looking for causes of the alarm")
        metrics["alarm_causes"] = causes(plan.data)
    doing("writing the run")
    return writer.finish(whole, metrics, timings)


def _score_models(plan: Plan, writer: RunWriter) -> Iterator[FoldModel]:
    """The scores of each model, which the assembled predictions average over seeds."""
    train, valid, epochs = plan.data.train, plan.data.valid, Run(writer.path).epochs()
    label, user = np.asarray(train.labels()), train.user_id
    fold = None if plan.kind == "fit" else plan.recipe.folds.assign(train)
    of_valid = np.asarray(valid.labels()), valid.user_id
    for job in plan.jobs:
        folder, rows = writer.fold(*job), slice(0) if fold is None else fold == job[0]
        name, logits = folder.path.name, folder.logits("oof", "valid")
        yield score_model(name, logits, (label[rows], user[rows]), of_valid, epochs[name])


def _write_importance(plan: Plan, writer: RunWriter, whole: Predictions) -> None:
    """Write the features' importance, and delete what the models left for it."""
    folders = [writer.fold(*job) for job in plan.jobs]
    if (writer.path / IMPORTANCE).is_file():  # the command was killed after this
        each = []
    else:
        each = [arrays for folder in folders if (arrays := folder.importance()) is not None]
    if each:
        features = [feature.to_json() for feature in combine_importance(whole, each)]
        writer.write_json(IMPORTANCE, {"rows": len(each[0]["rows"]), "features": features})
    for folder in folders:
        folder.drop_importance()


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
