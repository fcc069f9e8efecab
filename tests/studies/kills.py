"""Commands killed at random moments and given again: is the result that of one not killed?

    python tests/studies/kills.py [COMMAND ...] [--kills 50] [--seed 0] [--folder DIR]

COMMAND: cv, tune (two workers each), ablate, synth, import, submit; default: all. Each kill is in a
folder of its own, at a moment drawn evenly from the time that the command takes (the least so far);
half of them kill the command alone, half its workers too. Then the command is given again, to its
end. Printed is a line a command: how many of the kills came before its end, how many results equal
that of the command that was not killed, in how many folders something was left, and the seconds of
both.
"""

import argparse
import random
import shutil
import subprocess
import tempfile
import time
from contextlib import suppress
from pathlib import Path

from tests.studies.tiny_commands import (
    COMMANDS,
    Command,
    complete,
    files_of,
    kill,
    make_world,
    start,
)

HEAD = f"{'command':8}{'kills':>7}{'in time':>9}{'equal':>7}{'left':>6}{'seconds':>9}{'again':>8}"


def study(command: Command, kills: int, rng: random.Random, world: Path) -> tuple[str, bool]:
    """The line of a command, and whether all of its results are equal and nothing was left."""
    reference = world / f"{command.name}-reference"
    shutil.rmtree(reference, ignore_errors=True)
    reference.mkdir()
    log = world / f"{command.name}.log"
    once = complete(command.arguments(world, reference), world, log)
    expected = command.results(reference)
    in_time = equal = left = 0
    again = 0.0
    for number in range(kills):
        folder = world / f"{command.name}-{number}"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        began, process = time.monotonic(), start(command.arguments(world, folder), world, log)
        with suppress(subprocess.TimeoutExpired):
            process.wait(rng.uniform(0.0, once))
            once = min(once, time.monotonic() - began)  # it ended: it takes no longer than this
        in_time += kill(process, rng.random() < 0.5)
        # Killed in its last instant: who makes a new folder would now refuse to.
        if command.results is not files_of or files_of(folder) != expected:
            again += complete(command.arguments(world, folder), world, log) / kills
        leftovers = [p.name for p in folder.rglob(".*") if p.name != ".locks"]
        results = command.results(folder)
        equal += results == expected
        left += bool(leftovers)
        if results == expected and not leftovers:
            shutil.rmtree(folder)
        else:
            names = [n for n in {*results, *expected} if results.get(n) != expected.get(n)]
            print(f"{folder}: differ: {names}; left: {leftovers}", flush=True)
    counts = f"{command.name:8}{kills:7}{in_time:9}{equal:7}{left:6}{once:9.1f}{again:8.1f}"
    return counts, equal == kills and not left


def main(arguments: list[str] | None = None) -> bool:
    """Print the table; returns whether all is as it should be."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("commands", nargs="*", metavar="COMMAND", default=[])
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--folder", type=Path)
    asked = parser.parse_args(arguments)
    names = asked.commands or list(COMMANDS)
    if unknown := [name for name in names if name not in COMMANDS]:
        parser.error(f"no command {unknown[0]}; expected {', '.join(COMMANDS)}")
    world = asked.folder or Path(tempfile.mkdtemp(prefix="kills-"))
    world.mkdir(parents=True, exist_ok=True)
    make_world(world, "submit" in names)
    print(HEAD, flush=True)
    well = []
    for name in names:
        line, good = study(COMMANDS[name], asked.kills, random.Random(asked.seed), world)
        print(line, flush=True)
        well.append(good)
    return all(well)


if __name__ == "__main__":
    raise SystemExit(0 if main() else 1)
