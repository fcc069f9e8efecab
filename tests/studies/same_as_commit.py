"""Does this checkout compute the same, byte for byte, as the checkout of another commit?

    git worktree add /tmp/reference 1bca52f
    python tests/studies/same_as_commit.py --reference /tmp/reference --keep /tmp/same

It is for changes that must change no result, such as moving modules. Both checkouts run the same
commands on the CPU, each command in a process of its own: ``data synth`` (tiny), ``cv`` of each
recipe (2 folds, 2 epochs), three blends, and ``submit`` of each blend. Both train on the data that
the reference generated. Then every file of the two sides is compared; timings are left out.

- Data, predictions, weights and submissions must be the same bytes.
- JSON and YAML (metrics, manifest with its fingerprints, resolved recipe, ledger) are compared by
  key. ``--allow KEY ...`` names what may differ there: ``environment.mmctr_kit``,
  ``recipe.yaml:training`` (with all that is below it), ``metrics.jsonl:*.train_loss``, or a whole
  file such as ``recipe.yaml``.

``--set KEY=VALUE`` is for every recipe. With ``--keep`` the reference's side stays in that folder,
and later calls use it again, as long as its code, the settings, the libraries and the number of
cores are the same; use such a folder on one machine only. Exits 0 where all is the same, 1 where
something differs, and 2 where a command failed or the code changed in the meantime.
"""

import argparse
import hashlib
import json
import os
import subprocess
import sys
import tempfile
import textwrap
import time
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import yaml
from safetensors.torch import load_file

RECIPES = ["din_official", "din_mha_se_pca", "gbdt", "qin"]
SETTINGS = {"folds.count": "2", "training.epochs": "2"}
MIN_STEPS = "training.min_steps"
"""Set to 1 too, else tiny data means 250 epochs; but gbdt knows no such key."""
BLENDS = {
    "blend": [],
    "blend-mean": ["--method", "mean"],
    "blend-context": ["--method", "lightgbm-context", "--group-softmax"],
}
"""Names and options: ``auto`` may give all weight to one run, so it is not enough."""
LIBRARIES = ["torch", "numpy", "scipy", "pandas", "pyarrow", "lightgbm", "scikit-learn"]
LEFT_OUT = {"timings.json", "DONE"}
ABSENT = object()
SHOWN, WIDTH = 12, 80


class FailedError(Exception):
    """A command failed, or the comparison would mean nothing."""


@dataclass(frozen=True)
class Side:
    """A checkout and the folder that its commands run in."""

    called: str
    checkout: Path
    home: Path

    def python(self, *arguments: str) -> str:
        """What Python prints with this checkout's package first on the path."""
        env = {k: v for k, v in os.environ.items() if not k.startswith("MMCTR_KIT_")}
        env |= {"PYTHONPATH": str(self.checkout), "MMCTR_KIT_CACHE": str(self.home / "cache")}
        # A reference may be read-only, or somebody's worktree.
        env |= {"PYTHONDONTWRITEBYTECODE": "1", "COLUMNS": "100"}
        done = subprocess.run(
            [sys.executable, *arguments], cwd=self.home, env=env, capture_output=True, text=True
        )
        if done.returncode:
            last = "\n".join((done.stdout + done.stderr).splitlines()[-15:])
            raise FailedError(f"{self.called}: python {' '.join(arguments)} failed:\n{last}")
        return done.stdout

    def kit(self, *arguments: str) -> str:
        began = time.perf_counter()
        told = self.python("-m", "mmctr_kit", *arguments)
        seconds = f"{time.perf_counter() - began:5.1f} s"
        print(f"{self.called}: {seconds}  {' '.join(arguments)}"[:WIDTH], file=sys.stderr)
        return told

    def run(self, recipes: list[str], given: dict[str, str], world: Path) -> None:
        """All commands; ``world`` is the generated data to train on, which may be this side's."""
        found = Path(self.python("-c", "import mmctr_kit; print(mmctr_kit.__file__)").strip())
        if not found.is_relative_to(self.checkout):
            raise FailedError(f"with PYTHONPATH={self.checkout}, Python imports {found}")
        self.kit("data", "synth", "world", "--preset", "tiny")
        data = ["--data", str(world / "data")]
        for recipe in recipes:
            settings = SETTINGS.copy()
            if "min_steps:" in self._text(recipe):
                settings[MIN_STEPS] = "1"
            sets = [f"--set={key}={value}" for key, value in (settings | given).items()]
            fixed = ["--device", "cpu", "--jobs", "1", "--name", Path(recipe).stem]
            self.kit("cv", recipe, *data, *fixed, *sets)
        for name, options in BLENDS.items():
            context = data if "lightgbm-context" in options else []
            runs = [Path(recipe).stem for recipe in recipes]
            self.kit("blend", *runs, "--name", name, *options, *context)
            self.kit("submit", name, "--task", "both", "--out", f"{name}.zip")
            with zipfile.ZipFile(self.home / f"{name}.zip") as archive:
                archive.extractall(self.home / "zips" / f"{name}.zip")

    def _text(self, recipe: str) -> str:
        path = Path(recipe)
        return path.read_text("utf-8") if path.is_file() else self.kit("recipes", recipe)


