"""``mmctr-kit runs``: the leaderboard, and commands that look at runs, compare and delete them."""

from pathlib import Path
from typing import Annotated, Literal

from typer import BadParameter, Context, Option, Typer

from mmctr_kit.cli import options
from mmctr_kit.cli.runs.diff import diff
from mmctr_kit.cli.runs.remove import rm
from mmctr_kit.cli.runs.show import show
from mmctr_kit.cli.runs.verify import verify
from mmctr_kit.errors import UsageError, did_you_mean

KINDS = ("cv", "fit", "blend", "imported", "study", "ablation")


def _known(kinds: list[str] | None) -> list[str] | None:
    for kind in kinds or ():
        if kind not in KINDS:
            raise BadParameter(f"no kind '{kind}'{did_you_mean(kind, KINDS)}; {', '.join(KINDS)}")
    return kinds


app = Typer(invoke_without_command=True)
app.command("show")(show)
app.command("diff")(diff)
app.command("verify")(verify)
app.command("rm")(rm)


@app.callback()
def runs(
    context: Context,
    runs: options.Runs = options.RUNS,
    truth: Annotated[
        Path | None,
        Option(
            metavar="FOLDER",
            help="Truth folder of generated data: adds test AUC and the oracle.",
        ),
    ] = None,
    times: Annotated[
        bool, Option("--time", help="Show the seconds of each run, by phase of training.")
    ] = False,
    rules: Annotated[
        bool, Option("--rules", help="Show which rules each run breaks; runs that keep most first.")
    ] = False,
    task: Annotated[
        options.Task | None, options.task_option("With --rules: one task only.")
    ] = None,
    sort: Annotated[
        Literal["valid", "oof", "date", "name"],
        Option(help="Best score, latest or a to z first."),
    ] = "valid",
    kind: Annotated[
        list[str] | None,
        Option(
            metavar="KIND",
            callback=_known,
            help="Only cv, fit, blend, imported, study or ablation; may be repeated.",
        ),
    ] = None,
    only: Annotated[
        list[str] | None, Option(metavar="PATTERN", help="Only these names; din* is a group.")
    ] = None,
    unfinished: Annotated[
        bool, Option("--unfinished", help="Only what is running or was stopped.")
    ] = False,
    as_json: options.Json = False,
) -> None:
    """List the runs, best valid AUC first, each number with its standard error.

    OOF is the fold models' mean AUC; valid is that of the fold mean, a better predictor: the two
    are not one number. "Δ vs best" is the paired difference of valid AUCs. One seed is too few to
    compare recipes. --json has the standard error over seeds too.

    "rules" names the tasks whose rules the run keeps, such as 2 1&2 for Task2 and Task1&2; a
    question mark is for what the organisers' page leaves unclear. See --rules.

    Below are studies, ablations and unfinished runs: how far each is, and whether a process is at
    work on it (running) or not (stopped). A study has its chosen finalist's valid AUC, an ablation
    its base's.

    With --truth, "oracle" is the share that a run's test AUC keeps of the oracle's lead over
    0.5: the oracle is the best score that any model of generated data could have.

    [bold]Examples[/bold]

      mmctr-kit runs
      mmctr-kit runs --sort date --only 'din*'
      mmctr-kit runs --unfinished
      mmctr-kit runs --time
      mmctr-kit runs --rules --task Task2
      mmctr-kit runs --runs demo/runs --truth demo/truth
    """
    inner = {"runs": str(runs), "as_json": as_json}
    context.default_map = dict.fromkeys(("show", "diff", "verify", "rm"), inner)
    if context.invoked_subcommand is None:
        from mmctr_kit.cli.runs.listing import Choice, list_runs

        if task is not None and not rules:
            raise UsageError("--task goes with --rules; add it")
        shown = "time" if times else "rules" if rules else "scores"
        choice = Choice(sort, tuple(kind or ()), tuple(only or ()), unfinished)
        list_runs(runs, truth, choice, shown, task, as_json)
