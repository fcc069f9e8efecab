"""A disk that fills at random moments: is anything lost but the epoch, and does the message say it?

    sudo python tests/studies/full_disk.py [COMMAND ...] [--moments 20] [--seed 0] [--folder DIR]

COMMAND: cv, tune, ablate, synth, import, submit; default: cv. A small disk is mounted (tmpfs, which
needs root), and the command writes to it. At a moment drawn evenly from the time that the command
takes, the disk is filled to its last byte. The command must end with one line that names the disk;
then room is made and the command given again. Printed is a line a command: how many of the moments
came before its end, how many messages named the disk, how many fold models lost a saved epoch, and
how many results equal that of the command that had room.
"""

import argparse
import contextlib
import random
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

from mmctr_kit.runs.fold_folder import FoldFolder
from tests.studies.tiny_commands import COMMANDS, Command, complete, make_world, start

HEAD = f"{'command':8}{'moments':>9}{'in time':>9}{'named':>7}{'lost':>6}{'equal':>7}"


@contextlib.contextmanager
def small_disk(at: Path, megabytes: int) -> Iterator[Path]:
    """A disk of so many megabytes at a new folder; PermissionError if mounting is not allowed."""
    at.mkdir(parents=True, exist_ok=True)
    mount = ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "mmctr-kit-study", str(at)]
    if not shutil.which("mount") or subprocess.run(mount, capture_output=True).returncode:
        raise PermissionError("a disk cannot be mounted here; it needs root")
    try:
        yield at
    finally:
        subprocess.run(["umount", str(at)], check=True)


def fill(disk: Path) -> Path:
    """Fill a disk to its last byte; returns the file to delete."""
    filler = disk / "filler"
    with contextlib.suppress(OSError), filler.open("wb", buffering=0) as file:
        for size in (2**20, 2**12, 1):
            with contextlib.suppress(OSError):
                while file.write(bytes(size)) == size:
                    pass
    return filler


def saved(folder: Path) -> dict[str, int]:
    """After how many epochs each fold model would resume; a finished one has no more to lose."""
    folders = [FoldFolder(path) for path in sorted(folder.rglob("folds/[0-9a]*"))]
    return {str(f.path): 10**6 if f.finished else f.epochs_done() for f in folders}


def study(command: Command, moments: int, rng: random.Random, world: Path) -> tuple[str, bool]:
    """The line of a command, and whether all is as it should be."""
    log = world / f"{command.name}-disk.log"
    in_time = named = lost = equal = 0
    with small_disk(world / "disk", 64) as disk:
        folder = disk / "at"
        folder.mkdir()
        once = complete(command.arguments(world, folder), world, log)
        expected = command.results(folder)
        for _ in range(moments):
            shutil.rmtree(folder)
            folder.mkdir()
            log.write_bytes(b"")
            process = start(command.arguments(world, folder), world, log)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(rng.uniform(0.0, once))
            before = saved(folder)
            filler = fill(disk)
            failed = process.wait() != 0
            filler.unlink()
            text = log.read_text()
            in_time += failed
            says = text.count("error: ") == 1 and "Traceback" not in text and str(disk) in text
            named += failed and says and f"the disk at '{disk}' is full" in text
            after = saved(folder)
            lost += sum(after.get(name, 0) < epochs for name, epochs in before.items())
            complete(command.arguments(world, folder), world, log)
            results = command.results(folder)
            equal += results == expected
            if failed and not says:
                print(text[-600:], flush=True)
            if results != expected:
                names = [n for n in {*results, *expected} if results.get(n) != expected.get(n)]
                print(f"differ: {names}", flush=True)
    line = f"{command.name:8}{moments:9}{in_time:9}{named:7}{lost:6}{equal:7}"
    return line, named == in_time and not lost and equal == moments


def main(arguments: list[str] | None = None) -> bool:
    """Print the table; returns whether all is as it should be."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("commands", nargs="*", metavar="COMMAND", default=[])
    parser.add_argument("--moments", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--folder", type=Path)
    asked = parser.parse_args(arguments)
    names = asked.commands or ["cv"]
    if unknown := [name for name in names if name not in COMMANDS]:
        parser.error(f"no command {unknown[0]}; expected {', '.join(COMMANDS)}")
    world = asked.folder or Path(tempfile.mkdtemp(prefix="full-disk-"))
    world.mkdir(parents=True, exist_ok=True)
    make_world(world, "submit" in names)
    print(HEAD, flush=True)
    well = []
    for name in names:
        line, good = study(COMMANDS[name], asked.moments, random.Random(asked.seed), world)
        print(line, flush=True)
        well.append(good)
    return all(well)


if __name__ == "__main__":
    raise SystemExit(0 if main() else 1)
