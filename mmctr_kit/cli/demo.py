"""``mmctr-kit demo``: the whole path on a generated data set, each command shown as typed."""

import shlex
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Annotated

from typer import Context, Exit, Option

from mmctr_kit.cli import options
from mmctr_kit.cli.output import say

SINGLE = "din_demo_e4"
RECIPES = (SINGLE, "din_mha_demo", "gbdt_demo")


def demo(
    context: Context,
    out: Annotated[
        Path, Option(help="Folder for data and runs: a new or empty one, or an earlier demo's.")
    ] = Path("demo"),
    preset: Annotated[str, Option(help="demo, tiny for a quick look, or full (hours).")] = "demo",
    seed: options.Seed = 0,
) -> None:
    """Run the whole path on generated data: data, cv, one network, blend, submissions, leaderboard.

    The same command continues a demo that was stopped. Delete the folder to start again.

    [bold]Examples[/bold]

      mmctr-kit demo
      mmctr-kit demo --preset tiny --out /tmp/look
    """
    began = time.perf_counter()
    data, truth, runs = (str(out / name) for name in ("data", "truth", "runs"))
    single, file = (str(out / f"{name}-both.zip") for name in (f"{SINGLE}-fit", "blend"))
    shared = ("--runs", runs, "--ledger", str(out / "ledger.jsonl"))
    run = partial(_run, context.find_root().command)
    if not _generated(out, preset, seed):
        run("data", "synth", str(out), "--preset", preset, "--seed", str(seed))
    run("data", "check", data)
    run("cv", *RECIPES, "--data", data, "--runs", runs)
    run("fit", "--like", SINGLE, "--data", data, "--runs", runs)
    run("submit", f"{SINGLE}-fit", "--task", "both", "--out", single, *shared, "--force")
    run("blend", *RECIPES, "--name", "blend", "--runs", runs)
    run("report", "blend", "--runs", runs)
    run("submit", "blend", "--task", "both", "--out", file, *shared, "--force")
    run("submit", "--check", file, "--data", data, *shared)
    run("runs", "--runs", runs, "--truth", truth)
    say(f"\nThe oracle is the best any model could do. {time.perf_counter() - began:.0f} s in all.")
    say(f"One network, within the rules: {single}")
    say(f"The blend, for research: {file}")
    say(f"With real labels: mmctr-kit score {file} --labels ...")


def _generated(out: Path, preset: str, seed: int) -> bool:
    """Whether this data set was generated before; UsageError if the folder holds anything else."""
    from mmctr_kit.datasets.synth import find_preset
    from mmctr_kit.errors import UsageError
    from mmctr_kit.files import read_json

    find_preset(preset)
    made = out / "truth" / "oracle.json"
    if not made.is_file():
        if out.exists() and not (out.is_dir() and not any(out.iterdir())):
            raise UsageError(
                f"'{out}' exists and is neither a demo's folder nor an empty one; choose another "
                "--out"
            )
        return False
    made_of = read_json(made)
    if (made_of["preset"], made_of["seed"]) != (preset, seed):
        raise UsageError(
            f"'{out}' holds preset {made_of['preset']}, seed {made_of['seed']}; "
            "choose another --out"
        )
    return True


def _run(command: Callable[..., object], *arguments: str) -> None:
    """Show the command as typed and run it; a failed one ends the demo."""
    say(f"\n$ mmctr-kit {shlex.join(arguments)}", style="bold", wrap=False)
    try:
        code = command(list(arguments), standalone_mode=False)
    except Exit as e:
        code = e.exit_code
    if code:
        raise Exit(int(str(code)))
