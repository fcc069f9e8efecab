"""``mmctr-kit cv``: k-fold training into run folders."""

import time
from collections import defaultdict
from collections.abc import Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mmctr_kit.cli.complete import complete_recipes
from mmctr_kit.cli.options import (
    RUNS,
    DataOption,
    DevicesOption,
    ForceOption,
    JobsOption,
    RunsOption,
)
from mmctr_kit.cli.output import (
    print_json,
    progress_bar,
    say,
    say_path,
    status,
    stopped,
    table,
    warn,
)
from mmctr_kit.cli.preflight import training_place
from mmctr_kit.errors import plural

if TYPE_CHECKING:
    from mmctr_kit.cv.fold import Job, Progress
    from mmctr_kit.cv.plan import Plan
    from mmctr_kit.cv.run import ResumePoint
    from mmctr_kit.recipe import Training
    from mmctr_kit.runs.run import Run


_NAMED = 6
"""Finished fold models that are named; of more, their number."""


def cv(
    recipe: Annotated[
        list[str],
        typer.Argument(
            metavar="RECIPE...", help="Names or files.", autocompletion=complete_recipes
        ),
    ],
    data: DataOption,
    name: Annotated[
        str | None, typer.Option(help="The run's name; the recipe's by default.")
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Override a recipe key, like a.b=3."),
    ] = None,
    devices: DevicesOption = "auto",
    jobs: JobsOption = None,
    force: ForceOption = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Check everything, print the plan and its cost.")
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print metrics, or the plan, as JSON.")
    ] = False,
    runs: RunsOption = RUNS,
) -> None:
    """Train each recipe on k folds; keep OOF, valid and test predictions.

    The same command goes on with an unfinished run and leaves a finished one alone.

    [bold]Examples[/bold]

      mmctr-kit cv din_official --data DATA

      mmctr-kit cv din_official --data DATA --set training.epochs=3 --name short

      mmctr-kit cv din_demo din_demo_e4 --data demo/data --dry-run
    """
    from mmctr_kit.errors import UsageError
    from mmctr_kit.recipe import load_recipe

    if name is not None and len(recipe) > 1:
        raise UsageError("--name goes with one recipe; several runs take their recipes' names")
    loaded = [load_recipe(r, settings or ()) for r in recipe]
    names = [r.name if name is None else name for r in loaded]
    if len(set(names)) != len(names):
        raise UsageError("two of the recipes have one name; run them apart, with --name")
    paths = [training_place(runs, n, data, devices) for n in names]
    from mmctr_kit.runs.conflict import require_free

    # All of them first: a refusal must not come after hours of the run before it.
    for path, one in zip(paths, loaded, strict=True):
        require_free(path, {"kind": "cv"}, force, one.to_yaml())
    from mmctr_kit.audit.sanity import training_warnings
    from mmctr_kit.cv.plan import check_run, plan_cv
    from mmctr_kit.data.load import load
    from mmctr_kit.items.features import ItemFeatures

    began = time.perf_counter()
    with status(f"loading {data}"):
        content = load(data)
    loaded_in = time.perf_counter() - began
    for line in training_warnings(content):
        warn(line)
    features = [ItemFeatures.derive(r, content) for r in loaded]
    for path, one, items in zip(paths, loaded, features, strict=True):
        for modality in items.missing:
            embedding = one.items.embedding
            warn(
                f"{path.name}: {embedding} goes without {modality}, which the folder does not hold"
            )
    finished = [
        check_run(one, content, seen, path, force)
        for one, seen, path in zip(loaded, features, paths, strict=True)
    ]
    where = ""
    if dry_run or not all(finished):
        from mmctr_kit.training.device import resolve_device

        where = resolve_device(devices)
    plans = [
        plan_cv(one, content, where, jobs, seen) if dry_run or not done else None
        for one, seen, done in zip(loaded, features, finished, strict=True)
    ]
    results: dict[str, dict[str, object]] = {}
    for path, plan, done in zip(paths, plans, finished, strict=True):
        if dry_run and plan is not None:
            results[path.name] = _plan(path.name, plan, done, loaded_in, as_json)
            continue
        run = None if plan is None else _train(plan, path, force, quiet=as_json)
        results[path.name] = _conclude(run, path, data, quiet=as_json)
    if as_json:
        print_json(results)


def _train(plan: "Plan", path: Path, force: bool, quiet: bool) -> "Run | None":
    """The run; None where another command has finished it meanwhile."""
    from mmctr_kit.cv.run import run_cv

    teller = _Teller(plan, path.name, quiet)
    with teller.bar or nullcontext():
        try:
            return run_cv(plan, path, force, teller.listen, teller.resume)
        except KeyboardInterrupt as e:
            again = "the same command without --force" if force else "the same command"
            stopped(e, f"{again} goes on from the last finished epoch")


