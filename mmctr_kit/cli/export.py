"""``mmctr-kit export``: runs and studies in an experiment tracker."""

from collections import Counter
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Literal

from typer import Option

from mmctr_kit.cli import options
from mmctr_kit.cli.output import print_json, progress, say, say_path
from mmctr_kit.errors import plural

if TYPE_CHECKING:
    from mmctr_kit.api.export import ExportResult

_THEN = {
    "mlflow": "mlflow ui --backend-store-uri {place}  # of pip install mlflow",
    "wandb": "wandb sync {place}/offline-run-*",
    "trackio": "TRACKIO_DIR={place} trackio show",
    "tensorboard": "tensorboard --logdir {place}",
}
"""The command with which each tool shows, or sends, what was exported. The extra mlflow
writes, and has no ui."""


def export(
    run: Annotated[
        list[str], options.run_argument("RUN...", "Names or folders of runs, blends and studies.")
    ],
    to: Annotated[
        Literal["mlflow", "wandb", "trackio", "tensorboard"],
        Option(help="The tool; each needs the extra of its name, pip install 'mmctr-kit[mlflow]'."),
    ],
    where: Annotated[
        str | None,
        Option(
            metavar="URI|FOLDER",
            help="mlflow: a tracking URI, by default $MLFLOW_TRACKING_URI or sqlite:///mlflow.db. "
            "wandb: default $WANDB_DIR or this folder; trackio: $TRACKIO_DIR or Trackio's own; "
            "tensorboard: tensorboard/.",
        ),
    ] = None,
    project: Annotated[
        str | None,
        Option(help="MLflow's experiment, W&B's or Trackio's project; default: mmctr-kit."),
    ] = None,
    weights: Annotated[
        bool, Option("--weights", help="Copy the fold models' weights too.")
    ] = False,
    as_json: options.Json = False,
    runs: options.Runs = options.RUNS,
) -> None:
    """Copy finished runs, blends and studies to the tool in which you compare experiments.

    A copy has the resolved recipe, every score with its standard error beside it (valid_auc,
    valid_auc_se), each fold model's epochs, the run's files and report, and tags: kind, versions,
    seeds, fingerprints. A blend's tags name its runs; a study comes with its trials and finalists.

    Exported twice, a run is there once; a copy that is out of date is replaced. Nothing is sent
    over a network unless the tracking URI is a server's: W&B's runs are written offline, for
    wandb sync. A study's trials can be watched without export:
    optuna-dashboard RUNS/NAME.study/study.journal.

    [bold]Examples[/bold]

      mmctr-kit export din_official din_e4 mix --to mlflow
      mmctr-kit export din_mha_se_pca.study --to tensorboard --where logs
      mmctr-kit export gbdt_demo --runs demo/runs --to wandb --project mmctr
    """
    from mmctr_kit.api.export import export_runs

    with progress() as display:
        made = export_runs(
            run,
            to,
            where=where,
            project=project,
            weights=weights,
            runs=runs,
            progress=display,
        )
    if as_json:
        print_json({"place": made.place, "exported": [asdict(one) for one in made.exported]})
    else:
        _print(made, to)


def _print(made: "ExportResult", to: str) -> None:
    for one in made.exported:
        if one.kind != "trial":
            say(f"{one.name} ({one.kind}): {one.state}")
    trials = Counter(one.state for one in made.exported if one.kind == "trial")
    for state, number in trials.items():
        say(f"{plural(number, 'trial')}: {state}")
    say_path("in ", made.place, "")
    if "://" not in made.place or made.place.startswith("sqlite:"):  # else there is a server
        say(f"to look: {_THEN[to].format(place=made.place)}", wrap=False)
