"""Damage: one file flipped, cut off, zeroed or deleted; every damage must be named or harmless.

    python tests/studies/damage.py --work /tmp/damage [--damages 2000] [--seed 0]

Makes a cross-validation of a network and one of trees, their blend, a study, an ablation and a
cache of a tiny data set; then, again and again, damages one file of a copy, gives one of the
commands that may read it, in this process, and compares all that it prints and writes with what it
makes of the undamaged copy. What becomes of a damage:

    named      the command ends with 1 or 2, and its one line names the file (or, for a DONE or a
               whole run that looks unfinished, its folder)
    told       the command does without the file, and a warning names it
    rebuilt    a cache entry is made again, with a warning, and all output is equal
    harmless   all output is equal
    UNNAMED    the command fails, and its line names another file
    SILENT     the output differs, and no line says why
    TRACEBACK  the command ends with an unexpected error

Beside it ``runs verify`` must name each damaged file of a run, study or ablation that differs
("verify missed" counts those it does not). Exits with 1 if there is one of the last three, or one
missed. Quick commands are drawn more often than slow ones; --only NAME tries one command.
"""

import argparse
import contextlib
import io
import os
import shutil
import sys
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

KINDS = ("flip", "truncate", "zero", "delete")
BAD = ("UNNAMED", "SILENT", "TRACEBACK")
OUTCOMES = ("named", "told", "rebuilt", "harmless", *BAD)
SHORT = ("--set", "folds.count=2", "--set", "training.epochs=1", "--jobs", "1")
TUNE = ("tune", "din_demo", "--name", "s", "--trials", "2", "--finalists", "1")
TUNE = (*TUNE, "--final-seeds", "1", "--data", "data", *SHORT)
ABLATE = ("ablate", "din_mha_demo", "--name", "a", "--only", "se-off", "--data", "data", *SHORT)
TRAIN = (
    ("cv", "din_demo", "--name", "net", "--data", "data", *SHORT),
    ("cv", "gbdt_demo", "--name", "trees", "--data", "data", *SHORT),
    ("blend", "net", "trees", "--name", "mix", "--method", "mean"),
    TUNE,
    ABLATE,
)
PAGE, MEAN = ("--out", "out/page.html"), ("--name", "out", "--method", "mean")
ZIP = ("--task", "Task2", "--out", "out/file.zip", "--ledger", "out/ledger.jsonl")
ITEMS = ("--data", "data", "--out", "out/items.parquet")
ROWS = ("--rows", "data/MicroLens_1M_x1/valid.parquet", "--data", "data", "--out", "out/rows.csv")
COMMANDS = {
    "net": {
        "blend": ("blend", "net", "trees", *MEAN),
        "submit": ("submit", "net", *ZIP),
        "predict": ("predict", "net", *ROWS),
        "report": ("report", "net", *PAGE),
        "show": ("runs", "show", "net"),
        "diff": ("runs", "diff", "net", "trees"),
        "slices": ("slices", "net"),
        "runs": ("runs",),
        "recipe": ("items", "export", "runs/net/recipe.yaml", *ITEMS),
    },
    "trees": {
        "blend": ("blend", "net", "trees", *MEAN),
        "submit of the blend": ("submit", "mix", *ZIP),
        "report": ("report", "trees", *PAGE),
        "report of another": ("report", "net", *PAGE),
        "predict": ("predict", "trees", *ROWS),
        "show": ("runs", "show", "trees"),
        "runs": ("runs",),
    },
    "mix": {
        "submit": ("submit", "mix", *ZIP),
        "report": ("report", "mix", *PAGE),
        "predict": ("predict", "mix", *ROWS),
        "show": ("runs", "show", "mix"),
        "runs": ("runs",),
    },
    "s.study": {
        "tune": TUNE,
        "report": ("report", "s.study", *PAGE),
        "show": ("runs", "show", "s.study"),
        "runs": ("runs",),
        "recipe": ("items", "export", "runs/s.study/best.yaml", *ITEMS),
    },
    "a.ablate": {
        "ablate": ABLATE,
        "report": ("report", "a.ablate", *PAGE),
        "show": ("runs", "show", "a.ablate"),
        "runs": ("runs",),
    },
    "cache": {
        "items": ("items", "export", "net", *ITEMS),
        "predict": ("predict", "net", *ROWS),
        "train": ("cv", "din_demo", "--name", "out", "--data", "data", *SHORT),
    },
}
SHARE = {"net": 5, "trees": 3, "mix": 3, "s.study": 4, "a.ablate": 3, "cache": 4}
"""How often a folder is drawn."""


