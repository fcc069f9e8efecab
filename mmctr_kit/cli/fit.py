"""``mmctr-kit fit``: one model trained on the whole train split."""

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from typer import Option

from mmctr_kit.cli import options
from mmctr_kit.cli.output import finite, print_json, progress, say, say_path, table
from mmctr_kit.cli.plans import show_plan
from mmctr_kit.errors import plural

if TYPE_CHECKING:
    from mmctr_kit.api.plans import PlannedFit
    from mmctr_kit.api.results import FitResult
    from mmctr_kit.cv.whole import CvReference


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
            help="A cv run of the recipe: hold nobody out, stop at the epoch it found best.",
            autocompletion=options.complete_runs,
        ),
    ] = None,
    name: Annotated[
        str | None, Option(help="Name of the run; RECIPE-fit or RUN-fit by default.")
    ] = None,
    settings: options.Settings = None,
    devices: options.Devices = "auto",
    force: options.Force = False,
    dry_run: options.DryRun = False,
    as_json: options.Json = False,
    runs: options.Runs = options.RUNS,
) -> None:
    """Train one model on the whole train split: no folds, no ensemble.

    The rules of Task1 and Task2 ask for one network. Without --like, 5 % of the users are held out
    to choose the epoch (training.holdout). With it, the recipe is that of RUN, which only
    training.average, ema_decay, tail and teacher may change. training.average=ema or tail averages
    the weights of the steps, which is still one network.

    [bold]Examples[/bold]

      mmctr-kit fit din_official --data DATA

      mmctr-kit fit --like din_official --data DATA

      mmctr-kit fit --like din_official --data DATA --set training.average=ema --name ema
    """
    from mmctr_kit.api.options import Options
    from mmctr_kit.api.plans import plan_dry, plan_single_fit

    shared = Options(name, settings or (), devices, None, force, runs)
    with progress() as display:

        def plan(given: Options) -> "PlannedFit":
            return plan_single_fit(recipe, data, given, like, display, plan_finished=dry_run)

        single = plan_dry(plan, shared, display) if dry_run else plan(shared)
    if dry_run:
        shown = show_plan(single.planned, as_json)
        if as_json:
            print_json(shown)
        elif (known := single.reference()) is not None:
            _compare(known, [])
        return
    with progress("from the last finished epoch", force) as display:
        run = single.run(display)
    if as_json:
        print_json(run.metrics | {"predictors": finite(run.predictors().to_dict("records"))})
    else:
        held_out = single.recipe.training.holdout
        users = f"{100 * (1 - held_out):.3g} % of the users" if held_out else "all users"
        _conclude(run, users, recipe, data)


def _conclude(run: "FitResult", users: str, recipe: str | None, data: Path) -> None:
    say_path("", run.path, f": valid AUC {run.valid_auc} (one model)")
    known = run.reference()
    if known is None:
        command = shlex.join(["mmctr-kit", "cv", recipe or "RECIPE", "--data", str(data)])
        say(f"A cross-validation of the same recipe would say what to expect: {command}")
        return
    gap = "" if known.gap is None else known.gap.signed()
    _compare(known, [("single fit", f"one model, {users}", str(run.valid_auc), gap)])


def _compare(known: "CvReference", rows: list[tuple[str, str, str, str]]) -> None:
    """Print the scores of the cross-validation, after the fit's own row if it is trained."""
    but = f" but for {', '.join(known.differs)}" if known.differs else ""
    say(f"Compared with {known.run}, a cross-validation of the same recipe{but}:")
    rows += [
        ("fold model", "one model, k - 1 folds", str(known.fold_model), ""),
        ("fold mean", f"mean of {plural(known.models, 'model')}", str(known.fold_mean), ""),
    ]
    table(("predictor", "what it is", "valid AUC", "less fold mean"), rows, left=2)
