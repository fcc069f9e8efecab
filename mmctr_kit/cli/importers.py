"""``mmctr-kit import-predictions`` and ``import-checkpoint``: somebody's work as a run."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from mmctr_kit.cli.complete import complete_recipes
from mmctr_kit.cli.options import RUNS, DataOption, ForceOption, JsonOption, RunsOption
from mmctr_kit.cli.output import print_json, progress, say, say_path
from mmctr_kit.errors import plural


def import_checkpoint(
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="A torch state dict, .npz or .safetensors.")
    ],
    recipe: Annotated[
        str,
        typer.Option(
            help="The recipe whose model the weights fit.", autocompletion=complete_recipes
        ),
    ],
    name: Annotated[str, typer.Option(help="The run's name.")],
    data: DataOption,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Override a recipe key, like a.b=3."),
    ] = None,
    device: Annotated[Literal["auto", "cpu", "cuda"], typer.Option()] = "auto",
    force: ForceOption = False,
    as_json: JsonOption = False,
    runs: RunsOption = RUNS,
) -> None:
    """Make a run of weights that were trained with the published code.

    It has no OOF: it can be averaged and ranked, but not stacked.

    [bold]Examples[/bold]

      mmctr-kit import-checkpoint QIN.model --recipe qin --name qin_1st --data DATA
    """
    from mmctr_kit.api.preflight import as_data, as_recipe, output_path
    from mmctr_kit.errors import UsageError
    from mmctr_kit.runs.run import Run

    loaded = as_recipe(recipe, settings or ())
    if not file.is_file():
        raise UsageError(f"no checkpoint at '{file}'")
    path = output_path(runs, name, data, device)
    from mmctr_kit.importers.checkpoint import import_checkpoint as make
    from mmctr_kit.training.device import resolve_device

    where = resolve_device(device).split(",")[0]
    with progress(as_json) as display:
        content = as_data(data, display)
        run = make(file, loaded, content, where, path, force)
    if as_json:
        print_json((run or Run(path)).metrics)
    elif run is None:
        say_path("", path, " holds this checkpoint's predictions already; nothing to do")
    else:
        say_path("", run.path, f": valid AUC {run.valid_auc}")


def import_predictions(
    test: Annotated[Path, typer.Argument(metavar="FILE", help="Test scores by ID, or a zip.")],
    name: Annotated[str, typer.Option(help="The run's name.")],
    data: DataOption,
    valid: Annotated[
        Path | None,
        typer.Option(help="Valid scores: user_id, item_id and logit or probability."),
    ] = None,
    oof: Annotated[
        Path | None, typer.Option(help="OOF scores, with the fold of runs/NAME/oof.parquet.")
    ] = None,
    task: Annotated[Literal["Task1", "Task2", "both"] | None, typer.Option()] = None,
    force: ForceOption = False,
    as_json: JsonOption = False,
    runs: RunsOption = RUNS,
) -> None:
    """Make a run of predictions from elsewhere, to compare, blend and submit.

    Without --oof it can be averaged and ranked but not stacked. Without --valid it, and any blend
    of it, has no valid AUC.

    [bold]Examples[/bold]

      mmctr-kit import-predictions theirs.zip --name theirs --data DATA

      mmctr-kit import-predictions theirs.zip --valid valid.csv --name theirs --data DATA
    """
    from mmctr_kit.api.runs import import_predictions as make

    with progress(as_json) as display:
        run = make(
            test,
            name,
            data,
            valid=valid,
            oof=oof,
            task=task,
            force=force,
            runs=runs,
            progress=display,
        )
    if as_json:
        print_json(run.metrics)
    elif not display.finished:
        text = f": imported {plural(len(run.test_scores()), 'test prediction')}"
        text += "" if run.oof_auc is None else f", OOF AUC {run.oof_auc}"
        text += "" if run.valid_auc is None else f", valid AUC {run.valid_auc}"
        say_path("", run.path, text)
        if run.valid_auc is None:
            say("Pass --valid to get a valid AUC.")
