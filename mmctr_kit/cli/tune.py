"""``mmctr-kit tune``: search a recipe's keys, and report a score that chose nothing."""

import re
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mmctr_kit.cli.complete import complete_recipes
from mmctr_kit.cli.options import (
    RUNS,
    DataOption,
    DevicesOption,
    ForceOption,
    JsonOption,
    RunsOption,
)
from mmctr_kit.cli.output import print_json, say, say_path, status, stopped, warn
from mmctr_kit.cli.preflight import training_place
from mmctr_kit.errors import plural

if TYPE_CHECKING:
    from mmctr_kit.tune.folder import StudyFolder
    from mmctr_kit.tune.study import StudyPlan
    from mmctr_kit.tune.summary import Summary


_UNITS = {"s": 1, "m": 60, "h": 3600}


def _seconds(value: str | None) -> str | None:
    if value is not None and not re.fullmatch(r"\d+(\.\d+)?[smh]", value):
        raise typer.BadParameter(f"expected a time like 90s, 30m or 2h; found {value!r}")
    return value


def tune(
    recipe: Annotated[
        str,
        typer.Argument(metavar="RECIPE", help="A name or a file.", autocompletion=complete_recipes),
    ],
    data: DataOption,
    trials: Annotated[
        int, typer.Option(min=1, help="How many trials the study has in the end.")
    ] = 30,
    timeout: Annotated[
        str | None,
        typer.Option(metavar="TIME", callback=_seconds, help="Begin no trial after 90s, 30m, 2h."),
    ] = None,
    workers: Annotated[
        int | None,
        typer.Option(
            "--workers",
            "--jobs",
            min=1,
            help="Trials side by side; by default one a CPU core, or one a GPU.",
        ),
    ] = None,
    name: Annotated[
        str | None, typer.Option(help="The study's name; the recipe's by default.")
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Override a key of the recipe."),
    ] = None,
    finalists: Annotated[
        int, typer.Option(min=1, help="How many of the best trials are trained again.")
    ] = 3,
    seeds: Annotated[
        int, typer.Option("--final-seeds", min=1, help="With how many new seeds each.")
    ] = 3,
    listing: Annotated[
        bool, typer.Option("--list", help="Print the search space as YAML; train nothing.")
    ] = False,
    devices: DevicesOption = "auto",
    force: ForceOption = False,
    as_json: JsonOption = False,
    runs: RunsOption = RUNS,
) -> None:
    """Search a recipe's keys for the best mean fold AUC less its error.

    What is searched is the recipe's "search:" block, or a space around the recipe (--list shows
    it, as YAML to copy and change). Unpromising trials are given up early. The best few are then
    trained again with new seeds, the best of these by OOF is written to RUNS/NAME.study/best.yaml,
    and its valid AUC, which chose nothing, is the score to believe.

    The same command goes on with an unfinished study, or with more --trials extends one; given
    again elsewhere meanwhile, it joins in. optuna-dashboard RUNS/NAME.study/study.journal shows it.

    [bold]Examples[/bold]

      mmctr-kit tune din_mha_demo --data demo/data --trials 30

      mmctr-kit tune din_mha_se_pca --data DATA --trials 100 --timeout 2h

      mmctr-kit tune din_official --data DATA --list
    """
    from mmctr_kit.recipe import load_recipe

    base = load_recipe(recipe, settings or ())
    called = base.name if name is None else name
    path = training_place(runs, called, data, devices, ".study")
    from mmctr_kit.recipe.space import search_of
    from mmctr_kit.tune.conflict import require_study
    from mmctr_kit.tune.space import require_feasible

    require_feasible(search_of(base), base)
    if not listing:
        require_study(path, base, force)
    from mmctr_kit.audit.sanity import training_warnings
    from mmctr_kit.data.load import load
    from mmctr_kit.training.device import resolve_device
    from mmctr_kit.tune.study import begin_study, plan_study

    where = resolve_device(devices)
    with status(f"loading {data} and planning"):
        plan = plan_study(base, load(data), where, workers)
    for line in training_warnings(plan.data):
        warn(line)
    for modality in plan.base.items.missing:
        warn(f"{base.items.embedding} goes without {modality}, which the folder does not hold")
    if listing:
        _list(plan, as_json)
        return
    folder, had, dead = begin_study(plan, path, force)
    if not as_json:
        for what, why in plan.left_out.items():
            say(f"left out: {what} ({why})")
        _say_begin(plan, path, trials, had, dead)
    summary = _run(plan, folder, trials, timeout, workers, (finalists, seeds), as_json)
    if as_json:
        print_json(summary.as_json())
    else:
        from mmctr_kit.cli.tune_summary import print_summary

        print_summary(summary, path)


def _run(
    plan: "StudyPlan",
    folder: "StudyFolder",
    trials: int,
    timeout: str | None,
    workers: int | None,
    final: tuple[int, int],
    quiet: bool,
) -> "Summary":
    from mmctr_kit.cli.tune_progress import Teller
    from mmctr_kit.tune.study import conclude_study, search_study

    limit = None if timeout is None else float(timeout[:-1]) * _UNITS[timeout[-1]]
    teller = Teller(plan, folder, trials, final, quiet)
    with teller.bar or nullcontext():
        try:
            search_study(plan, folder, trials, limit, teller.hear)
            teller.begin_finalists()
            return conclude_study(plan, folder, workers, *final, teller.hear_finalist)
        except KeyboardInterrupt as e:
            stopped(e, "the same command (without --force) goes on with the study")


def _list(plan: "StudyPlan", as_json: bool) -> None:
    import yaml

    space = {key: values.as_plain() for key, values in plan.search.items()}
    if as_json:
        print_json({"search": space, "left_out": dict(plan.left_out)})
        return
    for what, why in plan.left_out.items():
        say(f"# left out: {what} ({why})")
    say("search:")
    for key, values in space.items():
        text = yaml.safe_dump(values, default_flow_style=True, width=1000, sort_keys=False)
        say(f"  {key}: {text.strip()}")


def _say_begin(plan: "StudyPlan", path: Path, trials: int, had: int, dead: int) -> None:
    folds, workers = plan.recipe.folds.count, plan.resources.workers
    side = f"{workers} side by side" if workers > 1 else "one after another"
    more = f", {had} of them there already" if had else ""
    say_path("", path, f": {plural(trials, 'trial')} of {folds} folds, {side}{more}")
    if dead:
        say(f"{plural(dead, 'trial')} of killed workers marked as failed, to be tried again")