def _plan(
    name: str, plan: "Plan", finished: bool, loaded_in: float, quiet: bool
) -> dict[str, object]:
    from dataclasses import asdict

    cost, seconds = plan.cost()
    where = ", ".join(plan.resources.devices)
    resources, folds, seeds = plan.resources, plan.recipe.folds.count, len(plan.recipe.seeds)
    rows = {split: len(r) for split, r in plan.data.rows.items()}
    if not quiet:
        say(f"{name}: {len(plan.jobs)} fold models on {where}", style="bold")
        lines = [
            ("rows train / valid / test", " / ".join(f"{n:,}" for n in rows.values())),
            ("items", f"{plan.data.n_items:,}"),
            ("loaded in", f"{loaded_in:.1f} s"),
            ("folds x seeds", f"{folds} x {seeds}"),
            ("jobs x threads", f"{resources.workers} x {resources.threads}"),
            ("parameters", f"{cost.parameters:,}"),
            ("batch size", f"{cost.batch_size:,}"),
            ("steps a fold model", f"{cost.steps:,} in {plural(cost.epochs, 'epoch')}"),
            ("rows lie on", f"the {cost.data_on}"),
            ("measured step", f"{1e3 * cost.seconds_per_step:.1f} ms"),
            ("about", "finished already" if finished else _duration(seconds)),
        ]
        table(("", ""), lines)
        if cost.epochs > plan.recipe.training.epochs:
            say(_raised(cost.epochs, plan.recipe.training))
    fit = asdict(cost)
    return {
        "rows": rows,
        "load_seconds": loaded_in,
        "resources": asdict(resources),
        "fit": fit,
        "seconds": seconds,
        "done": finished,
    }


def _conclude(run: "Run | None", path: Path, data: Path, quiet: bool) -> dict[str, object]:
    from mmctr_kit.metrics.estimate import Estimate
    from mmctr_kit.runs.run import Run

    if run is None and not quiet:
        say_path("", path, " is finished already; nothing to do (--force trains it again)")
    metrics = (run or Run(path)).metrics
    if run is not None and not quiet:
        oof, valid = Estimate.from_json(metrics["oof"]), Estimate.from_json(metrics["valid"])
        say_path("", path, f": OOF AUC {oof} (fold models), valid AUC {valid} (fold mean)")
    if metrics["alarm"]:
        warn(metrics["alarm"])
        _warn_of_causes(metrics, data)
    return dict(metrics)


def _warn_of_causes(metrics: Mapping[str, Any], data: Path) -> None:
    if "alarm_causes" not in metrics:  # a run of an earlier version
        warn(f"'mmctr-kit data profile {data}' may name the cause")
        return
    for cause in metrics["alarm_causes"]:
        warn(f"a possible cause: {cause}")
    if not metrics["alarm_causes"]:
        warn(
            "no cheap probe names a cause; 'mmctr-kit data profile "
            f"{data}' also fits a model between train and valid (split-shift)"
        )


def _duration(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def _raised(epochs: int, training: "Training") -> str:
    return (
        f"training.epochs {training.epochs} raised to {epochs} by training.min_steps "
        f"{training.min_steps:,}"
    )


def _job(job: "Job") -> str:
    return "fold {} seed {}".format(*job)


class _Teller:
    """Progress: a bar with the time left on a terminal, a line for each epoch elsewhere."""

    def __init__(self, plan: "Plan", name: str, quiet: bool) -> None:
        self.name, self.quiet, self.training = name, quiet, plan.recipe.training
        self.raised = quiet
        self.began = time.perf_counter()
        self.jobs = len(plan.jobs)
        self.done: dict[tuple[int, int], float] = defaultdict(float)
        self.bar = progress_bar(quiet)
        if self.bar is not None:
            self.task = self.bar.add_task(name, total=self.jobs)

    def resume(self, left: "ResumePoint") -> None:
        """Say what is there already, and count it."""
        self.done |= dict.fromkeys(left.finished, 1.0)
        told = []
        if left.finished:
            which = ", ".join(_job(job) for job in left.finished[:_NAMED])
            more = ", ..." if len(left.finished) > _NAMED else ""
            told.append(f"finished {len(left.finished)} of {self.jobs} ({which}{more})")
        told += [f"{_job(job)} after epoch {n}" for job, n in left.epochs.items()]
        text = f"{self.name} goes on where it stopped: {'; '.join(told)}"
        if self.bar:
            # Not an update: the time left is not to be told from what others took.
            self.bar.reset(self.task, completed=len(left.finished))
            self.bar.console.print(text, soft_wrap=True, markup=False)
        elif not self.quiet:
            say(text)

    def listen(self, event: "Progress") -> None:
        if not self.raised and event.epochs > self.training.epochs:
            say(f"{self.name}: {_raised(event.epochs, self.training)}")
            self.raised = True
        job = (event.fold, event.seed)
        self.done[job] = 1.0 if event.epoch is None else event.epoch / event.epochs
        where = f"{self.name} {_job(job)}"
        if self.bar:
            self.bar.update(
                self.task,
                completed=sum(self.done.values()),
                description=f"{where} holdout AUC {event.holdout_auc:.4f}",
            )
        elif self.quiet:
            return
        elif event.epoch is None:
            say(f"{where}: done in {event.seconds:.1f} s, best holdout AUC {event.holdout_auc:.4f}")
        else:
            say(
                f"{where} epoch {event.epoch}/{event.epochs}: loss {event.train_loss:.4f}, "
                f"holdout AUC {event.holdout_auc:.4f}, {event.seconds:.1f} s"
            )
