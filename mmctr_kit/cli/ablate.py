"""``mmctr-kit ablate``: what each part of a recipe is worth, and what it costs."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

from typer import Option

from mmctr_kit.cli import options
from mmctr_kit.cli.output import cost_table, print_json, progress, say, table
from mmctr_kit.cli.plans import show_ablation
from mmctr_kit.errors import plural

if TYPE_CHECKING:
    from mmctr_kit.ablation.table import Row, Table
    from mmctr_kit.api.plans import PlannedAblation


def ablate(
    recipe: options.Recipe,
    data: options.DataUnlessListed = None,
    name: options.Name = None,
    settings: options.Settings = None,
    only: Annotated[
        list[str] | None, Option(metavar="VARIANT", help="Only these variants; items-* is a group.")
    ] = None,
    skip: Annotated[
        list[str] | None, Option(metavar="VARIANT", help="All variants but these.")
    ] = None,
    listing: Annotated[bool, Option("--list", help="List the variants.")] = False,
    devices: options.Devices = "auto",
    jobs: options.Jobs = None,
    threads: options.Threads = None,
    executor: options.Executor = "local",
    ray_address: options.RayAddress = None,
    force: options.Force = False,
    dry_run: options.DryRun = False,
    as_json: options.Json = False,
    runs: options.Runs = options.RUNS,
) -> None:
    """Switch off or swap one thing at a time, and compare with the unchanged recipe.

    Each variant is a run on the same folds and seeds in RUNS/NAME.ablate. Its change in AUC is
    paired with the base, row by row. A verdict, "better" or "worse", needs three seeds or more
    (--set seeds=[0,1,2]). After training, each model's speed and memory are measured in a separate
    process. The whole table is written to RUNS/NAME.ablate/ablation.json.

    The same command continues an unfinished ablation.

    [bold]Examples[/bold]

      mmctr-kit ablate din_mha_demo --data demo/data
      mmctr-kit ablate din_mha_se_pca --data DATA --only 'items-*' --only se-off
      mmctr-kit ablate din_official --data DATA --dry-run
      mmctr-kit ablate din_official --list
    """
    if listing:
        _list(recipe, settings or (), only or (), skip or (), as_json)
        return
    from mmctr_kit.api.options import Options
    from mmctr_kit.api.plans import plan_ablation, plan_dry

    where = options.executor_of(executor, ray_address)
    shared = Options(
        name, settings or (), devices, jobs, force, runs, executor=where, threads=threads
    )
    variants = (only or (), skip or ())
    with progress() as display:
        folder = options.require_data(data)

        def plan(given: Options) -> "tuple[PlannedAblation, list[str]]":
            made = plan_ablation(recipe, folder, given, display, *variants)
            return made, made.finished() if dry_run else []

        planned, finished = plan_dry(plan, shared, display) if dry_run else plan(shared)
    if dry_run:
        show_ablation(planned, finished, as_json)
        return
    with progress("from the last finished epoch", force) as display:
        result = planned.run(display)
    if as_json:
        print_json(result.content.as_json())
    else:
        print_table(result.content)
        say(f"whole table: {result.path / 'ablation.json'}")


def _list(
    recipe: str, settings: Sequence[str], only: Sequence[str], skip: Sequence[str], as_json: bool
) -> None:
    from mmctr_kit.ablation.variants import choose_variants
    from mmctr_kit.api.preflight import load_recipe

    chosen = choose_variants(load_recipe(recipe, settings), only, skip)
    if as_json:
        print_json({"variants": [{"name": v.name, "settings": dict(v.settings)} for v in chosen]})
        return
    table(("variant", "what changes"), [(v.name, v.what) for v in chosen], left=2)
    say("An ablation leaves out variants that its data folder does not allow, and says which.")


def print_table(measured: "Table") -> None:
    """Print accuracy, then cost: together they would not fit 80 columns."""
    say("AUC of the base; for each variant the paired change against it", style="bold")
    columns = ("variant", "base has", "OOF", "valid", "z")
    table(columns, [_change(row, measured) for row in measured.rows], left=2)
    say(f"OOF: {measured.folds} fold models; valid: their mean; ± standard error, users clustered")
    if not measured.claims:
        say("No better/worse verdict with fewer than 3 seeds: --set 'seeds=[0,1,2]'.")
    else:
        tried = f"as {plural(len(measured.rows) - 1, 'variant was', 'variants were')} tried"
        say(f"better, worse: by over {measured.needed:.1f} standard errors (z), {tried}")
    say("The same on OOF, by how rare the target is", style="bold")
    by_target = [
        [row.name] + [e.compact(signed=not row.is_base) if e else "-" for e in (row.cold, row.warm)]
        for row in measured.rows
    ]
    table(("variant", "cold", "warm"), by_target)
    say("cold: a quarter of the rows, with the rarest targets; unseen ones included")
    costs = [(row.name, row.cost) for row in measured.rows]
    counts = {each.requests for _, cost in costs for each in cost.latency}
    requests = "-".join(str(n) for n in sorted({min(counts), max(counts)}))
    title = f"What a model costs; p50/p99 ms over {requests} requests, by number of candidates"
    say(title, style="bold")
    cost_table("variant", costs, [cost.train_rows_per_second for _, cost in costs])
    threads = f" with {plural(measured.threads, 'thread')}" if measured.device == "cpu" else ""
    say(f"on {measured.device}{threads}; rows/s in training")


def _change(row: "Row", measured: "Table") -> list[str]:
    estimates = [e.compact(signed=not row.is_base) for e in (row.oof, row.valid)]
    if not measured.claims:
        verdict = plural(len(measured.seeds), "seed")
    elif row.is_base:
        verdict = ""
    else:
        z = row.oof.z_text()
        verdict = f"{row.claim} {z.lstrip('+-')}" if row.claim else z
    return [row.name, row.before, *estimates, verdict]
