"""``mmctr-kit slices``: what a run is worth on parts of the rows."""

from pathlib import Path
from typing import Annotated, Any, Literal

from typer import Option

from mmctr_kit.cli import options
from mmctr_kit.cli.output import cell, print_json, say, status, table

_HEADINGS = {
    "oof": "OOF rows, each scored by its fold model; AUC of pairs within a fold",
    "valid": "valid rows, scored by the fold mean",
}


def slices(
    run: Annotated[str, options.run_argument("RUN", "Name or folder of a run or blend.")],
    split: Annotated[Literal["oof", "valid"] | None, Option(help="Show only this split.")] = None,
    data: Annotated[
        Path | None,
        Option(help="Data of a blend or an import; default: where its runs had it."),
    ] = None,
    as_json: options.Json = False,
    runs: options.Runs = options.RUNS,
) -> None:
    """Show a run's AUC by history length, item popularity, tags, text and image.

    Each slice's AUC is compared with the AUC of all other rows. A slice in which all labels are
    equal has none. The lines below the tables say what each column means. Slices of a blend or an
    import are computed from its data, which takes a moment.

    [bold]Examples[/bold]

      mmctr-kit slices din_official --split valid
      mmctr-kit slices blend --runs demo/runs
      mmctr-kit slices din_demo_e4 --runs demo/runs --json
    """
    from mmctr_kit.data.parquet import require_folder
    from mmctr_kit.errors import UsageError
    from mmctr_kit.runs.manifest import KINDS
    from mmctr_kit.runs.run import open_run
    from mmctr_kit.runs.slices import LEGEND, slices_of

    opened = open_run(run, runs)
    if data is not None:
        require_folder(data)
    with status(f"slicing the rows of {opened.name}"):
        metrics = slices_of(opened, data)
    chosen = [e for e in metrics["slices"] if split in (None, e["split"])]
    if split is not None and not chosen:
        what = f"'{opened.name}' ({KINDS[opened.manifest.kind]})"
        raise UsageError(f"{what} has no {split} predictions to slice; leave out --split {split}")
    if as_json:
        print_json({"slices": chosen, "left_out": metrics["slices_left_out"]})
        return
    for name, heading in _HEADINGS.items():
        entries = [e for e in chosen if e["split"] == name]
        if entries:
            say(heading)
            columns = ("slice", "rows", "AUC", "z", "score", "label", "ECE")
            table(columns, [_row(e) for e in entries])
    if not chosen:
        say(f"{opened.name} has no OOF and no valid predictions to slice")
        return
    for line in LEGEND:
        say(line)
    for left_out, why in metrics["slices_left_out"].items():
        say(f"left out: {left_out} ({why})")
    worse = [e for e in chosen if e["worse"]]
    for e in worse:
        say(f"{e['split']}, {e['by']} {e['slice']} is worse:", style="yellow")
        say(f"  {e['note']}", style="yellow")
    if not worse:
        say("no slice is worse than the other rows by 3 standard errors")


def _row(entry: dict[str, Any]) -> list[str]:
    from mmctr_kit.metrics.estimate import Estimate
    from mmctr_kit.runs.slices import ece_text, z_text

    return [
        f"{entry['by']} {entry['slice']}",
        f"{entry['rows']:,}",
        cell(Estimate.find(entry, "auc")),
        z_text(entry).replace("–", "-"),
        *(f"{entry[key]:.3f}" for key in ("mean_prediction", "mean_label")),
        ece_text(entry),
    ]
