"""``mmctr-kit blend``: average or stack runs into a run."""

from typing import Annotated, Literal

import typer

from mmctr_kit.cli.options import RUNS, ForceOption, JsonOption, RunsOption
from mmctr_kit.cli.output import print_json, say, status, table


def blend(
    run: Annotated[list[str], typer.Argument(metavar="RUN...", help="Names or folders of runs.")],
    name: Annotated[str, typer.Option(help="The blend's name; it is a run itself.")],
    method: Annotated[
        Literal["auto", "mean", "rank", "greedy", "lightgbm"], typer.Option()
    ] = "auto",
    seed: Annotated[int, typer.Option(help="Of bagging and of the stacker.")] = 0,
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
    from mmctr_kit.ensemble.blend_runs import blend_runs
    from mmctr_kit.runs import open_run, run_path
    from mmctr_kit.scores import estimate_from

    path = run_path(runs, name)
    opened = [open_run(r, runs) for r in run]
    with status(f"blending {len(opened)} runs"):
        result = blend_runs(opened, method, path, force, seed)
    if result is None:
        say(f"{path} is this blend already; nothing to do (--force makes it again)")
        return
    written, made = result
    metrics = written.metrics
    if as_json:
        print_json({"method": made.method, "reason": made.reason, "metrics": metrics})
        return
    if made.scores:
        rows = []
        for tried, score in made.scores.items():
            gain = made.differences[tried].signed() if tried in made.differences else ""
            rows.append((tried, str(score), gain))
        table(("method", "cross-fitted OOF AUC", "against mean"), rows)
    say(made.reason)
    if made.weights:
        weights = ", ".join(f"{k} {v:.2f}" for k, v in made.weights.items())
        say(f"weights: {weights}")
    say(f"{written.path}: valid AUC {estimate_from(metrics['valid'])} (fold mean)")
