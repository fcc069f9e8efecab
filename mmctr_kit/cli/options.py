"""Arguments and options that several commands share, and what the shell offers after a tab."""

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from typer import Argument, BadParameter, CallbackParam, Context, Exit, Option

from mmctr_kit.cli.output import print_json, say, table
from mmctr_kit.errors import UsageError

if TYPE_CHECKING:
    from mmctr_kit.cv.executors.settings import AnyExecutor

RUNS = Path("runs")
LEDGER = Path("submissions") / "ledger.jsonl"
_DATA = "MMCTR_KIT_DATA"
_DATA_HELP = "Folder that CONTAINS MicroLens_1M_x1/ (its parent)."


def complete_runs(context: Context, incomplete: str) -> list[str]:
    """Runs, ablations and studies under --runs, without those that the line names already."""
    root = Path(context.params.get("runs") or RUNS)
    marks = ("manifest.json", "ablation.json", "study.json")
    names = {path.parent.name for mark in marks for path in root.glob(f"*/{mark}")}
    given = context.params.get("run")
    taken = given if isinstance(given, list) else []
    names = {n for n in names - set(taken) if not n.startswith(".")}
    return sorted(n for n in names if n.startswith(incomplete))


def complete_recipes(incomplete: str) -> list[str]:
    """The shipped recipes, and YAML files in the folder that is being typed."""
    from mmctr_kit.recipe.load import shipped_recipes

    folder = Path(incomplete).parent if "/" in incomplete else Path()
    names = [path.stem for path in shipped_recipes()] + sorted(map(str, folder.glob("*.yaml")))
    return [n for n in names if n.startswith(incomplete)]


def complete_runs_and_recipes(context: Context, incomplete: str) -> list[str]:
    """Runs first, then recipes."""
    return complete_runs(context, incomplete) + complete_recipes(incomplete)


def run_argument(metavar: str, help: str) -> Any:
    """Declare an argument for which the shell offers runs."""
    return Argument(metavar=metavar, help=help, autocompletion=complete_runs)


def recipe_argument(metavar: str, help: str) -> Any:
    """Declare an argument for which the shell offers recipes."""
    return Argument(metavar=metavar, help=help, autocompletion=complete_recipes)


def data_option(help: str) -> Any:
    """Declare an option for data that a command can do without."""
    return Option("--data", metavar="DATA", envvar=_DATA, help=help)


def typed(context: Context, parameter: str) -> bool:
    """Whether the command line itself gives the parameter, not the environment or a file."""
    source = context.get_parameter_source(parameter)
    return source is not None and source.name == "COMMANDLINE"


def _of_group(context: Context, param: CallbackParam, value: Path) -> Path:
    """The option's value, or the one typed before the subcommand, as in ``runs --runs A rm x``."""
    name, group = str(param.name), context.parent
    if typed(context, name) or group is None or name not in group.params:
        return value
    source = group.get_parameter_source(name)
    above = source is not None and source.name == "COMMANDLINE"
    return Path(group.params[name]) if above else value


def require_data(data: Path | None) -> Path:
    """The data folder; UsageError if none is named."""
    if data is None:
        raise UsageError(
            f"--data is missing: {_DATA_HELP.rstrip('.')}; name it with --data DATA, or set "
            f'{_DATA}, or data = "..." in mmctr-kit.toml'
        )
    return data


def task_option(help: str) -> Any:
    """Declare an option for which the shell offers tasks, as names that need no quotes."""
    return Option(
        metavar="Task1|Task2|both",
        help=f"{help} 'both' and 'Task1&2' are the same; case does not matter.",
        case_sensitive=False,
        autocompletion=_complete_tasks,
    )


def _complete_tasks(incomplete: str) -> list[str]:
    names = ("Task1", "Task2", "both")
    return [n for n in names if n.casefold().startswith(incomplete.casefold())]


def _device_names(value: str) -> str:
    if not re.fullmatch(r"auto|cpu|cuda|cuda:\d+(,cuda:\d+)*", value):
        raise BadParameter(f"expected auto, cpu, cuda or cuda:0,cuda:1; found {value!r}")
    return value


def _device_name(value: str) -> str:
    if "," in _device_names(value):
        raise BadParameter(f"expected one device: auto, cpu, cuda or cuda:0; found {value!r}")
    return value


def executor_of(name: str, ray_address: str | None) -> "AnyExecutor":
    """The executor of that name, with the settings file's table for it."""
    from mmctr_kit.cli.settings import executor_table
    from mmctr_kit.cv.executors.settings import settings_of

    given = {"address": ray_address} if ray_address is not None and name == "ray" else {}
    return settings_of(name, {**executor_table(name), **given})


