"""A PostgreSQL server that crashes at random moments: does a study go on, and lose no trial?

    python -m tests.studies.outages [--crashes 60] [--workers 1] [--seed 0] [--folder DIR]

A server of the study's own is started (Debian's postgresql, and the extra ``postgres``). ``tune``
searches in it. After up to three seconds the server crashes, stays away for up to two, and is
started again; when two more trials have ended, that is done again. Printed is how many trials
ended, how many of the database's ended trials no line told or two lines did, and the longest time
until two more had ended. It is a hang if that takes longer than 100 s: then the study fails.
"""

import argparse
import os
import random
import re
import subprocess
import sys
import tempfile
import time
from collections import Counter
from contextlib import closing
from pathlib import Path

import yaml

from mmctr_kit import generate_data
from mmctr_kit.tuning.address import parse_address
from mmctr_kit.tuning.database import Database
from tests.cli.test_tune import RECIPE
from tests.extras.postgres import Server

SECONDS = 100.0
"""How long the next two trials may take."""
_TRIAL = re.compile(r"^trial (\d+)(?:: | pruned)", re.MULTILINE)


def told(log: Path) -> list[int]:
    """The numbers of the trials that lines say have ended."""
    return [int(number) for number in _TRIAL.findall(log.read_text())]


def wait_for(trials: int, process: subprocess.Popen[bytes], log: Path) -> float:
    """Wait until so many trials are told; returns the seconds that it took."""
    began = time.monotonic()
    while len(told(log)) < trials:
        if process.poll() is not None or time.monotonic() - began > SECONDS:
            what = "hangs" if process.poll() is None else f"ended with {process.returncode}"
            sys.exit(f"{log.read_text()[-2000:]}\nthe command {what}")
        time.sleep(0.05)
    return time.monotonic() - began


def study(server: Server, folder: Path, crashes: int, workers: int, chance: random.Random) -> str:
    """Search while the server crashes so many times; returns what became of the trials."""
    recipe, log = folder / "small.yaml", folder / "tune.log"
    training = {**RECIPE["training"], "epochs": 3}  # type: ignore[dict-item]
    recipe.write_text(yaml.safe_dump({**RECIPE, "training": training}, sort_keys=False))
    generate_data(folder / "world", preset="tiny")
    command = ["tune", recipe, "--data", folder / "world/data", "--runs", folder / "runs"]
    command += ["--trials", 100_000, "--workers", workers, "--finalists", 0, "--devices", "cpu"]
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "mmctr_kit", *map(str, command)],
            stdout=output,
            stderr=subprocess.STDOUT,
            env={**os.environ, "MMCTR_KIT_STORAGE": server.url, "PYTHONUNBUFFERED": "1"},
        )
    longest = 0.0
    try:
        wait_for(1, process, log)
        for _ in range(crashes):
            time.sleep(chance.uniform(0.0, 3.0))
            before = len(told(log))
            server.stop("immediate")
            time.sleep(chance.choice((0.0, 0.2, 1.0, 2.0)))
            server.start()
            longest = max(longest, wait_for(before + 2, process, log))
    finally:
        process.terminate()
        process.wait()
    with closing(Database(parse_address(server.url), "small")) as database:
        trials = database.study().get_trials(deepcopy=False)
    lines = Counter(told(log))
    # A last one may have ended in the moment in which the command was.
    ended = [t.number for t in trials if t.state.name in ("COMPLETE", "PRUNED")]
    untold = [n for n in ended if n not in lines and n < max(lines)]
    twice = [n for n, count in lines.items() if count > 1]
    return (
        f"{crashes} crashes, {workers} workers: {len(lines)} trials ended, {len(untold)} of them "
        f"untold, {len(twice)} told twice; two more took {longest:.1f} s at most"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n")[0])
    parser.add_argument("--crashes", type=int, default=60)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--folder", type=Path, default=None)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = given.folder or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        server = Server()
        server.start()
        try:
            server.sql("CREATE DATABASE tuning", "postgres")
            chance = random.Random(given.seed)
            print(study(server, folder, given.crashes, given.workers, chance))
        finally:
            server.remove()


if __name__ == "__main__":
    main()
