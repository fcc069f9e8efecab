"""``mmctr-kit blend``: average or stack runs into a run."""

from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from mmctr_kit.cli.options import RUNS, ForceOption, JsonOption, RunsOption
from mmctr_kit.cli.output import print_json, say, status, table

if TYPE_CHECKING:
    from mmctr_kit.runs import Run


def blend(
    run: Annotated[list[str], typer.Argument(metavar="RUN...", help="Names or folders of runs.")],
    name: Annotated[str, typer.Option(help="The blend's name; it is a run itself.")],
    method: Annotated[
        Literal["auto", "mean", "rank", "greedy", "lightgbm"], typer.Option()
    ] = "auto",
    seed: Annotated[
        int, typer.Option(min=0, max=2**31 - 1, help="Of bagging and of the stacker.")
    ] = 0,
    force: ForceOption = False,
    as_json: JsonOption = False,
    runs: RunsOption = RUNS,
) -> None:
    """Blend runs that share rows, labels and folds; their features may differ.

    Every method is fitted on some users and scored on the others. auto takes the plain mean
    unless a method beats it by more than 2 errors, corrected for the number of methods.

    [bold]Examples[/bold]

      mmctr-kit blend din_official qin --name both

      mmctr-kit blend a b c --method lightgbm --name stacked
    """
    from mmctr_kit.ensemble.blend_runs import blend_report, blend_runs
    from mmctr_kit.runs import Run, open_run, run_path

    path = run_path(runs, name)
    opened = [open_run(r, runs) for r in run]
    with status(f"blending {len(opened)} runs"):
        result = blend_runs(opened, method, path, force, seed)
    done = Run(path) if result is None else result[0]
    report, metrics = blend_report(done), done.metrics
    if as_json:
        print_json(report | {"metrics": metrics})
    elif result is None:
        say(f"{path} is this blend already; nothing to do (--force makes it again)")
    else:
        _tell(done, report, metrics)


def _tell(run: "Run", report: dict[str, Any], metrics: dict[str, Any]) -> None:
    from mmctr_kit.scores import estimate_from

    scores, gains = report["scores"], report["differences"]
    if scores:
        rows = []
        for tried, score in scores.items():
            gain = estimate_from(gains[tried]).signed() if tried in gains else ""
            rows.append((tried, str(estimate_from(score)), gain))
        table(("method", "cross-fitted OOF AUC", "against mean"), rows)
    say(report["reason"])
    if report["weights"]:
        say(f"weights: {', '.join(f'{k} {v:.2f}' for k, v in report['weights'].items())}")
    if metrics["valid"] is None:
        say(f"{run.path}: no valid AUC, since a run has no valid rows")
    else:
        say(f"{run.path}: valid AUC {estimate_from(metrics['valid'])} (fold mean)")
