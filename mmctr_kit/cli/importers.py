"""``mmctr-kit import-predictions`` and ``import-checkpoint``: somebody's work as a run."""

from pathlib import Path
from typing import Annotated, Literal

from typer import Argument, Option

from mmctr_kit.cli import options
from mmctr_kit.cli.output import print_json, progress, say, say_path
from mmctr_kit.errors import plural


def import_checkpoint(
    file: Annotated[
        Path, Argument(metavar="FILE", help="A torch state dict, .npz or .safetensors.")
    ],
    name: Annotated[str, Option(help="Name of the run.")],
    data: options.Data,
    recipe: Annotated[
        str | None,
        Option(
            help="The recipe whose model has these weights; default: that of the run they are in.",
            autocompletion=options.complete_recipes,
        ),
    ] = None,
    settings: options.Settings = None,
    device: Annotated[
        Literal["auto", "cpu", "cuda"], Option(help="auto: a GPU, or the CPU if there is none.")
    ] = "auto",
    force: options.Force = False,
    as_json: options.Json = False,
    runs: options.Runs = options.RUNS,
) -> None:
    """Make a run of weights: of the published code, or of one fold model of a run.

    A fold model's weights are RUNS/NAME/folds/FOLD-SEED/weights.safetensors. The new run has no OOF
    predictions: it can be averaged and ranked, but not stacked.

    [bold]Examples[/bold]

      mmctr-kit import-checkpoint QIN.model --recipe qin --name qin_1st --data DATA

      mmctr-kit import-checkpoint 0-0/weights.safetensors --name one --data DATA
    """
    from mmctr_kit.api.preflight import as_data, load_recipe, output_path
    from mmctr_kit.api.progress import ProgressEvent
    from mmctr_kit.errors import UsageError
    from mmctr_kit.runs.run import Run, recipe_beside

    loaded = None if recipe is None else load_recipe(recipe, settings or ())
    if not file.is_file():
        raise UsageError(f"no checkpoint at '{file}'")
    path = output_path(runs, name, data, device)
    if loaded is None and (own := recipe_beside(file)) is not None:
        loaded = load_recipe(own, settings or ())
    if loaded is None:
        raise UsageError(
            f"'{file}' is not in a run's folds/FOLD-SEED/, so nothing tells its recipe; name it "
            "with --recipe"
        )
    with progress() as display:
        display(ProgressEvent("load", label="loading PyTorch"))
        from mmctr_kit.importers.checkpoint import import_checkpoint as make
        from mmctr_kit.training.device import resolve_device

        where = resolve_device(device).split(",")[0]
        content = as_data(data, display)
        run = make(file, loaded, content, where, path, force)
    if as_json:
        print_json((run or Run(path)).metrics)
    elif run is None:
        say_path("", path, " holds this checkpoint's predictions already; nothing to do")
    else:
        say_path("", run.path, f": valid AUC {run.valid_auc}")


def import_predictions(
    test: Annotated[
        Path, Argument(metavar="FILE", help="Test scores: a submission, or ID and scores.")
    ],
    name: Annotated[str, Option(help="Name of the run.")],
    data: options.Data,
    valid: Annotated[
        Path | None, Option(help="Valid scores: user_id, item_id and logit or probability.")
    ] = None,
    oof: Annotated[
        Path | None, Option(help="OOF scores, with the column fold as in runs/NAME/oof.parquet.")
    ] = None,
    task: Annotated[
        options.Task | None, options.task_option("Column of a submission that has several.")
    ] = None,
    force: options.Force = False,
    as_json: options.Json = False,
    runs: options.Runs = options.RUNS,
) -> None:
    """Make a run of predictions from elsewhere, to compare, blend and submit.

    Without --oof the run can be averaged and ranked, but not stacked. Without --valid the run, and
    each blend that contains it, has no valid AUC.

    [bold]Examples[/bold]

      mmctr-kit import-predictions theirs.zip --name theirs --data DATA
      mmctr-kit import-predictions theirs.zip --valid valid.csv --name theirs --data DATA
    """
    from mmctr_kit.api.runs import import_predictions as make

    with progress() as display:
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
        for split, auc in (("OOF", run.oof_auc), ("valid", run.valid_auc)):
            text += "" if auc is None else f", {split} AUC {auc}"
        say_path("", run.path, text)
        if run.valid_auc is None:
            say("Pass --valid to get a valid AUC.")