def _list_checks(context: Context, wanted: bool) -> None:
    """Print each check's id, worst level and promise, and end the command."""
    if not wanted:
        return
    from mmctr_kit.audit.check import CHECKS as DATA_CHECKS
    from mmctr_kit.submission.checks.catalog import checks_of
    from mmctr_kit.submission.rules import READ_ON, RULES
    from mmctr_kit.submission.spec import challenge, load_spec

    of_submit, spec = context.info_name == "submit", challenge()
    if context.params.get("spec") is not None:
        spec = load_spec(context.params["spec"])
    rules = [rule.info for rule in RULES] if of_submit and spec == challenge() else []
    of_command = [*checks_of(spec), *rules] if of_submit else DATA_CHECKS.values()
    checks = [(c.id, c.worst.value, c.promise) for c in of_command]
    if context.params["as_json"]:
        keys = ("id", "worst", "promise")
        print_json([dict(zip(keys, check, strict=True)) for check in checks])
    else:
        table(("check", "at worst", "it passes if"), checks, left=3)
        if rules:
            say(f"rule-...: the organisers' page, paraphrased, as it was read on {READ_ON}.")
        elif of_submit:
            say("Rules and attempts are the challenge's: under another spec neither is checked.")
    raise Exit


Recipe = Annotated[str, recipe_argument("RECIPE", "Name or file of a recipe.")]
Run = Annotated[str, run_argument("RUN", "Name or folder of a cv run.")]
Data = Annotated[
    Path,
    Option(
        "--data",
        metavar="DATA",
        envvar=_DATA,
        help=_DATA_HELP,
    ),
]
DataUnlessListed = Annotated[
    Path | None,
    Option("--data", metavar="DATA", envvar=_DATA, help=f"{_DATA_HELP} Not needed for --list."),
]
"""The data folder of a command whose --list needs none; see :func:`require_data`."""
Folder = Annotated[Path, Argument(metavar="DATA", envvar=_DATA, help=_DATA_HELP)]
NewFolder = Annotated[Path, Argument(metavar="OUT", help="A new folder.")]
Runs = Annotated[
    Path,
    Option(
        "--runs",
        metavar="FOLDER",
        envvar="MMCTR_KIT_RUNS",
        callback=_of_group,
        help="Folder of all runs.",
    ),
]
Ledger = Annotated[
    Path,
    Option(
        "--ledger",
        envvar="MMCTR_KIT_LEDGER",
        callback=_of_group,
        help="File in which submissions are recorded.",
    ),
]
Name = Annotated[str | None, Option(help="Name of the output; the recipe's name by default.")]
Settings = Annotated[
    list[str] | None,
    Option("--set", metavar="KEY=VALUE", help="Override a key of the recipe, like a.b=3."),
]
Seed = Annotated[
    int, Option(min=0, max=2**31 - 1, help="Random seed; another seed gives another result.")
]
Devices = Annotated[
    str,
    Option(
        "--devices",
        "--device",
        metavar="auto|cpu|cuda|cuda:0,cuda:1",
        envvar="MMCTR_KIT_DEVICE",
        callback=_device_names,
        help="auto: all GPUs, or the CPU if there is none; cuda: a GPU or an error.",
    ),
]
Device = Annotated[
    str,
    Option(
        metavar="auto|cpu|cuda|cuda:0",
        callback=_device_name,
        help="auto: the first GPU, or the CPU if there is none; cuda: a GPU or an error.",
    ),
]
Jobs = Annotated[
    int | None,
    Option(
        "--jobs",
        "--workers",
        min=1,
        envvar="MMCTR_KIT_JOBS",
        help="How many fold models (tune: trials) train at once; default: one per core or GPU.",
    ),
]
Threads = Annotated[
    int | None,
    Option(
        min=1,
        envvar="MMCTR_KIT_THREADS",
        help="Threads of each fold model or trial; by default they share the cores.",
    ),
]
Executor = Annotated[
    str,
    Option(
        metavar="local|ray|slurm",
        envvar="MMCTR_KIT_EXECUTOR",
        help="Where to train: this machine, a Ray cluster or a SLURM cluster.",
    ),
]
RayAddress = Annotated[
    str | None,
    Option(
        metavar="HOST:PORT",
        envvar="RAY_ADDRESS",
        help="Of the Ray cluster's head; by default the cluster this machine belongs to.",
    ),
]
# Eager, so that --list sees it in whatever order the two are given.
Json = Annotated[bool, Option("--json", is_eager=True, help="Print JSON for a script.")]
Yes = Annotated[bool, Option("--yes", "-y", help="Do not ask.")]
Force = Annotated[bool, Option("--force", help="Replace an existing output of that name.")]
DryRun = Annotated[bool, Option("--dry-run", help="Check everything; print the plan and its cost.")]
Problems = Annotated[bool, Option("--problems", help="Show WARN and FAIL only.")]
Strict = Annotated[bool, Option("--strict", help="Exit 1 on WARN too.")]
Task = Literal["Task1", "Task2", "both", "Task1&2"]
"""A task as an option names it, in any case; both is Task1&2."""
ListChecks = Annotated[
    bool, Option("--list", callback=_list_checks, help="List the checks; run none.")
]
