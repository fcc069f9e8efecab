"""``mmctr-kit ablate``: what each part of a recipe is worth, and what it costs."""

from contextlib import nullcontext
from pathlib import Path
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
    progress_bar,
    say,
    say_path,
    short,
    short_count,
    status,
    stopped,
    table,
    warn,
)
from mmctr_kit.cli.preflight import training_place
from mmctr_kit.errors import plural

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mmctr_kit.ablation.table import Row, Table
    from mmctr_kit.ablation.variants import Ablation
    from mmctr_kit.cv.fold import Progress


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
    The whole table is in RUNS/NAME.ablate/ablation.json.

    The same command goes on with an unfinished ablation.

    [bold]Examples[/bold]

      mmctr-kit ablate din_mha_demo --data demo/data

      mmctr-kit ablate din_mha_se_pca --data DATA --only 'items-*' --only se-off

      mmctr-kit ablate din_official --data DATA --list
    """
    from mmctr_kit.recipe import load_recipe

    base = load_recipe(recipe, settings or ())
    called = base.name if name is None else name
    folder = training_place(runs, called, data, devices, ".ablate")
    from mmctr_kit.ablation.variants import (
        choose_variants,
        finished_runs,
        plan_ablation,
        require_ablation,
    )

    choose_variants(base, only or (), skip or ())
    if not listing:
        require_ablation(base, folder, force)
    from mmctr_kit.audit.sanity import training_warnings
    from mmctr_kit.data.load import load
    from mmctr_kit.training.device import resolve_device

    where = resolve_device(devices)
    with status(f"loading {data} and planning"):
        found = plan_ablation(base, load(data), where, jobs, only or (), skip or ())
    for line in training_warnings(found.base.data):
        warn(line)
    for modality in found.base.items.missing:
        warn(f"{base.items.embedding} goes without {modality}, which the folder does not hold")
    if listing:
        _list(found, as_json)
        return
    # All of them first: a refusal must not come after hours of the runs before it.
    finished = finished_runs(found, folder, force)
    if not as_json:
        _say_left_out(found.left_out)
        done = f", {len(finished)} of them finished already" if finished else ""
        say_path("", folder, f": {len(found.runs)} runs{done}")
    made = _run(found, folder, force, as_json)
    if as_json:
        print_json(made.as_json())
    else:
        print_table(made)
        say(f"all of it: {folder / 'ablation.json'}")


def _run(found: "Ablation", folder: Path, force: bool, quiet: bool) -> "Table":
    from mmctr_kit.ablation.table import tabulate
    from mmctr_kit.ablation.variants import run_ablation

    teller = _Teller(found, quiet)
    with teller.bar or nullcontext():
        try:
            costs = run_ablation(found, folder, force, teller.listen)
        except KeyboardInterrupt as e:
            again = "the same command without --force" if force else "the same command"
            stopped(e, f"{again} goes on from the last finished epoch")
    return tabulate(found, folder, costs)


def _list(found: "Ablation", as_json: bool) -> None:
    if as_json:
        listed = [{"name": v.name, "settings": dict(v.settings)} for v in found.variants]
        print_json({"variants": listed, "left_out": dict(found.left_out)})
        return
    table(("variant", "what changes"), [(v.name, v.what) for v in found.variants], left=2)
    _say_left_out(found.left_out)


def _say_left_out(left_out: "Mapping[str, str]") -> None:
    """A line for each reason."""
    reasons: dict[str, list[str]] = {}
    for name, why in left_out.items():
        reasons.setdefault(why, []).append(name)
    for why, names in reasons.items():
        say(f"left out: {', '.join(names)} ({why})")


def print_table(found: "Table") -> None:
    """Accuracy, then cost: together they would not fit 80 columns."""
    say("AUC of the base; of the others the change against it, paired", style="bold")
    columns = ("variant", "base has", "OOF", "valid", "SE")
    table(columns, [_change(row, found) for row in found.rows], left=2)
    say(f"OOF: {found.folds} fold models; valid: their mean; ± standard error, users clustered")
    if not found.claims:
        say("fewer than 3 seeds claim nothing, since seeds differ too (--set seeds=[0,1,2])")
    else:
        tried = f"as {plural(len(found.rows) - 1, 'variant was', 'variants were')} tried"
        say(f"better, worse: by over {found.needed:.1f} SE, {tried}")
    counts = [each.requests for row in found.rows for each in row.cost.latency]
    low, high = min(counts), max(counts)
    many = str(high) if low == high else f"{low}-{high}"
    say(f"What a model costs; p50/p99 ms over {many} requests of so many candidates", style="bold")
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
    if row.errors is None:
        return [*cells, ""]
    return [*cells, f"{row.claim} {abs(row.errors):.1f}" if row.claim else f"{row.errors:+.1f}"]


def _estimates(row: "Row") -> list[str]:
    return [e.compact(signed=not row.is_base) for e in (row.oof, row.valid)]


def _cost(row: "Row") -> list[str]:
    cost = row.cost
    times = [f"{short(each.p50_ms)}/{short(each.p99_ms)}" for each in cost.latency]
    speed = short_count(cost.train_rows_per_second)
    return [row.name, short_count(cost.parameters), speed, *times, f"{cost.memory_mb:.0f}"]


class _Teller:
    """Progress: a bar with the time left on a terminal, a line for each epoch elsewhere."""

    def __init__(self, found: "Ablation", quiet: bool) -> None:
        self.names, self.jobs, self.quiet = list(found.runs), len(found.base.jobs), quiet
        self.done: dict[tuple[str, int, int], float] = {}
        self.bar = progress_bar(quiet)
        if self.bar is not None:
            self.task = self.bar.add_task("", total=len(self.names) * (self.jobs + 1))

    def listen(self, name: str, event: "Progress | None") -> None:
        place = self.names.index(name)
        where = f"{place + 1}/{len(self.names)} {name}"
        if event is None:
            self._tell(len(self.names) * self.jobs + place, f"{where}: measuring its cost")
            return
        job = (name, event.fold, event.seed)
        self.done[job] = 1.0 if event.epoch is None else event.epoch / event.epochs
        here = sum(share for (run, *_), share in self.done.items() if run == name)
        at = f"{where} fold {event.fold} seed {event.seed}"
        if event.epoch is None:
            text = f"{at}: done in {event.seconds:.1f} s, best holdout AUC {event.holdout_auc:.4f}"
        else:
            text = f"{at} epoch {event.epoch}/{event.epochs}: holdout AUC {event.holdout_auc:.4f}"
        self._tell(place * self.jobs + here, text)

    def _tell(self, completed: float, text: str) -> None:
        if self.bar:
            self.bar.update(self.task, completed=completed, description=text)
        elif not self.quiet:
            say(text)