def code_of(checkout: Path) -> str:
    """A hash of the package and of the recipes."""
    found = hashlib.sha256()
    for folder in ("mmctr_kit", "recipes"):
        for path in sorted((checkout / folder).rglob("*")):
            if path.is_file() and "__pycache__" not in path.parts:
                found.update(f"{path.relative_to(checkout)}\0".encode())
                found.update(hashlib.sha256(path.read_bytes()).digest())
    return found.hexdigest()


def kept_as(code: str, recipes: list[str], given: dict[str, str]) -> str:
    """A name for all that the reference's results depend on."""
    texts = [Path(r).read_text("utf-8") if Path(r).is_file() else "" for r in recipes]
    commands = [SETTINGS, MIN_STEPS, BLENDS]
    threads = [os.cpu_count(), os.environ.get("OMP_NUM_THREADS")]
    made_of = [code, recipes, texts, given, commands, sys.version, threads]
    made_of.append([version(library) for library in LIBRARIES])
    return hashlib.sha256(json.dumps(made_of).encode()).hexdigest()[:16]


@dataclass
class Verdict:
    """What two files, or the same file of several folds, have been found to be."""

    differing: int = 0
    files: int = 0
    counts: bool = False
    notes: list[tuple[float, str]] = field(default_factory=list)
    keys: list[str] = field(default_factory=list)

    def told(self) -> str:
        if not self.differing:
            return "same"
        several = f" ({self.differing} of {self.files} files)" if self.files > 1 else ""
        return f"{'differs' if self.counts else 'as allowed'}{several}: {max(self.notes)[1]}"

    def add(self, old: Path, new: Path, allowed: list[str]) -> None:
        self.files += 1
        by_key = old.suffix in (".json", ".jsonl", ".yaml")
        if not (old.is_file() and new.is_file()):
            told = "only the reference has it" if old.is_file() else "it is new"
            self._differs(told, not (by_key and old.name in allowed))
        elif by_key:
            self._by_key(old, new, allowed)
        elif old.read_bytes() != new.read_bytes():
            note, gap = array_difference(old, new)
            self._differs(note, gap=gap)

    def _differs(self, note: str, counts: bool = True, gap: float = 0) -> None:
        self.differing += 1
        self.counts |= counts
        self.notes.append((gap, note))

    def _by_key(self, old: Path, new: Path, allowed: list[str]) -> None:
        before, after = flat(parsed(old)), flat(parsed(new))
        keys = differing_keys(before, after)
        if old.name == "ledger.jsonl":
            keys = [key for key in keys if not key.endswith(".time")]
        elif not keys and old.read_bytes() != new.read_bytes():
            self._differs("same values, other bytes", old.name not in allowed)
        if not keys:
            return
        free = [key for key in keys if is_allowed(old.name, key, allowed)]
        count = f"{len(keys)} key" + "s" * (len(keys) > 1)
        note = count + (f", {len(free)} of them allowed" if free else "")
        gap = max((abs(before[k] - after[k]) for k in keys if numbers(before, after, k)), default=0)
        self._differs(note + (f", max abs {gap:.1e}" if gap else ""), len(free) < len(keys), gap)
        fold = f"{old.parent.name} " if old.parent.parent.name == "folds" else ""
        for key in keys:
            was, now = (shown(x.get(key, ABSENT)) for x in (before, after))
            self.keys.append(f"{fold}{key}: {was} -> {now}" + (" (allowed)" if key in free else ""))


