"""``mmctr-kit cv``: k-fold training into run folders."""

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from typer import Option

from mmctr_kit.cli import options
from mmctr_kit.cli.output import finite, print_json, progress, say, say_path, table, warn
from mmctr_kit.cli.plans import show_plans
from mmctr_kit.errors import UsageError

CHANCE_Z = 2.0
"""A result no further from 0.5 than this many standard errors is remarked on."""

if TYPE_CHECKING:
    from mmctr_kit.api.family import PlannedFamily
    from mmctr_kit.api.options import Options
    from mmctr_kit.api.plans import PlannedRun
    from mmctr_kit.runs.run import Run


def cv(
    recipe: Annotated[
        list[str],
        options.recipe_argument("RECIPE...", "Names or files of recipes, or the family best."),
    ],
    data: options.Data,
    name: options.Name = None,
    settings: options.Settings = None,
    devices: options.Devices = "auto",
    jobs: options.Jobs = None,
    threads: options.Threads = None,
    executor: options.Executor = "local",
    ray_address: options.RayAddress = None,
    budget: Annotated[
        str | None,
        Option(metavar="30m|2h|8h", help="Of a family, train the members that fit this time."),
    ] = None,
    force: options.Force = False,
    strict: Annotated[
        bool, Option("--strict", help="Refuse folds by user if valid and test come after train.")
    ] = False,
    dry_run: options.DryRun = False,
    as_json: options.Json = False,
    runs: options.Runs = options.RUNS,
) -> None:
    """Train each recipe on k folds; keep OOF, valid and test predictions.

    The same command continues an unfinished run and leaves a finished one alone. The holdout AUC of
    its progress only chooses the epoch: it has no standard error, and is no score of the model.

    [bold]Examples[/bold]

      mmctr-kit cv din_official --data DATA
      mmctr-kit cv din_official --data DATA --set training.epochs=3 --name short
      mmctr-kit cv din_demo din_demo_e4 --data demo/data --dry-run
      mmctr-kit cv din_official --data DATA --executor ray --ray-address 10.0.0.1:6379

    The family [bold]best[/bold] is a set of recipes that differ, on any data. With --budget their
    costs are measured first, and members that add most are trained first, as time allows.

      mmctr-kit cv best --data DATA --budget 30m --dry-run
      mmctr-kit cv best --data DATA --budget 2h
    """
    from mmctr_kit.api.options import Options
    from mmctr_kit.api.plans import plan_dry, plan_runs
    from mmctr_kit.recipe.family import FAMILIES

    where = options.executor_of(executor, ray_address)
    shared = Options(name, settings or (), devices, jobs, force, runs, strict, where, threads)
    if families := [each for each in recipe if each in FAMILIES]:
        if len(recipe) > 1:
            raise UsageError(f"{families[0]} is a family of recipes; name it alone")
        _train_family(families[0], data, shared, budget, dry_run, as_json)
        return
    if budget is not None:
        raise UsageError("--budget goes with a family: mmctr-kit cv best --budget 30m --data DATA")
    with progress() as display:

        def plan(given: Options) -> "list[PlannedRun]":
            return plan_runs(recipe, data, given, display, plan_finished=dry_run)

        planned = plan_dry(plan, shared, display) if dry_run else plan(shared)
    if dry_run:
        show_plans(planned, as_json)
        return
    results: dict[str, dict[str, object]] = {}
    for each in planned:
        with progress("from the last finished epoch", force) as display:
            run = each.run(display)
        results[each.path.name] = _conclude(run, as_json, data)
    if as_json:
        print_json(results)


def _train_family(
    family: str, data: Path, shared: "Options", budget: str | None, dry_run: bool, as_json: bool
) -> None:
    from mmctr_kit.api.family import plan_family

    with progress() as display:
        planned = plan_family(family, data, shared, budget, display, measure=dry_run)
    plan = _show_family(planned, as_json)
    if dry_run:
        if as_json:
            print_json(plan)
        return
    with progress("from the last finished epoch", shared.force) as display:
        runs = planned.run(display)
    results = {run.name: _conclude(run, as_json, data) for run in runs}
    command = ["mmctr-kit blend", *results, f"--name {family} --data {shlex.quote(str(data))}"]
    if Path(shared.runs) != options.RUNS:
        command.append(f"--runs {shlex.quote(str(shared.runs))}")
    line = " ".join(command)
    if as_json:
        blend = line if len(runs) > 1 else None
        print_json({"plan": plan, "runs": results, "left_out": planned.left_out, "blend": blend})
    elif len(runs) > 1:
        say(f"\nTo blend them:\n{line}", wrap=False)


def _show_family(planned: "PlannedFamily", quiet: bool) -> list[dict[str, object]]:
    """Print the members with their estimates unless ``quiet``; return them for a script."""
    from mmctr_kit.api.progress import span

    each = list(zip(planned.members, planned.verdicts(), strict=True))
    if not quiet:
        rows = [
            (m.member.name, m.member.adds, span(m.seconds) if m.seconds == m.seconds else "-", why)
            for m, why in each
        ]
        table(("member", "what it adds", "time", "plan"), rows, left=4)
        if planned.budget is not None:
            used = f"{span(planned.used)} of it used so far"
            say(f"budget {span(planned.budget)}, {used}; estimates are measured on a few steps")
    return [
        {
            "name": m.member.name,
            "adds": m.member.adds,
            "seconds": finite(m.seconds),
            "plan": why,
        }
        for m, why in each
    ]


def _conclude(run: "Run", quiet: bool, data: Path) -> dict[str, object]:
    metrics = run.metrics
    if not quiet:
        aucs = f"OOF AUC {run.oof_auc} (fold models), valid AUC {run.valid_auc} (fold mean)"
        say_path("", run.path, f": {aucs}")
        remark_on_chance(run)
    if metrics["alarm"]:
        warn(metrics["alarm"])
        _warn_of_causes(metrics, data)
    return metrics


def remark_on_chance(run: "Run") -> None:
    """Print one line if OOF or valid AUC may be chance, and one if it is surely below 0.5."""
    scores = {"OOF": run.oof_auc, "valid": run.valid_auc}
    z = {name: auc.z(0.5) for name, auc in scores.items() if auc}
    if below := [name for name in z if z[name] <= -CHANCE_Z]:
        say(
            f"remark: {' and '.join(below)} AUC {CHANCE_Z:.0f} standard errors or more below "
            "0.5: rows are ranked the wrong way round, as if their labels were turned over or "
            "they differed from the rows trained on; see 'mmctr-kit data profile'"
        )
    if at_chance := [name for name in z if abs(z[name]) < CHANCE_Z]:
        say(
            f"remark: {' and '.join(at_chance)} AUC within {CHANCE_Z:.0f} standard errors of 0.5: "
            "no better than chance, as far as these rows tell; train for longer, or see "
            "'mmctr-kit data check'"
        )


def _warn_of_causes(metrics: Mapping[str, Any], data: Path) -> None:
    for cause in metrics["alarm_causes"]:
        warn(f"a possible cause: {cause}")
    if not metrics["alarm_causes"]:
        probe = f"'mmctr-kit data profile {data}' also fits a model between train and valid"
        warn(f"no cheap probe names a cause; {probe} (split-shift)")
