"""``mmctr-kit bench``: how fast recipes train and predict here, and at what share of the best."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mmctr_kit.cli.complete import complete_recipes
from mmctr_kit.cli.options import DevicesOption, JsonOption
from mmctr_kit.cli.output import finite, print_json, say, short, short_count, status, table
from mmctr_kit.errors import plural

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mmctr_kit.bench.result import Clock, Result, Side


BUSY = 0.9
"""Share of its threads' time that a quiet machine gives a process, at least."""

_FOR_P99 = 100
"""Requests below which the 99th percentile is said to be about the slowest."""
RECIPES = ("din_official", "din_mha_se_pca", "qin", "transformer_dcn", "din_target_encoder")


def bench(
    data: Annotated[
        Path | None, typer.Option("--data", metavar="DATA", help="A data folder to measure on.")
    ] = None,
    preset: Annotated[
        str | None, typer.Option(help="Or generated data: tiny, demo or full; kept in the cache.")
    ] = None,
    recipes: Annotated[
        list[str] | None,
        typer.Option(
            "--recipe",
            metavar="RECIPE",
            help="One or more; else one a family.",
            autocompletion=complete_recipes,
        ),
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Override a key of each recipe."),
    ] = None,
    seconds: Annotated[
        float, typer.Option(min=0.01, help="How long to train, and to predict.")
    ] = 5.0,
    steps: Annotated[
        int | None, typer.Option(min=1, help="So many training steps, whatever they take.")
    ] = None,
    devices: DevicesOption = "auto",
    threads: Annotated[
        int | None, typer.Option(min=1, help="On a CPU; by default one a core.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Measure rows/s, compile time, memory, latency, and the share of what the machine could do.

    Each recipe runs in a process of its own. Where the fuxictr package is installed, the official
    network is trained the official way too, in turn with ours, in one process.

    [bold]Examples[/bold]

      mmctr-kit bench

      mmctr-kit bench --preset full --recipe din_official --set training.batch_size=8192

      mmctr-kit bench --data DATA --recipe qin --recipe gbdt --json
    """
    from mmctr_kit.errors import UsageError
    from mmctr_kit.recipe import load_recipe
    from mmctr_kit.training.gpu_probe import require_gpu

    require_gpu(devices)
    if data is not None and preset is not None:
        raise UsageError("--data and --preset both name the data; give one of them")
    chosen = [load_recipe(name, settings or ()) for name in recipes or RECIPES]
    if data is not None:
        from mmctr_kit.data.parquet import require_folder

        require_folder(data)
    folder = data or _generated(preset or "demo")
    from mmctr_kit.bench import Setting, as_json_of, bench_one, bench_side, no_side, official_one
    from mmctr_kit.cv.plan import available_cores
    from mmctr_kit.training.device import describe_device, resolve_device

    device = resolve_device(devices).split(",")[0]
    setting = Setting(folder, device, threads or available_cores(), seconds, steps)
    results = []
    for recipe in chosen:
        with status(f"measuring {recipe.name}"):
            results.append(bench_one(recipe, setting))
    why, side = no_side(chosen), None
    if why is None:
        with status("measuring the official way beside it"):
            side = bench_side(official_one(chosen), setting)
    where = describe_device(device)
    if device == "cpu":
        where += f", {plural(setting.threads, 'thread')}"
    if as_json:
        content = {"device": where, "data": str(folder)} | as_json_of(results, side, why)
        print_json(finite(content))
        return
    print_results(results, where, str(folder))
    print_side(side, why)


def _generated(preset: str) -> Path:
    """The preset's data, made once."""
    from mmctr_kit import __version__
    from mmctr_kit.data.cache import cache_folder
    from mmctr_kit.datasets.synth import find_preset, generate

    chosen = find_preset(preset)
    root = cache_folder() / f"synth-{preset}-{__version__}"
    if not (root / "truth" / "oracle.json").is_file():
        with status(f"generating the preset {preset}"):
            generate(root, chosen, seed=0)
    return root / "data"


def print_results(results: "Sequence[Result]", where: str, data: str) -> None:
    """Speed, what it is worth, where the time goes, latency."""
    say(f"on {where}; data: {data}")
    say("Training an epoch of one fold, and predicting all of test", style="bold")
    columns = ("recipe", "batch", "train rows/s", "epoch s", "predict rows/s", "test s", "compile")
    table(columns, [_speed(each) for each in results])
    say("epoch s, test s: extrapolated from what was timed (=: all of test was timed)")
    say("compile: seconds to compile and capture a step, before the first")
    least = min((r.training.granted or 1.0 for r in results), default=1.0)
    if least < BUSY:
        say(f"the machine was busy: training had {least:.0%} of its threads' time, so was slower")
    _print_work(results)
    say("A request of so many candidates: p50/p99 ms; peak memory", style="bold")
    sizes = [f"{each.candidates:,}" for each in results[0].latency]
    table(("recipe", "weights", *sizes, "MB"), [_cost(each) for each in results])
    peak = {"gpu": "tensors on the GPU", "process": "the whole process, its data included"}
    say(f"MB: {peak[results[0].memory_of]}")
    fewest = min(each.requests for result in results for each in result.latency)
    if fewest < _FOR_P99:
        say(f"p99 of {fewest} requests or more: of so few, about the slowest")


def _speed(result: "Result") -> list[str]:
    training, prediction = result.training, result.prediction
    whole = "=" if prediction.rows == prediction.split_rows else ""
    return [
        result.recipe,
        f"{training.batch_size:,}",
        f"{training.rows_per_second:,.0f}",
        short(training.epoch_seconds),
        f"{prediction.rows_per_second:,.0f}",
        whole + short(prediction.split_seconds),
        f"{training.compile_seconds:.1f}",
    ]


def _print_work(results: "Sequence[Result]") -> None:
    rows: list[list[str]] = []
    ceilings = []
    for result in results:
        if result.work is None:
            continue
        work, phases = result.work, result.phases
        matrix, memory = work.shares(result.training.rows_per_second)
        shares = [f"{share:.0%}" for share in phases.values()] if phases else ["-"] * 4
        mega = f"{work.flops / 1e6:.1f}"
        rows.append([result.recipe, mega, f"{matrix:.0%}", f"{memory:.0%}", *shares])
        ceilings.append(work.ceiling)
    if not rows:
        return
    say("Share of the ceiling, and of a step's time", style="bold")
    phase = ("data", "forward", "backward", "update")
    table(("recipe", "MFLOP/row", "matrix", "memory", *phase), rows)
    for precision in sorted({c.dtype for c in ceilings}):
        flops = max(c.flops for c in ceilings if c.dtype == precision)
        moved = max(c.bytes for c in ceilings if c.dtype == precision)
        best = f"{short(flops / 1e12)} TFLOP/s in {precision}, {short(moved / 1e9)} GB/s"
        say(f"the ceiling, measured in the same run: {best}")
    say("matrix: FLOPs of the products that a step executes, against square products")
    say("memory: the optimizer's pass over all weights, against a large copy")


def _cost(result: "Result") -> list[str]:
    times = [f"{short(each.p50_ms)}/{short(each.p99_ms)}" for each in result.latency]
    return [result.recipe, short_count(result.parameters), *times, f"{result.memory_mb:,.0f}"]


def print_side(side: "Side | None", why: str | None) -> None:
    """Both ways' rows/s and their ratio; or why there is none."""
    if side is None:
        say(f"not beside the official way: {why}")
        return
    title = f"{side.recipe}: the official way and ours, in turn, batch {side.batch_size:,}"
    say(title, style="bold")
    rows = []
    clocks: tuple[tuple[Clock, str], ...] = (("wall", "by the clock"), ("cpu", "by CPU time"))
    for of, name in clocks:
        speeds = [f"{side.official(of):,.0f}", f"{side.ours(of):,.0f}"]
        rows.append([name, *speeds, f"{side.ratio(of):.1f}x"])
    table(("rows/s", "official", "ours", "ours is"), rows)
    loading = max(r.loading for r in side.rounds)
    rounds = plural(len(side.rounds), "round")
    say(f"medians of {rounds}; the official loader took up to {loading:.0%}")
    say(f"official: fuxictr's layers, padded, float32; ours: packed, {side.precision}")
