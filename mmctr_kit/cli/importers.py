"""``mmctr-kit import-predictions`` and ``import-checkpoint``: somebody's work as a run."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from mmctr_kit.cli.complete import complete_recipes
from mmctr_kit.cli.options import RUNS, DataOption, ForceOption, JsonOption, RunsOption
from mmctr_kit.cli.output import print_json, say_path, status
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
    from mmctr_kit.errors import UsageError
    from mmctr_kit.recipe import load_recipe
    from mmctr_kit.runs.run import Run, run_path
    from mmctr_kit.training.gpu_probe import require_gpu

    path = run_path(runs, name)
    require_gpu(device)
    loaded = load_recipe(recipe, settings or ())
    if not file.is_file():
        raise UsageError(f"no checkpoint at '{file}'")
    from mmctr_kit.data.load import load
    from mmctr_kit.importers.checkpoint import import_checkpoint as make
    from mmctr_kit.metrics.estimate import Estimate
    from mmctr_kit.training.device import resolve_device

    where = resolve_device(device).split(",")[0]
    with status(f"loading {data}"):
        content = load(data)
    with status("predicting"):
        run = make(file, loaded, content, where, path, force)
    if as_json:
        print_json((run or Run(path)).metrics)
        return
    if run is None:
        say_path("", path, " holds this checkpoint's predictions already; nothing to do")
        return
    say_path("", run.path, f": valid AUC {Estimate.from_json(run.metrics['valid'])}")


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
    from mmctr_kit.data.load import load
    from mmctr_kit.importers.predictions import import_predictions as make
    from mmctr_kit.metrics.estimate import Estimate
    from mmctr_kit.runs.run import Run, run_path

    path = run_path(runs, name)

    with status(f"loading {data}"):
        content = load(data)
    column = "Task1&2" if task == "both" else task
    run = make(content, test, valid, oof, column, path, force)
    if as_json:
        print_json((run or Run(path)).metrics)
        return
    if run is None:
        say_path("", path, " holds these predictions already; nothing to do")
        return
    metrics = run.metrics
    told = [plural(len(content.test), "test row")]
    if oof is not None:
        told.append(f"OOF AUC {Estimate.from_json(metrics['oof'])}")
    if valid is not None:
        told.append(f"valid AUC {Estimate.from_json(metrics['valid'])}")
    else:
        told.append("no valid AUC (no --valid)")
    say_path("", run.path, f": {', '.join(told)}")
