"""``mmctr-kit report``: a run, blend, ablation or study as one HTML page."""

from pathlib import Path
from typing import Annotated

from typer import Option

from mmctr_kit.cli import options
from mmctr_kit.cli.output import print_json, say_path, status


def report(
    run: Annotated[
        str,
        options.run_argument(
            "RUN|BLEND|STUDY|ABLATION", "Name or folder of a run, blend, study or ablation."
        ),
    ],
    out: Annotated[
        Path | None,
        Option(metavar="F.html", help="Default: RUNS/NAME.html. Missing folders are created."),
    ] = None,
    as_json: options.Json = False,
    runs: options.Runs = options.RUNS,
) -> None:
    """Write a page about a run: its scores, what explains them, and what to do next.

    One self-contained HTML file, which needs no network and can be mailed or printed. It has the
    leaderboard, learning curves, ROC, calibration, score distributions and slices; a blend's
    weights and correlations; ablation and tuning if there are any; recipe, environment, timings.

    [bold]Examples[/bold]

      mmctr-kit report mix
      mmctr-kit report din_official.ablate --out ablation.html
      mmctr-kit report gbdt_demo --runs demo/runs
    """
    from mmctr_kit.report.context import open_context, require_page, resolve_name

    run = resolve_name(run, runs)
    path = out or runs / f"{Path(run).name}.html"
    require_page(path)
    with status(f"reading {run}"):
        context = open_context(run, runs, Path("submissions"))
    with status(f"drawing {run}"):
        from mmctr_kit.report.page import write_report

        write_report(context, path)
    size = path.stat().st_size
    if as_json:
        print_json({"path": str(path), "bytes": size})
    else:
        say_path("wrote ", path, f": {size / 1e6:.2f} MB")