@dataclass(frozen=True)
class Done:
    """What a command did: how it ended, what it said, and all that it wrote."""

    code: int | None
    printed: str
    said: str
    files: dict[str, bytes]

    def same(self, other: "Done") -> bool:
        """Whether the results are equal: what is printed, and every byte that is written."""
        return (self.code, self.printed, self.files) == (other.code, other.printed, other.files)


def give(words: Sequence[str]) -> Done:
    """Give a command in this process as a new one would begin it; code None for a traceback."""
    from mmctr_kit.cli.app import main
    from mmctr_kit.data import cache
    from mmctr_kit.runs import seal
    from mmctr_kit.tuning import journal_sum

    for known in (seal._KNOWN, journal_sum._KNOWN, cache._COMPARED):
        known.clear()
    out, err, code = io.StringIO(), io.StringIO(), 0
    before = sys.argv
    # With --debug an unexpected error is not turned into a line.
    sys.argv = ["mmctr-kit", "--debug", *words]
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            warnings.simplefilter("always")
            main()
    except SystemExit as e:
        code = e.code if isinstance(e.code, int) else 1 if e.code else 0
    except BaseException:
        return Done(None, out.getvalue(), traceback.format_exc(), {})
    finally:
        sys.argv = before
    return Done(code, out.getvalue(), err.getvalue(), written(words[0]))


def written(command: str) -> dict[str, bytes]:
    """What a command writes, those files left out that differ between equal runs."""
    again = {"tune": ("study.json", "best.yaml"), "ablate": ("ablation.json",)}
    paths = [path for top in ("out", "runs/out") for path in Path(top).rglob("*")]
    paths += [p for name in again.get(command, ()) for p in Path("runs").glob(f"*/{name}")]
    differs = ("timings.json", "ledger.jsonl")
    return {str(p): p.read_bytes() for p in paths if p.is_file() and p.name not in differs}


def prepare(work: Path) -> None:
    """Make the folders that are damaged, unless an earlier call did."""
    if (work / "pristine").is_dir():
        return
    os.chdir(work)
    fresh = Path("here")
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir()
    os.chdir(fresh)
    everything = (
        ("data", "synth", ".", "--preset", "tiny"),
        *TRAIN,
        *(words for each in COMMANDS.values() for words in each.values()),
    )
    for words in everything:  # the commands fill the cache
        done = give(words)
        if done.code != 0:
            raise SystemExit(f"{' '.join(words)} failed: {done.said}")
        for made in ("out", "runs/out"):
            shutil.rmtree(made, ignore_errors=True)
    os.chdir(work)
    fresh.rename(work / "pristine")


def restore(work: Path) -> None:
    """Make ``here`` a copy of the undamaged folders, and go there."""
    os.chdir(work)
    shutil.rmtree("here", ignore_errors=True)
    shutil.copytree("pristine", "here", ignore=shutil.ignore_patterns("data", "truth"))
    os.symlink(work / "pristine" / "data", "here/data")
    os.chdir("here")
    Path("out").mkdir(exist_ok=True)


def damage(path: Path, kind: str, rng: np.random.Generator) -> bool:
    """Damage a file; whether its content is another then."""
    before = path.read_bytes()
    if kind == "delete":
        path.unlink()
        return True
    place = int(rng.integers(len(before))) if before else 0
    after = bytearray(before)
    if kind == "flip" and before:
        after[place] ^= 1 << int(rng.integers(8))
    elif kind == "truncate":
        del after[place:]
    elif kind == "zero":
        size = int(rng.integers(1, 4097))
        after[place : place + size] = bytes(len(after[place : place + size]))
    path.write_bytes(after)
    return bytes(after) != before


