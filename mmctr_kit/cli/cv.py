"""``mmctr-kit cv``: k-fold training into run folders."""

import sys
import time
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from mmctr_kit.cli.options import RUNS, DataOption, ForceOption, RunsOption
from mmctr_kit.cli.output import console, print_json, say, status, table, warn

if TYPE_CHECKING:
    from mmctr_kit.cv import Plan
    from mmctr_kit.foldjobs import Progress
    from mmctr_kit.runs import Run


def cv(
    recipe: Annotated[list[str], typer.Argument(metavar="RECIPE...", help="Names or files.")],
    data: DataOption,
    name: Annotated[
        str | None, typer.Option(help="The run's name; the recipe's by default.")
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Override a recipe key, like a.b=3."),
    ] = None,
    device: Annotated[Literal["auto", "cpu", "cuda"], typer.Option()] = "auto",
    force: ForceOption = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Check everything, print the plan and its cost.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the metrics as JSON.")] = False,
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
    names = [name or r.name for r in loaded]
    if len(set(names)) != len(names):
        raise UsageError("two of the recipes have one name; run them apart, with --name")
    from mmctr_kit.challenge.read import require_folder
    from mmctr_kit.runs import run_path

    paths = [run_path(runs, n) for n in names]

    require_folder(data)
    from mmctr_kit.challenge.load import load
    from mmctr_kit.cv import plan_cv, run_cv
    from mmctr_kit.training.device import resolve_device

    where = resolve_device(device)
    with status(f"loading {data}"):
        content = load(data)
    plans = [plan_cv(r, content, where) for r in loaded]
    results = {}
    for path, plan in zip(paths, plans, strict=True):
        if dry_run:
            _print_plan(path.name, plan)
            continue
        teller = _Teller(plan, path.name, quiet=as_json)
        with teller:
            run = run_cv(plan, path, force, teller.listen)
        results[path.name] = _conclude(run, path, quiet=as_json)
    if as_json and not dry_run:
        print_json(results)


def _print_plan(name: str, plan: "Plan") -> None:
    cost, seconds = plan.cost()
    rows, crew = plan.data.rows, plan.crew
    say(f"{name}: {len(plan.jobs)} fold models on {crew.device}", style="bold")
    table(
        ("", ""),
        (
            ("rows train / valid / test", " / ".join(f"{len(r):,}" for r in rows.values())),
            ("items", f"{plan.data.n_items:,}"),
            ("folds x seeds", f"{plan.recipe.folds.count} x {len(plan.recipe.seeds)}"),
            ("workers x threads", f"{crew.workers} x {crew.threads}"),
            ("parameters", f"{cost.parameters:,}"),
            ("batch size", f"{cost.batch_size:,}"),
            ("steps a fold model", f"{cost.steps:,} in {cost.epochs} epochs"),
            ("measured step", f"{1e3 * cost.seconds_per_step:.1f} ms"),
            ("about", _duration(seconds)),
        ),
    )


def _conclude(run: "Run | None", path: Path, quiet: bool) -> dict[str, object]:
    from mmctr_kit.runs import Run
    from mmctr_kit.scores import estimate_from

    if run is None and not quiet:
        say(f"{path} is finished already; nothing to do (--force trains it again)")
    metrics = (run or Run(path)).metrics
    if run is not None and not quiet:
        oof, valid = estimate_from(metrics["oof"]), estimate_from(metrics["valid"])
        say(f"{path}: OOF AUC {oof} (fold models), valid AUC {valid} (fold mean)")
    if metrics["alarm"]:
        warn(metrics["alarm"])
    return dict(metrics)


def _duration(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


class _Teller:
    """Progress: a bar with the time left on a terminal, a line for each epoch elsewhere."""

    def __init__(self, plan: "Plan", name: str, quiet: bool) -> None:
        from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

        self.name, self.quiet = name, quiet
        self.began = time.perf_counter()
        self.jobs = len(plan.jobs)
        self.done: dict[tuple[int, int], float] = defaultdict(float)
        self.bar: Progress | None = None
        if sys.stdout.isatty() and not quiet:
            self.bar = Progress(
                TextColumn("{task.description}"),
                BarColumn(),
                TextColumn("{task.percentage:.0f}%"),
                TimeRemainingColumn(),
                console=console(),
                transient=True,
            )
            self.task = self.bar.add_task(name, total=self.jobs)

    def __enter__(self) -> None:
        if self.bar:
            self.bar.start()

    def __exit__(self, *_: object) -> None:
        if self.bar:
            self.bar.stop()

    def listen(self, event: "Progress") -> None:
        job = (event.fold, event.seed)
        self.done[job] = 1.0 if event.epoch is None else event.epoch / event.epochs
        where = f"{self.name} fold {event.fold} seed {event.seed}"
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
