"""``mmctr-kit report``: a run, blend, ablation or study as one HTML page."""

from pathlib import Path
from typing import Annotated

from typer import Option

from mmctr_kit.cli import options
from mmctr_kit.cli.output import print_json, say, say_path, status
from mmctr_kit.errors import UsageError, plural


def report(
    run: Annotated[
        str | None,
        options.run_argument(
            "[RUN|BLEND|STUDY|ABLATION]", "Name or folder of a run, blend, study or ablation."
        ),
    ] = None,
    every: Annotated[
        bool, Option("--all", help="A page for each of RUNS, and index.html, which links to them.")
    ] = False,
    out: Annotated[
        Path | None,
        Option(
            metavar="F.html|FOLDER",
            help="Default: RUNS/NAME.html; with --all: RUNS. Missing folders are created.",
        ),
    ] = None,
    as_json: options.Json = False,
    submissions: Annotated[
        Path, Option(metavar="FOLDER", help="Submissions and their ledger, which the page names.")
    ] = options.LEDGER.parent,
    runs: options.Runs = options.RUNS,
) -> None:
    """Write a page about a run: its scores, what explains them, and what to do next.

    One self-contained HTML file, which needs no network and can be mailed or printed. It has the
    leaderboard, each fold model, feature importance of trees, ROC, calibration, score distributions
    and slices; a blend's weights and correlations; recipe, environment, timings. The page of a
    study or an ablation begins with it.

    [bold]Examples[/bold]

      mmctr-kit report mix
      mmctr-kit report din_official.ablate --out ablation.html
      mmctr-kit report gbdt_demo --runs demo/runs
      mmctr-kit report --all --out pages
    """
    if every == (run is not None):
        raise UsageError("report takes one name, or --all for every run; see 'mmctr-kit runs'")
    if run is None:
        _all(runs, submissions, out, as_json)
    else:
        _one(run, runs, submissions, out, as_json)


def _one(run: str, runs: Path, submissions: Path, out: Path | None, as_json: bool) -> None:
    from mmctr_kit.api.report import write_report

    with status(f"reading {run}"):
        path = write_report(run, out, submissions=submissions, runs=runs)
    size = path.stat().st_size
    if as_json:
        print_json({"path": str(path), "bytes": size})
    else:
        say_path("wrote ", path, f": {size / 1e6:.2f} MB")


def _all(runs: Path, submissions: Path, out: Path | None, as_json: bool) -> None:
    from mmctr_kit.api.report import write_reports

    with status(f"reading {runs}"):
        pages = write_reports(out, submissions=submissions, runs=runs)
    if as_json:
        written = {page.name: str(pages.folder / f"{page.name}.html") for page in pages.written}
        print_json({"index": str(pages.index), "pages": written, "left_out": pages.left_out})
        return
    for name, why in pages.left_out.items():
        say(f"no page of {name}: {why}", style="yellow")
    say_path("wrote ", pages.index, f": {plural(len(pages.written), 'page')}")