def parsed(path: Path) -> Any:
    text = path.read_text("utf-8")
    if path.suffix == ".jsonl":
        return [json.loads(line) for line in text.splitlines()]
    return yaml.safe_load(text) if path.suffix == ".yaml" else json.loads(text)


def flat(value: Any, at: str = "") -> dict[str, Any]:
    """Leaves by dotted key; the items of a list have their places as keys."""
    parts = dict(enumerate(value)) if isinstance(value, list) else value
    if not isinstance(parts, dict) or not parts:
        return {at: value}
    below = f"{at}." if at else ""
    return {k: v for name, part in parts.items() for k, v in flat(part, f"{below}{name}").items()}


def differing_keys(before: dict[str, Any], after: dict[str, Any]) -> list[str]:
    both = dict.fromkeys([*before, *after])
    # As text: NaN is NaN, and 1 is not 1.0.
    return [k for k in both if repr(before.get(k, ABSENT)) != repr(after.get(k, ABSENT))]


def is_allowed(file: str, key: str, allowed: list[str]) -> bool:
    return any(
        pattern == file
        or any(fnmatchcase(k, p) for k in (key, f"{file}:{key}") for p in (pattern, f"{pattern}.*"))
        for pattern in allowed
    )


def numbers(before: dict[str, Any], after: dict[str, Any], key: str) -> bool:
    return all(type(x.get(key)) in (int, float) for x in (before, after))


def shown(value: Any) -> str:
    return "nothing" if value is ABSENT else str(value)[:20]


def arrays(path: Path) -> dict[str, np.ndarray]:
    """A file's columns or tensors."""
    if path.suffix == ".safetensors":
        tensors = load_file(path)
        return {k: (t.double() if t.is_floating_point() else t).numpy() for k, t in tensors.items()}
    if path.suffix == ".csv":
        table = pd.read_csv(path)
        return {str(name): table[name].to_numpy() for name in table}
    found = {}
    for name, column in zip((t := pq.read_table(path)).column_names, t.columns, strict=True):
        values = column.combine_chunks()
        while pa.types.is_nested(values.type):
            values = values.flatten()
        found[name] = values.to_numpy(zero_copy_only=False)
    return found


def array_difference(old: Path, new: Path) -> tuple[str, float]:
    """How far apart two files are whose bytes differ, in words and as a number."""
    if old.suffix not in (".parquet", ".safetensors", ".csv"):
        return "other bytes", np.inf
    before, after = arrays(old), arrays(new)
    if before.keys() != after.keys():
        return f"other columns: {', '.join(sorted(before.keys() ^ after.keys()))}", np.inf
    gaps = {}
    for name, was in before.items():
        now = after[name]
        if was.shape != now.shape:
            return f"{name} {was.shape} -> {now.shape}", np.inf
        if was.dtype.kind in "biuf" and now.dtype.kind in "biuf":
            x, y = was.astype(np.float64), now.astype(np.float64)
            gap = np.where((x == y) | (np.isnan(x) & np.isnan(y)), 0, np.abs(x - y))
            gaps[name] = float(np.nan_to_num(gap, nan=np.inf).max(initial=0))
        elif not np.array_equal(was, now):
            return f"{name} has other values", np.inf
    name = max(gaps, key=lambda n: gaps[n], default="")
    if not name or not gaps[name]:
        return "same values, other bytes", 0
    return f"max abs {gaps[name]:.1e} in {name}", gaps[name]


def compared(old: Path, new: Path) -> Iterator[tuple[str, str, str]]:
    """The files of both sides: the run, how the table calls the file, and its path."""
    yield from _under(old, new, "world", "(data)")
    runs = sorted(
        {p.parent.name for side in (old, new) for p in side.glob("runs/*/manifest.json")},
        key=lambda name: (name in BLENDS, name),
    )
    for run in runs:
        yield from _under(old, new, f"runs/{run}", run)
        if run in BLENDS:
            yield from _under(old, new, f"zips/{run}.zip", run)
    yield from _under(old, new, "submissions", "(ledger)")


