"""``mmctr-kit bench``: how fast recipes train and predict here, as a share of the roofline."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from typer import Option

from mmctr_kit.cli import options
from mmctr_kit.cli.output import cost_table, finite, print_json, say, short, status, table
from mmctr_kit.errors import plural

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mmctr_kit.bench.result import Clock, Result, Versus


BUSY = 0.9
"""On a quiet machine a process has a CPU for at least this share of its threads' time."""

_FOR_P99 = 100
"""With fewer requests the 99th percentile is effectively the maximum."""

RECIPES = ("din_official", "din_mha_se_pca", "qin", "transformer_dcn", "din_target_encoder")


def bench(
    data: Annotated[
        Path | None, Option("--data", metavar="DATA", help="A data folder to measure on.")
    ] = None,
    preset: Annotated[
        str | None,
        Option(metavar="tiny|demo|full", help="Or generated data, which stay in the cache."),
    ] = None,
    recipes: Annotated[
        list[str] | None,
        Option(
            "--recipe",
            metavar="RECIPE",
            help="Recipe(s) to measure; default: one per model family.",
            autocompletion=options.complete_recipes,
        ),
    ] = None,
    settings: options.Settings = None,
    seconds: Annotated[
        float, Option(min=0.01, help="Seconds to train, and seconds to predict.")
    ] = 5.0,
    steps: Annotated[int | None, Option(min=1, help="Stop after N training steps.")] = None,
    devices: options.Devices = "auto",
    threads: Annotated[
        int | None, Option(min=1, help="CPU threads; default: one per core.")
    ] = None,
    versus: Annotated[
        Path | None,
        Option(metavar="FILE", help="JSON of tests/studies/versus_official.py, to print too."),
    ] = None,
    as_json: options.Json = False,
) -> None:
    """Measure rows/s, compile time, memory, latency, and the share of the machine's roofline.

    Each recipe runs in a separate process. To compare with the official baseline's training loop,
    run tests/studies/versus_official.py and pass its result with --versus.

    [bold]Examples[/bold]

      mmctr-kit bench
      mmctr-kit bench --preset full --recipe din_official --set training.batch_size=8192
      mmctr-kit bench --data DATA --recipe qin --recipe gbdt --json
    """
    from mmctr_kit.data.parquet import require_folder
    from mmctr_kit.errors import UsageError
    from mmctr_kit.recipe import load_recipe
    from mmctr_kit.training.gpu_probe import require_gpu

    require_gpu(devices)
    if data is not None and preset is not None:
        raise UsageError("--data and --preset both name the data; give one of them")
    chosen = [load_recipe(name, settings or ()) for name in recipes or RECIPES]
    if data is not None:
        require_folder(data)
    folder = data or _generated(preset or "demo")
    with status("loading PyTorch"):
        from mmctr_kit.bench.result import read_versus
        from mmctr_kit.bench.speed import Setting, bench_recipe
        from mmctr_kit.cv.executors.local import available_cores
        from mmctr_kit.training.device import describe_device, resolve_device

        device = resolve_device(devices).split(",")[0]
    setting = Setting(folder, device, threads or available_cores(), seconds, steps)
    comparison = None if versus is None else read_versus(versus)
    results = []
    for recipe in chosen:
        with status(f"measuring {recipe.name}"):
            results.append(bench_recipe(recipe, setting))
    where = describe_device(device)
    if device == "cpu":
        where += f", {plural(setting.threads, 'thread')}"
    if as_json:
        content = {
            "device": where,
            "data": str(folder),
            "results": [result.as_json() for result in results],
            "side_by_side": None if comparison is None else comparison.as_json(),
        }
        print_json(finite(content))
        return
    print_results(results, where, str(folder))
    if comparison is not None:
        print_versus(comparison)


def _generated(preset: str) -> Path:
    """Return the folder of a preset's data, generated once."""
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
    """Print speed, shares of the roofline, latency and memory of each recipe."""
    say(f"on {where}; data: {data}")
    say("Training an epoch of one fold, and predicting all of test", style="bold")
    columns = ("recipe", "batch", "train rows/s", "epoch s", "predicted/s", "test s", "compile")
    table(columns, [_speed(each) for each in results])
    say("predicted/s: rows per second of prediction")
    say("epoch s, test s: extrapolated from the timed rows (=: all of test was timed)")
    say("compile: seconds to compile and capture a step, before the first")
    least = min((r.training.cpu_share or 1.0 for r in results), default=1.0)
    if least < BUSY:
        say(f"The machine was busy: training had {least:.0%} of its threads' time. Measure again.")
    _print_work(results)
    say("Latency of a request by its number of candidates, p50/p99 in ms", style="bold")
    cost_table("recipe", [(result.recipe, result) for result in results])
    fewest = min(each.requests for result in results for each in result.latency)
    if fewest < _FOR_P99:
        say(f"p99 from {fewest} requests only: effectively the maximum")


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
    rooflines = []
    for result in results:
        if result.work is None:
            continue
        work, phases = result.work, result.phases
        matrix, memory = work.shares(result.training.rows_per_second)
        shares = [f"{share:.0%}" for share in phases.values()] if phases else ["-"] * 4
        mega = f"{work.flops / 1e6:.1f}"
        rows.append([result.recipe, mega, f"{matrix:.0%}", f"{memory:.0%}", *shares])
        rooflines.append(work.roofline)
    if not rows:
        return
    say("Share of the roofline, and of a step's time by phase", style="bold")
    phase = ("data", "forward", "backward", "optimizer")
    table(("recipe", "MFLOP/row", "matrix", "memory", *phase), rows)
    for precision in sorted({r.dtype for r in rooflines}):
        flops = max(r.flops for r in rooflines if r.dtype == precision)
        moved = max(r.bytes for r in rooflines if r.dtype == precision)
        best = f"{short(flops / 1e12)} TFLOP/s in {precision}, {short(moved / 1e9)} GB/s"
        say(f"roofline, measured in the same run: {best}")
    say("matrix: FLOP/s of a step's matrix products, against large square products")
    say("memory: bytes/s of the optimizer's pass over the weights, against a large copy")


def print_versus(versus: "Versus") -> None:
    """Print the rows/s of the official pipeline and of this project's, and their ratio."""
    title = f"{versus.recipe}: the official pipeline and ours, batch {versus.batch_size:,}"
    say(title, style="bold")
    rows = []
    clocks: tuple[tuple[Clock, str], ...] = (("wall", "wall time"), ("cpu", "CPU time"))
    for clock, name in clocks:
        official, ours, ratio = versus.speeds(clock)
        rows.append([name, f"{official:,.0f}", f"{ours:,.0f}", f"{ratio:.1f}x"])
    table(("rows/s by", "official", "ours", "ours is"), rows)
    loading = max(r.loading for r in versus.rounds)
    say(f"measured in turn on {versus.device}; medians of {plural(len(versus.rounds), 'round')}")
    say(f"official: fuxictr, float32, up to {loading:.0%} in its loader; ours: {versus.precision}")