def targets(group: str) -> list[Path]:
    """The files of a folder that may be damaged."""
    top = Path("cache") if group == "cache" else Path("runs") / group
    files = (path for path in sorted(top.rglob("*")) if path.is_file())
    return [p for p in files if not any(part.startswith(".") for part in p.parts)]


def judged(path: Path, before: Done, after: Done) -> str:
    """What became of the damage of ``path``."""
    line = after.said.strip().splitlines()[-1] if after.said.strip() else ""
    names = {path.name, path.parent.name} if path.name == "DONE" else {path.name}
    if after.code is None:
        return "TRACEBACK"
    if after.code != before.code:
        parts = {path.parts[1]} if "unfinished" in line else names
        return "named" if any(name in line for name in parts) else "UNNAMED"
    warned = any(name in after.said for name in names) and not any(n in before.said for n in names)
    # Without its seal a run counts as one that was stopped, and is shown as such.
    words = ("unfinished", "stopped")
    stopped = any(word in after.printed and word not in before.printed for word in words)
    warned |= path.name == "DONE" and stopped
    if after.same(before):
        return "rebuilt" if warned and path.parts[0] == "cache" else "harmless"
    return "told" if warned else "SILENT"


def verified(path: Path, changed: bool) -> bool:
    """Whether ``runs verify`` names the file if it was changed, and is content if not."""
    done = give(("runs", "verify"))
    inside = "/".join(path.parts[2:])
    if path.name == "DONE" and not path.is_file():
        return True  # a run that looks unfinished: it is whole when it is finished again
    return (inside in done.printed and done.code == 1) if changed else done.code == 0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--work", type=Path, required=True, help="a folder of its own")
    parser.add_argument("--damages", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", help="one command of the list in this file")
    options = parser.parse_args()
    work = options.work.resolve()
    work.mkdir(parents=True, exist_ok=True)
    os.environ |= {"MMCTR_KIT_CACHE": str(work / "here" / "cache"), "OMP_NUM_THREADS": "1"}
    prepare(work)
    groups = [g for g in SHARE if options.only is None or options.only in COMMANDS[g]]
    names = {g: [n for n in COMMANDS[g] if options.only in (None, n)] for g in groups}
    expected, seconds = {}, {}
    for group in groups:
        for name in names[group]:
            for _ in range(2):
                restore(work)
                began = time.process_time()
                done = give(COMMANDS[group][name])
                seconds[group, name] = max(time.process_time() - began, 0.01)
                if not done.same(expected.setdefault((group, name), done)):
                    raise SystemExit(f"{name} of {group} differs by itself")
    counts: Counter[tuple[str, str]] = Counter()
    missed = 0
    rng = np.random.default_rng(options.seed)
    share = np.array([SHARE[group] for group in groups], float)
    for number in range(options.damages):
        group = str(rng.choice(groups, p=share / share.sum()))
        # A quick command is given more often than a slow one.
        quick = np.array([1 / seconds[group, name] for name in names[group]])
        command = str(rng.choice(names[group], p=quick / quick.sum()))
        words, kind = COMMANDS[group][command], str(rng.choice(KINDS))
        restore(work)
        path = Path(str(rng.choice([str(p) for p in targets(group)])))
        changed = damage(path, kind, rng)
        if group != "cache" and not verified(path, changed):
            missed += 1
            print(f"{number}: verify missed: {kind} {path}", flush=True)
        done = give(words)
        outcome = judged(path, expected[group, command], done)
        counts[group, outcome] += 1
        if outcome in BAD:
            told = done.said.strip().splitlines()[-1:] or [""]
            print(f"{number}: {outcome}: {kind} {path}, {command}: {told[0]}", flush=True)
    print(f"{'':10}" + "".join(f"{outcome:>10}" for outcome in OUTCOMES))
    for group in groups:
        print(f"{group:10}" + "".join(f"{counts[group, outcome]:>10}" for outcome in OUTCOMES))
    total = [sum(counts[group, outcome] for group in groups) for outcome in OUTCOMES]
    print(f"{'all':10}" + "".join(f"{n:>10}" for n in total))
    print(f"verify missed: {missed}")
    sys.exit(1 if missed or sum(total[-len(BAD) :]) else 0)


if __name__ == "__main__":
    main()
