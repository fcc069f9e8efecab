"""``mmctr-kit fit``: one network trained on the whole train split."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from typer import Option

from mmctr_kit.cli import options
from mmctr_kit.cli.cv import show_plan
from mmctr_kit.cli.output import finite, print_json, progress, say, say_path, table

if TYPE_CHECKING:
    from mmctr_kit.api.results import FitResult


def fit(
    data: options.Data,
    recipe: Annotated[
        str | None,
        options.recipe_argument("RECIPE", "Name or file of a recipe; default: that of --like."),
    ] = None,
    like: Annotated[
        str | None,
        Option(
            metavar="RUN",
            help="A cv run of the recipe: train on all users, to the epoch it found best.",
            autocompletion=options.complete_runs,
        ),
    ] = None,
    name: Annotated[
        str | None, Option(help="Name of the run; RECIPE-fit or RUN-fit by default.")
    ] = None,
    settings: options.Settings = None,
    devices: options.Devices = "auto",
    force: options.Force = False,
    dry_run: Annotated[
        bool, Option("--dry-run", help="Check everything; print the plan and its cost.")
    ] = False,
    as_json: options.Json = False,
    runs: options.Runs = options.RUNS,
) -> None:
    """Train one network on the whole train split: no folds, no ensemble.

    That is what the rules of Task1 and Task2 ask for. The run has no OOF predictions; a cv of the
    same recipe says what score to expect.

    [bold]Examples[/bold]

      mmctr-kit fit din_official --data DATA

      mmctr-kit fit --like din_official --data DATA

      mmctr-kit fit din_demo --data demo/data --set training.average=ema
    """
    from mmctr_kit.api.plans import Options, plan_single_fit

    if recipe is None:
        recipe, name = _recipe_of(like, runs), name or f"{Path(str(like)).name}-fit"
    shared = Options(name, settings or (), devices, None, force, runs)
    with progress(as_json) as display:
        single = plan_single_fit(recipe, data, shared, like, display, plan_finished=dry_run)
    if dry_run:
        shown = show_plan(single.planned, as_json)
        if as_json:
            print_json(shown)
        return
    with progress(as_json, "from the last finished epoch", force) as display:
        run = single.run(display)
    if as_json:
        print_json(run.metrics | {"predictors": finite(run.predictors().to_dict("records"))})
    elif not display.finished:
        _conclude(run)


def _recipe_of(like: str | None, runs: Path) -> str:
    """The file of the resolved recipe of the run ``like``."""
    from mmctr_kit.errors import UsageError
    from mmctr_kit.runs.run import open_run

    if like is None:
        raise UsageError("RECIPE is missing; name one, or a cv run with --like RUN")
    return str(open_run(like, runs).path / "recipe.yaml")


def _conclude(run: "FitResult") -> None:
    say_path("", run.path, f": valid AUC {run.valid_auc} (one network)")
    known = run.beside()
    if known is None:
        say(f"for the score to expect: mmctr-kit cv of the same recipe, beside {run.path.name}")
        return
    say(f"beside it {known.run}, a cross-validation of the same recipe:")
    gap = "" if known.gap is None else known.gap.signed()
    rows = [
        ("single fit", "one network, all users", str(run.valid_auc), gap),
        ("fold model", "one network, k - 1 folds", str(known.fold_model), ""),
        ("fold mean", "an ensemble of k networks", str(known.fold_mean), ""),
    ]
    table(("predictor", "what it is", "valid AUC", "less fold mean"), rows, left=2)
