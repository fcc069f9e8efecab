"""``mmctr-kit tune``: search a recipe's keys, and report a score that chose nothing."""

import re
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
from mmctr_kit.cli.output import print_json, progress, resumable, say

if TYPE_CHECKING:
    from mmctr_kit.tuning.study import StudyPlan


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
    in a second terminal, it joins in. optuna-dashboard RUNS/NAME.study/study.journal shows it.

    [bold]Examples[/bold]

      mmctr-kit tune din_mha_demo --data demo/data --trials 30

      mmctr-kit tune din_mha_se_pca --data DATA --trials 100 --timeout 2h

      mmctr-kit tune din_official --data DATA --list
    """
    from mmctr_kit.api.plans import Options, plan_tuning

    options = Options(name, settings or (), devices, workers, force, runs)
    with progress(as_json) as display:
        planned = plan_tuning(recipe, data, options, display, listing=listing)
    if listing:
        _list(planned.plan, as_json)
        return
    limit = None if timeout is None else float(timeout[:-1]) * _UNITS[timeout[-1]]
    with resumable("with the study", force), progress(as_json) as display:
        result = planned.run(trials, limit, (finalists, seeds), display)
    if as_json:
        print_json(result.summary.as_json())
    else:
        from mmctr_kit.cli.study_table import print_summary

        print_summary(result.summary, result.path)


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
