"""``mmctr-kit ablate``: what each part of a recipe is worth, and what it costs."""

from typing import TYPE_CHECKING, Annotated

import typer

from mmctr_kit.cli.complete import complete_recipes
from mmctr_kit.cli.options import (
    RUNS,
    DataOption,
    DevicesOption,
    ForceOption,
    JobsOption,
    JsonOption,
    RunsOption,
)
from mmctr_kit.cli.output import (
    print_json,
    progress,
    resumable,
    say,
    short,
    short_count,
    table,
)
from mmctr_kit.errors import plural

if TYPE_CHECKING:
    from mmctr_kit.ablation.table import Row, Table
    from mmctr_kit.ablation.variants import Ablation


def ablate(
    recipe: Annotated[
        str,
        typer.Argument(metavar="RECIPE", help="A name or a file.", autocompletion=complete_recipes),
    ],
    data: DataOption,
    name: Annotated[
        str | None, typer.Option(help="The ablation's name; the recipe's by default.")
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Override a key of the base."),
    ] = None,
    only: Annotated[
        list[str] | None,
        typer.Option(metavar="VARIANT", help="These variants alone; items-* is a group."),
    ] = None,
    skip: Annotated[
        list[str] | None, typer.Option(metavar="VARIANT", help="All but these variants.")
    ] = None,
    listing: Annotated[
        bool, typer.Option("--list", help="List the variants; train nothing.")
    ] = False,
    devices: DevicesOption = "auto",
    jobs: JobsOption = None,
    force: ForceOption = False,
    as_json: JsonOption = False,
    runs: RunsOption = RUNS,
) -> None:
    """Switch off or swap one thing at a time, and compare with the recipe as it is.

    Each variant is a run on the same folds and seeds in RUNS/NAME.ablate. Its change in AUC is
    paired with the base, row by row; "better" and "worse" are said with three seeds or more
    alone (--set seeds=[0,1,2]). After the training each model is timed in a process of its own.
    The whole table is written to RUNS/NAME.ablate/ablation.json.

    The same command goes on with an unfinished ablation.

    [bold]Examples[/bold]

      mmctr-kit ablate din_mha_demo --data demo/data

      mmctr-kit ablate din_mha_se_pca --data DATA --only 'items-*' --only se-off

      mmctr-kit ablate din_official --data DATA --list
    """
    from mmctr_kit.api.plans import Options, plan_ablation

    options = Options(name, settings or (), devices, jobs, force, runs)
    with progress(as_json) as display:
        planned = plan_ablation(
            recipe, data, options, display, only=only or (), skip=skip or (), listing=listing
        )
    if listing:
        _list(planned.ablation, as_json)
        return
    with resumable("from the last finished epoch", force), progress(as_json) as display:
        result = planned.run(display)
    if as_json:
        print_json(result.content.as_json())
    else:
        print_table(result.content)
        say(f"all of it: {result.path / 'ablation.json'}")


def _list(ablation: "Ablation", as_json: bool) -> None:
    from mmctr_kit.api.plans import left_out_lines

    if as_json:
        listed = [{"name": v.name, "settings": dict(v.settings)} for v in ablation.variants]
        print_json({"variants": listed, "left_out": dict(ablation.left_out)})
        return
    table(("variant", "what changes"), [(v.name, v.what) for v in ablation.variants], left=2)
    for line in left_out_lines(ablation.left_out):
        say(line)


def print_table(found: "Table") -> None:
    """Accuracy, then cost: together they would not fit 80 columns."""
    say("AUC of the base; of the others the change against it, paired", style="bold")
    columns = ("variant", "base has", "OOF", "valid", "SE")
    table(columns, [_change(row, found) for row in found.rows], left=2)
    say(f"OOF: {found.folds} fold models; valid: their mean; ± standard error, users clustered")
    if not found.claims:
        say("No better/worse verdict with fewer than 3 seeds: --set 'seeds=[0,1,2]'.")
    else:
        tried = f"as {plural(len(found.rows) - 1, 'variant was', 'variants were')} tried"
        say(f"better, worse: by over {found.needed:.1f} SE, {tried}")
    counts = [each.requests for row in found.rows for each in row.cost.latency]
    low, high = min(counts), max(counts)
    many = str(high) if low == high else f"{low}-{high}"
    say(
        f"What a model costs; p50/p99 ms over {many} requests, by number of candidates",
        style="bold",
    )
    sizes = [f"{each.candidates:,}" for each in found.rows[0].cost.latency]
    table(("variant", "weights", "rows/s", *sizes, "MB"), [_cost(row) for row in found.rows])
    threads = f" with {plural(found.threads, 'thread')}"
    say(f"on {found.device}{threads if found.device == 'cpu' else ''}; rows/s in training")
    peak = {"gpu": "tensors on the GPU", "process": "the whole process, its data included"}
    say(f"MB: peak memory of {peak[found.rows[0].cost.memory_of]}")


def _change(row: "Row", found: "Table") -> list[str]:
    cells = [row.name, row.before, *_estimates(row)]
    if not found.claims:
        return [*cells, plural(len(found.seeds), "seed")]
    if row.z is None:
        return [*cells, ""]
    return [*cells, f"{row.claim} {abs(row.z):.1f}" if row.claim else f"{row.z:+.1f}"]


def _estimates(row: "Row") -> list[str]:
    return [e.compact(signed=not row.is_base) for e in (row.oof, row.valid)]


def _cost(row: "Row") -> list[str]:
    cost = row.cost
    times = [f"{short(each.p50_ms)}/{short(each.p99_ms)}" for each in cost.latency]
    speed = short_count(cost.train_rows_per_second)
    return [row.name, short_count(cost.parameters), speed, *times, f"{cost.memory_mb:.0f}"]