def _under(old: Path, new: Path, folder: str, run: str) -> Iterator[tuple[str, str, str]]:
    roots = [side / folder for side in (old, new)]
    files = {str(p.relative_to(r)) for r in roots for p in r.rglob("*") if p.is_file()}
    for file in sorted(files, key=lambda f: (Path(f).suffix not in (".parquet", ".csv"), f)):
        path = Path(file)
        if path.name not in LEFT_OUT:
            call = f"folds/*/{path.name}" if path.parts[0] == "folds" else path.name
            yield run, call, f"{folder}/{file}"


def tell(old: Path, new: Path, allowed: list[str]) -> int:
    """Print the table; how many of its rows count as different."""
    rows: dict[tuple[str, str], Verdict] = {}
    for run, call, path in compared(old, new):
        rows.setdefault((run, call), Verdict()).add(old / path, new / path, allowed)
    cut = WIDTH - 44
    print(f"{'recipe':16}{'file':28}same as the reference?")
    for (run, call), verdict in rows.items():
        first, *more = textwrap.wrap(verdict.told(), cut)
        print(f"{run[:15]:16}{call[:27]:28}{first}")
        for line in more:
            print(f"{'':44}{line}")
        for key in verdict.keys[:SHOWN]:
            print(f"    {key}"[:WIDTH])
        if len(verdict.keys) > SHOWN:
            print(f"    and {len(verdict.keys) - SHOWN} keys more")
    different = sum(verdict.counts for verdict in rows.values())
    only_allowed = sum(bool(v.differing) and not v.counts for v in rows.values())
    print(
        f"{len(rows) - different - only_allowed} rows are the same, {different} differ"
        + (f", {only_allowed} differ as allowed" if only_allowed else "")
    )
    return different


def checkout(text: str) -> Path:
    path = Path(text).resolve()
    if not (path / "mmctr_kit").is_dir():
        raise argparse.ArgumentTypeError(f"{path} has no folder mmctr_kit")
    return path


def setting(text: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not equals:
        raise argparse.ArgumentTypeError(f"expected KEY=VALUE, not {text}")
    return key, value


def reference_side(given: argparse.Namespace, recipes: list[str], work: Path) -> Path:
    """The folder with the reference's results, made or kept from an earlier call."""
    sets, code = dict(given.set), code_of(given.reference)
    kept = given.keep.resolve() / kept_as(code, recipes, sets) if given.keep else work / "reference"
    if kept.is_dir():
        print(f"reference: kept in {kept}", file=sys.stderr)
        return kept
    kept.parent.mkdir(parents=True, exist_ok=True)
    # Renamed at the end, so that what was interrupted is never taken for whole.
    with tempfile.TemporaryDirectory(prefix="unfinished-", dir=kept.parent) as made:
        home = Path(made) / "side"
        home.mkdir()
        Side("reference", given.reference, home).run(recipes, sets, home / "world")
        if code_of(given.reference) != code:
            raise FailedError(f"the code in {given.reference} changed in the meantime")
        home.rename(kept)
    return kept


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    here = Path(__file__).resolve().parents[2]
    parser.add_argument("--reference", type=checkout, required=True, help="the other checkout")
    parser.add_argument("--checkout", type=checkout, default=here, help="by default this one")
    parser.add_argument("--recipe", action="append", help=f"by default {' '.join(RECIPES)}")
    parser.add_argument("--set", type=setting, action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--allow", nargs="+", action="extend", default=[], metavar="KEY")
    parser.add_argument("--keep", type=Path, help="where the reference's side stays")
    given = parser.parse_args()
    asked = given.recipe or RECIPES
    recipes = [str(Path(r).resolve()) if Path(r).is_file() else r for r in asked]
    try:
        with tempfile.TemporaryDirectory(prefix="same-as-commit-") as folder:
            began = time.perf_counter()
            old = reference_side(given, recipes, Path(folder))
            between = time.perf_counter()
            new, code = Path(folder) / "checkout", code_of(given.checkout)
            new.mkdir()
            Side("checkout", given.checkout, new).run(recipes, dict(given.set), old / "world")
            if code_of(given.checkout) != code:
                raise FailedError(f"the code in {given.checkout} changed in the meantime")
            ended = time.perf_counter()
            different = tell(old, new, given.allow)
    except FailedError as failure:
        print(failure, file=sys.stderr)
        sys.exit(2)
    print(f"the reference took {between - began:.0f} s, the checkout {ended - between:.0f} s")
    sys.exit(1 if different else 0)


if __name__ == "__main__":
    main()
