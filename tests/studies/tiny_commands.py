"""Commands on tiny data that the studies of kills and of full disks run, and what each leaves."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Results = dict[str, bytes]
"""Files of a result by name; two runs of a command are equal if these are."""

QUICK = ("--set", "training.epochs=2", "--set", "training.min_steps=1", "--set", "folds.count=2")
HERE = ("--devices", "cpu")
SEARCH = (
    "search={training.learning_rate: {float: [5.0e-4, 1.0e-2], log: true},"
    " model.mlp_dropout: {float: [0.0, 0.5]}}"
)


@dataclass(frozen=True)
class Command:
    """``arguments(world, folder)`` write into ``folder``, of which ``results`` are compared."""

    name: str
    arguments: Callable[[Path, Path], list[Any]]
    results: Callable[[Path], Results]


def cv(world: Path, folder: Path) -> list[Any]:
    data = ("--data", world / "data", "--runs", folder)
    return ["cv", "din_demo", *data, *QUICK, *HERE, "--jobs", 2, "--name", "x"]


def tune(world: Path, folder: Path) -> list[Any]:
    data = ("--data", world / "data", "--runs", folder)
    few = ("--trials", 5, "--finalists", 1, "--final-seeds", 1, "--workers", 2)
    return ["tune", "din_demo", *data, *QUICK, *HERE, *few, "--set", SEARCH, "--name", "x"]


def ablate(world: Path, folder: Path) -> list[Any]:
    data = ("--data", world / "data", "--runs", folder)
    few = ("--only", "se-on", "--only", "tags-off", "--jobs", 1)
    return ["ablate", "din_demo", *data, *QUICK, *HERE, *few, "--name", "x"]


def synth(world: Path, folder: Path) -> list[Any]:
    del world
    return ["data", "synth", folder / "x", "--preset", "tiny"]


def imports(world: Path, folder: Path) -> list[Any]:
    return ["data", "import", world / "log.csv", folder / "x", "--positive", "rating >= 4"]


def submit(world: Path, folder: Path) -> list[Any]:
    out = ("--out", folder / "x.zip", "--ledger", folder / "ledger.jsonl")
    return ["submit", world / "runs" / "x", "--task", "both", *out]


def files_of(folder: Path) -> Results:
    """Every file but locks and what may differ between equal runs."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and ".locks" not in path.parts and path.name != "timings.json"
    }


def best_of(folder: Path) -> Results:
    """What a study chose."""
    text = (folder / "x.study" / "best.yaml").read_text()
    return {"best.yaml": text.replace(str(folder), "").encode()}


def ablation_of(folder: Path) -> Results:
    """The runs of an ablation and its table without measured costs and seals, which follow them."""
    files = files_of(folder)
    costs = [n for n in files if "/costs/" in n or n in ("x.ablate/ablation.json", "x.ablate/DONE")]
    table = json.loads(files["x.ablate/ablation.json"])
    for row in table["rows"]:
        del row["cost"]
    kept = {name: content for name, content in files.items() if name not in costs}
    return {**kept, "table": json.dumps(table, sort_keys=True).encode()}


def submission_of(folder: Path) -> Results:
    """The zip and what the ledger says of it but when and under which path."""
    lines = (folder / "ledger.jsonl").read_text().splitlines()
    entries = [json.loads(line) for line in lines]
    for entry in entries:
        del entry["time"], entry["file"]
    ledger = json.dumps(entries, sort_keys=True).encode()
    return {"x.zip": (folder / "x.zip").read_bytes(), "ledger": ledger}


COMMANDS = {
    each.name: each
    for each in (
        Command("cv", cv, files_of),
        Command("tune", tune, best_of),
        Command("ablate", ablate, ablation_of),
        Command("synth", synth, files_of),
        Command("import", imports, files_of),
        Command("submit", submit, submission_of),
    )
}


def start(arguments: list[Any], world: Path, log: Path) -> subprocess.Popen[bytes]:
    """Begin a command in a process group of its own; what it prints goes to the end of ``log``."""
    cache = {"MMCTR_KIT_CACHE": str(world / "cache"), "OMP_NUM_THREADS": "1"}
    with log.open("ab") as output:
        return subprocess.Popen(
            [sys.executable, "-m", "mmctr_kit", *map(str, arguments)],
            stdout=output,
            stderr=subprocess.STDOUT,
            env={**os.environ, **cache},
            start_new_session=True,
        )


def complete(arguments: list[Any], world: Path, log: Path) -> float:
    """Run a command to its end; returns the seconds. SystemExit with its output if it fails."""
    began = time.perf_counter()
    if start(arguments, world, log).wait() != 0:
        raise SystemExit(f"failed: mmctr-kit {' '.join(map(str, arguments))}\n{log.read_text()}")
    return time.perf_counter() - began


def kill(process: subprocess.Popen[bytes], whole_group: bool) -> bool:
    """Kill a command, with its workers or alone; whether it was still running.

    Returns when none of its processes is left: workers end with their command.
    """
    running = process.poll() is None
    if running:
        (os.killpg if whole_group else os.kill)(process.pid, signal.SIGKILL)
    process.wait()
    while True:
        try:
            os.killpg(process.pid, 0)
        except ProcessLookupError:
            return running
        time.sleep(0.02)


def make_world(world: Path, with_run: bool) -> None:
    """Write the data that the commands read, and if ``with_run`` a finished run."""
    log = world / "log"
    if not (world / "data").is_dir():
        made = world / "made"
        complete(["data", "synth", made, "--preset", "tiny"], world, log)
        (made / "data").rename(world / "data")
    rows = [
        f"{u},{(7 * u + i) % 90},{i % 5 + 1},{10 * u + i}" for u in range(150) for i in range(20)
    ]
    (world / "log.csv").write_text("\n".join(["user,item,rating,timestamp", *rows]) + "\n")
    if with_run and not (world / "runs" / "x" / "DONE").is_file():
        complete(cv(world, world / "runs"), world, log)
