"""``mmctr-kit slices``: what a run is worth on parts of the rows."""

from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from mmctr_kit.cli.complete import complete_runs
from mmctr_kit.cli.options import RUNS, JsonOption, RunsOption
from mmctr_kit.cli.output import print_json, say, table

if TYPE_CHECKING:
    from mmctr_kit.runs.run import Run


_HEADINGS = {
    "oof": "OOF rows, each scored by its fold model; AUC of pairs within a fold",
    "valid": "valid rows, scored by the fold mean",
}


def slices(
    run: Annotated[
        str, typer.Argument(metavar="RUN", help="A run of cv.", autocompletion=complete_runs)
    ],
    split: Annotated[
        Literal["oof", "valid"] | None, typer.Option(help="One of the two alone.")
    ] = None,
    as_json: JsonOption = False,
    runs: RunsOption = RUNS,
) -> None:
    """Show a run's AUC by history length, item popularity, tags, text and image.

    "SE" is how many standard errors the slice's AUC lies above (+) or below (-) that of all
    other rows; at -3 it is pointed out (!). p is the mean prediction, label the mean label, ECE the
    calibration error. A slice of one label has no AUC.

    [bold]Examples[/bold]

      mmctr-kit slices din_official --split valid

      mmctr-kit slices din_demo_e4 --runs demo/runs --json
    """
    from mmctr_kit.runs.run import open_run

    opened = open_run(run, runs)
    metrics = _metrics(opened)
    chosen = [e for e in metrics["slices"] if split in (None, e["split"])]
    if as_json:
        print_json({"slices": chosen, "left_out": metrics["slices_left_out"]})
        return
    for name, heading in _HEADINGS.items():
        entries = [e for e in chosen if e["split"] == name]
        if entries:
            say(heading)
            table(
                ["slice", "rows", "AUC", "SE", "p", "label", "ECE"],
                [_row(e) for e in entries],
            )
    for left_out, why in metrics["slices_left_out"].items():
        say(f"left out: {left_out} ({why})")
    worse = [e for e in chosen if e["worse"]]
    for e in worse:
        say(f"{e['split']}, {e['by']} {e['slice']} is worse:", style="yellow")
        say(f"  {e['note']}", style="yellow")
    if not worse:
        say("no slice is worse than the other rows by 3 standard errors")


def _metrics(run: "Run") -> dict[str, Any]:
    """The run's metrics; RunError if they hold no slices, UsageError if its kind has none."""
    from mmctr_kit.errors import RunError, UsageError

    metrics, manifest = run.metrics, run.manifest
    if "slices" in metrics:
        return metrics
    if manifest.kind == "cv":
        raise RunError(
            f"run '{run.name}' was made before runs had slices; make it again (cv --force)"
        )
    hint = f"; its sources: {', '.join(manifest.sources)}" if manifest.sources else ""
    raise UsageError(f"run '{run.name}' is of kind {manifest.kind}; only cv runs have slices{hint}")


def _row(entry: dict[str, Any]) -> list[str]:
    from mmctr_kit.metrics.estimate import Estimate

    auc, errors = Estimate.find(entry, "auc"), entry["errors"]
    return [
        f"{entry['by']} {entry['slice']}",
        f"{entry['rows']:,}",
        "-" if auc is None else auc.compact(),
        "-" if errors is None else f"{errors:+.1f}" + " !" * entry["worse"],
        f"{entry['mean_prediction']:.3f}",
        f"{entry['mean_label']:.3f}",
        f"{entry['ece']:.3f}",
    ]
