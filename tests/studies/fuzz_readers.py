"""Damaged and hostile input for every reader: none may end in a traceback, a hang or much memory.

    python -m tests.studies.fuzz_readers --seconds 3600
    python -m tests.studies.fuzz_readers --seconds 10 --targets recipe ledger --out failing

Each target has a process of its own and an equal share of the time. It mutates valid files (flips,
cuts, splices, hostile words and numbers, changed values of JSON) and reads each. A good end is a
success, or an MmctrKitError of one line. Anything else is a failure, whose input is kept in --out,
as is one that takes over 10 s or asks for more memory than the limit. The same --seed gives the
same inputs.
"""

import argparse
import json
import multiprocessing
import os
import random
import resource
import shutil
import signal
import struct
import sys
import tempfile
import threading
import time
import traceback
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from mmctr_kit.errors import MmctrKitError
from mmctr_kit.processes import peak_process_bytes

SECONDS, MEMORY = 10, 2 * 2**30
"""The most that one input may take: seconds, and bytes beyond what the process has before."""

WORDS = (
    *("0b_", "0x_", "1_0", "1e999", "-1e308", "nan", "NaN", ".inf", "-0.0", "9" * 400, "1e-400"),
    *("2025-13-45", "!!int foo", "!!bool maybe", "!!binary x", "!!timestamp x", "&a [*a]", "<<: 1"),
    *("null", "true", "~", "''", '"', "[", "]", "{", "}", "- ", "? ", ": ", ",", ";", "\t", "\r"),
    *("\n", "\0", "\x1b[2J", "\u202e", "\ufeff", "\ud7ff", "é", "[[[[" * 200, "{a: " * 200),
    *("9223372036854775808", "-1", "4294967296", "1.5", "0", "[]", "{}", "../../x", "/dev/null"),
)
VALUES: tuple[Any, ...] = (
    *(None, True, -1, 0, 1.5, 10**30, 2**63, float("nan"), float("inf"), "", "x", "\x1b[2J", "1"),
    *([], {}, [[]], {"a": 1}, [None], [1, "x"], {"value": None, "error": None, "n": 0}),
)


@dataclass
class Result:
    """What a target's inputs ended in: ``slowest`` in seconds, ``peak`` in bytes."""

    target: str
    inputs: int = 0
    refused: int = 0
    accepted: int = 0
    slowest: float = 0.0
    peak: int = 0
    failures: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Target:
    """A reader: ``read`` is called with a file that holds a mutation of one of ``seeds``."""

    seeds: Sequence[tuple[str, bytes]]
    read: Callable[[Path], object]


# Mutations.


def mutated(seeds: Sequence[bytes], chance: random.Random) -> bytes:
    """One of the seeds after one to four changes."""
    content = chance.choice(seeds)
    if content[:1] in b"{[" and chance.random() < 0.7 and (changed := _json(content, chance)):
        content = changed
        if chance.random() < 0.8:
            return content
    for _ in range(chance.choice((1, 1, 2, 4))):
        content = chance.choice(_CHANGES)(content, seeds, chance)
    return content


def _json(content: bytes, chance: random.Random) -> bytes | None:
    """One value of a JSON text replaced, deleted or doubled; None if it is none."""
    try:
        value = json.loads(content)
    except (ValueError, RecursionError):
        return None
    nodes = [(value, key) for key in _keys(value)]
    for parent, key in nodes:
        nodes += [(parent[key], inner) for inner in _keys(parent[key])]
    for parent, key in chance.sample(nodes, min(len(nodes), chance.choice((1, 1, 2)))):
        if isinstance(parent, dict) and chance.random() < 0.2:
            parent.pop(key, None)
        elif key in _keys(parent):
            parent[key] = chance.choice(VALUES)
    return json.dumps(value).encode()


def _keys(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return list(value)
    return list(range(len(value))) if isinstance(value, list) else []


def _flip(content: bytes, _: Sequence[bytes], chance: random.Random) -> bytes:
    data = bytearray(content or b"\0")
    for _ in range(chance.choice((1, 1, 3, 20))):
        data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
    return bytes(data)


def _cut(content: bytes, _: Sequence[bytes], chance: random.Random) -> bytes:
    a, b = sorted(chance.randrange(len(content) + 1) for _ in range(2))
    return content[:a] if chance.random() < 0.5 else content[:a] + content[b:]


def _splice(content: bytes, seeds: Sequence[bytes], chance: random.Random) -> bytes:
    other = chance.choice(seeds)
    at, of = chance.randrange(len(content) + 1), chance.randrange(len(other) + 1)
    return content[:at] + other[of:]


def _word(content: bytes, _: Sequence[bytes], chance: random.Random) -> bytes:
    """A word at a place, or in the place of a word, of a cell or of the value of a key."""
    word = chance.choice(WORDS).encode()
    at = chance.randrange(len(content) + 1)
    if chance.random() < 0.5:
        return content[:at] + word + content[at:]
    ends = [i for sign in b",\n: " if (i := content.find(sign, at)) >= 0]
    begin = max(content.rfind(bytes([sign]), 0, at) for sign in b",\n: ") + 1
    return content[:begin] + word + content[min(ends, default=len(content)) :]


def _number(content: bytes, _: Sequence[bytes], chance: random.Random) -> bytes:
    """A hostile number in the bytes of another, as lengths and shapes of binary files are."""
    layout = chance.choice(("<B", "<H", "<I", "<Q", ">I", "<d"))
    value: float = chance.choice((0, 1, 127, 255, 2**16 - 1, 2**31 - 1, 2**32 - 1, 2**63))
    size = struct.calcsize(layout)
    if layout == "<d":
        packed = struct.pack(layout, chance.choice((1e308, float("nan"), float("-inf"), value)))
    else:
        packed = struct.pack(layout, int(value) % 2 ** (8 * size))
    at = chance.randrange(max(1, len(content) - size))
    return content[:at] + packed + content[at + size :]


_CHANGES: tuple[Callable[[bytes, Sequence[bytes], random.Random], bytes], ...] = (
    *(_flip, _cut, _splice, _word, _word, _number),
)


# Targets.


def world(folder: Path) -> tuple[Path, Path]:
    """A tiny data folder, and a folder with a run, its blend with another, and a study's files."""
    from mmctr_kit import blend, cross_validate, generate_data

    generate_data(folder / "world", preset="tiny")
    small = ["training.epochs=1", "training.min_steps=1", "folds.count=2"]
    runs, data = folder / "runs", folder / "world/data"
    for name in ("din_demo", "din_demo_e4"):
        cross_validate(name, data, set=small, runs=runs, device="cpu", jobs=1)
    blend(["din_demo", "din_demo_e4"], name="mix", runs=runs)
    return data, runs


def targets(data: Path, runs: Path, folder: Path) -> dict[str, Callable[[], Target]]:
    """Every reader by name; what it needs is made when it is called, in its own process."""
    return {
        "recipe": _recipe,
        "set": _setting,
        "import-spec": _import_spec,
        "contest-spec": _contest_spec,
        "data": lambda: _data(data, folder),
        "log": lambda: _log(folder),
        "vectors": lambda: _vectors(data),
        "predictions": lambda: _predictions(data, runs, folder),
        "submission": lambda: _submission(runs, folder),
        "checkpoint": lambda: _checkpoint(runs, folder),
        "run": lambda: _run(runs, folder),
        "ledger": lambda: _ledger(runs, folder),
        "settings": _settings,
        "bench": _bench,
    }


def _recipe() -> Target:
    from mmctr_kit.recipe import load_recipe
    from mmctr_kit.recipe.load import shipped_recipes

    seeds = [("x.yaml", path.read_bytes()) for path in shipped_recipes()]
    return Target(seeds, lambda path: load_recipe(str(path)).to_yaml())


def _setting() -> Target:
    from mmctr_kit.recipe import load_recipe

    texts = (
        *("training.epochs=3", "items.embedding=[text, image]", "model.mlp_hidden=[8, 4]"),
        *("search={training.epochs: {int: [1, 3]}}", "signals={kinds: [pmi]}", "folds.by=item"),
    )

    def read(path: Path) -> object:
        text = os.fsdecode(path.read_bytes()).replace("\0", "")
        return load_recipe("din_demo", [text]).to_yaml()

    return Target([("x", text.encode()) for text in texts], read)


def _import_spec() -> Target:
    from mmctr_kit.datasets.imports.load import load_spec, shipped

    return Target([("x.yaml", path.read_bytes()) for path in shipped().values()], load_spec)


def _contest_spec() -> Target:
    from mmctr_kit.submission.spec import SHIPPED, load_spec

    kaggle = Path(__file__).parents[1] / "submission/kaggle.yaml"
    return Target([("x.yaml", path.read_bytes()) for path in (SHIPPED, kaggle)], load_spec)


def _data(data: Path, folder: Path) -> Target:
    from mmctr_kit.audit.check import check_data
    from mmctr_kit.data.load import load

    files = [p for p in data.rglob("*.parquet") if p.stat().st_size < 2**20]
    seeds = [(str(p.relative_to(data)), p.read_bytes()) for p in files]

    def read(path: Path) -> object:
        within = path.relative_to(folder / "input/data")
        for file in data.rglob("*.parquet"):
            link = folder / "input/data" / file.relative_to(data)
            if link.relative_to(folder / "input/data") != within:
                link.parent.mkdir(parents=True, exist_ok=True)
                link.symlink_to(file)
        check_data(folder / "input/data")
        shutil.rmtree(os.environ["MMCTR_KIT_CACHE"], ignore_errors=True)
        return load(folder / "input/data")

    return Target([(f"data/{name}", content) for name, content in seeds], read)


def _log(folder: Path) -> Target:
    from mmctr_kit import import_data
    from mmctr_kit.datasets.imports.guess import guess

    rows = [
        f"u{i % 40},i{(i * i + i // 40) % 23},{i % 5 + 1},{1_600_000_000 + 1000 * i}"
        for i in range(800)
    ]
    plain = "\n".join(["user,item,rating,time", *rows]).encode()
    seeds = [("log.csv", plain), ("log.tsv", plain.replace(b",", b"\t"))]
    named = [dict(zip(("user", "item", "rating", "time"), r.split(","), strict=True)) for r in rows]
    seeds.append(("log.jsonl", "\n".join(map(json.dumps, named)).encode()))

    def read(path: Path) -> object:
        guess([path])
        return import_data(path, folder / "input/out")

    return Target(seeds, read)


def _vectors(data: Path) -> Target:
    from mmctr_kit.data.load import load, load_own

    loaded = load(data)
    seeds = []
    for dtype in (np.float32, np.float64):
        ids = np.arange(1, loaded.n_items + 1)
        vectors = np.ones((len(ids), 4), dtype)
        seeds.append(("v.parquet", _parquet(item_id=ids, vector=list(vectors))))
    return Target(seeds, lambda path: load_own(loaded, path))


def _parquet(**columns: Any) -> bytes:
    import pyarrow as pa
    import pyarrow.parquet as pq

    out = pa.BufferOutputStream()
    pq.write_table(pa.table(columns), out)
    return bytes(out.getvalue())


def _predictions(data: Path, runs: Path, folder: Path) -> Target:
    from mmctr_kit.data.load import load
    from mmctr_kit.importers.predictions import import_predictions
    from mmctr_kit.runs.run import Run
    from mmctr_kit.submission.score import read_labels

    loaded, frame = load(data), Run(runs / "mix").test()[["ID", "logit"]]
    seeds = [("p.csv", frame.to_csv(index=False).encode())]
    seeds.append(("p.parquet", _parquet(ID=frame["ID"], logit=frame["logit"])))

    def read(path: Path) -> object:
        try:
            read_labels(path)
        except MmctrKitError as e:
            _one_line(e)
        made = import_predictions(
            loaded, path, None, None, None, folder / "input/runs/x", force=True
        )
        return made and made.test_scores()

    return Target(seeds, read)


def _submission(runs: Path, folder: Path) -> Target:
    import zipfile

    from mmctr_kit import write_submission
    from mmctr_kit.submission.check import check_submission, read_scores

    out = folder / "s.zip"
    write_submission("mix", "Task2", out=out, runs=runs, ledger=folder / "none.jsonl", force=True)
    with zipfile.ZipFile(out) as archive:
        table = archive.read("prediction.csv")

    def read(path: Path) -> object:
        check_submission(path)
        return read_scores(path)

    return Target([("s.zip", out.read_bytes()), ("s.csv", table), ("s.zip", table)], read)


def _checkpoint(runs: Path, folder: Path) -> Target:
    import io

    import torch
    from safetensors.torch import save

    from mmctr_kit.importers.checkpoint import read_checkpoint

    state = {f"layer.{i}": torch.arange(6.0, dtype=torch.float32).view(2, 3) for i in range(3)}
    state |= {"half": torch.ones(2, dtype=torch.bfloat16), "empty": torch.zeros(0, 4)}
    state["small"] = torch.ones(2, dtype=torch.float8_e4m3fn)
    pickled, arrays = io.BytesIO(), io.BytesIO()
    torch.save({"state_dict": state}, pickled)
    np.savez(arrays, **{f"param/{k}": np.ones((2, 3)) for k in "ab"})
    seeds = [
        ("c.safetensors", save(state)),
        ("c.pt", pickled.getvalue()),
        ("c.npz", arrays.getvalue()),
    ]
    del runs, folder
    return Target(seeds, read_checkpoint)


def _run(runs: Path, folder: Path) -> Target:
    from mmctr_kit.api.overview import show_run
    from mmctr_kit.report.advice import advice
    from mmctr_kit.report.context import open_context
    from mmctr_kit.report.page import headline
    from mmctr_kit.runs.leaderboard import leaderboard
    from mmctr_kit.runs.progress import fold_states
    from mmctr_kit.runs.run import Run, all_runs

    files = [p for name in ("din_demo", "mix") for p in (runs / name).rglob("*") if p.is_file()]
    files = [p for p in files if p.suffix in (".json", ".yaml", ".jsonl") or "test.par" in p.name]
    seeds = [(f"runs/{p.relative_to(runs)}", p.read_bytes()) for p in files]

    def each(name: str) -> Iterator[Callable[[], object]]:
        run = Run(folder / "input/runs" / name)
        yield lambda: leaderboard(all_runs(run.path.parent))
        yield lambda: fold_states(run)
        yield lambda: run.recipe() if run.recipe_text is not None else None
        yield lambda: (run.epochs(), run.lineage, run.source_places, run.valid_auc)
        yield lambda: show_run(name, runs=run.path.parent)
        yield lambda: _page(name)

    def _page(name: str) -> object:
        context = open_context(name, folder / "input/runs", folder / "input/submissions")
        return headline(context), advice(context)

    def read(path: Path) -> object:
        for run in ("din_demo", "din_demo_e4", "mix"):
            for file in (runs / run).rglob("*"):
                to = folder / "input/runs" / file.relative_to(runs)
                if file.is_file() and not to.exists():
                    to.parent.mkdir(parents=True, exist_ok=True)
                    shutil.copyfile(file, to)
        if path.name != "DONE":  # as an earlier version ended a run, so that no seal names damage
            for done in (folder / "input/runs").rglob("DONE"):
                done.write_text("done\n")
        last = None
        for ask in each(path.relative_to(folder / "input/runs").parts[0]):
            try:
                ask()
            except MmctrKitError as e:
                last = e
                _one_line(e)
        if last is not None:
            raise last
        return None

    return Target(seeds, read)


def _ledger(runs: Path, folder: Path) -> Target:
    from mmctr_kit.runs.run import Run
    from mmctr_kit.submission import ledger

    file, path = folder / "some.zip", folder / "ledger.jsonl"
    file.write_bytes(b"x")
    for name in ("mix", "din_demo", "din_demo_e4"):
        ledger.record(path, file, Run(runs / name), ledger.Task.TASK2, 400)
    ledger.add_score(path, file, 0.7, None, "note")
    lines = path.read_bytes().splitlines(keepends=True)

    def read(path: Path) -> object:
        read = ledger.read_ledger(path)
        rows = ledger.standings(read)
        return [r.remark for r in rows], ledger.agreements(rows), read.written_today()

    return Target([("l.jsonl", c) for c in (path.read_bytes(), *lines)], read)


def _settings() -> Target:
    from mmctr_kit.cli import settings

    text = (
        'runs = "a"\ndata = "b"\ncache = "c"\ndevice = "cpu"\njobs = 2\nthreads = 1\n'
        'executor = "local"\n[ray]\naddress = "auto"\n[slurm]\npartition = "x"\n'
    )

    def read(path: Path) -> object:
        from mmctr_kit.cv.executors.settings import settings_of

        os.environ["MMCTR_KIT_SETTINGS"] = str(path)
        settings.settings_file.cache_clear()
        values = settings.option_defaults()
        return values, [settings_of(name, settings.executor_table(name)) for name in _TABLES]

    return Target([("mmctr-kit.toml", text.encode())], read)


_TABLES = ("ray", "slurm")


def _bench() -> Target:
    from mmctr_kit.bench.result import read_versus

    each = {"official": {"wall": 1.0, "cpu": 1.0}, "ours": {"wall": 2.0, "cpu": 1.0}}
    content = {"recipe": "x", "device": "cpu", "batch_size": 2, "precision": "float32"}
    text = json.dumps(content | {"rounds": [each | {"loading": 0.5}]})
    return Target([("v.json", text.encode())], lambda path: read_versus(path).as_json())


# Running them.


class Slow(BaseException):
    """An input took longer than it may; no reader catches it."""


def _one_line(error: MmctrKitError) -> None:
    if "\n" in str(error):
        raise AssertionError(f"a message of several lines: {error}") from error


def fuzz(name: str, target: Target, folder: Path, out: Path, seconds: float, seed: int) -> Result:
    """Read mutations for so many seconds; failing inputs go to ``out``."""
    chance, result, label = random.Random(seed), Result(name), name
    seeds, unraised = [content for _, content in target.seeds], ""

    def note(args: Any) -> None:
        nonlocal unraised
        unraised = f"not raised, but printed: {args.exc_value!r}"

    for name, content in target.seeds:  # so that no input is charged for imports
        shutil.rmtree(folder / "input", ignore_errors=True)
        path = folder / "input" / name
        path.parent.mkdir(parents=True)
        path.write_bytes(content)
        with suppress(MmctrKitError):
            target.read(path)
    sys.unraisablehook = threading.excepthook = note
    begin = time.monotonic()
    while time.monotonic() - begin < seconds:
        shutil.rmtree(folder / "input", ignore_errors=True)
        path = folder / "input" / chance.choice([name for name, _ in target.seeds])
        path.parent.mkdir(parents=True)
        alike = [c for n, c in target.seeds if Path(n).suffix == path.suffix]
        path.write_bytes(mutated(alike if chance.random() < 0.9 else seeds, chance))
        result.inputs += 1
        started = time.monotonic()
        why = ""
        try:
            with _guarded():
                target.read(path)
            result.accepted += 1
        except MmctrKitError as e:
            result.refused += 1
            why = "a message of several lines" if "\n" in str(e) else ""
        except BaseException:
            why = traceback.format_exc()
        why, unraised = why or unraised, ""
        result.slowest = max(result.slowest, time.monotonic() - started)
        if why and (folder / "input").is_dir():
            kept = out / f"{label}-{seed}-{result.inputs}-{path.name}"
            shutil.copyfile(path, kept)
            kept.with_name(f"{kept.name}.txt").write_text(why, errors="backslashreplace")
            result.failures.append(f"{kept}: {why.strip().splitlines()[-1][:200]}")
    result.peak = peak_process_bytes()
    return result


@contextmanager
def _guarded() -> Iterator[None]:
    def stop(*_: object) -> None:
        raise Slow(f"more than {SECONDS} s")

    signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


def _work(name: str, places: Mapping[str, Path], seconds: float, seed: int, answer: Any) -> None:
    """One target's process."""
    warnings.simplefilter("ignore")
    os.environ["MMCTR_KIT_CACHE"] = str(places["work"] / "cache")
    with open(os.devnull, "w") as nothing:
        sys.stdout = nothing
        made = targets(places["data"], places["runs"], places["work"])[name]()
        now = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (now + MEMORY, resource.RLIM_INFINITY))
        found = fuzz(name, made, places["work"], places["out"], seconds, seed)
        # Sending it starts a thread, which needs room too.
        resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        answer.put(asdict(found))


def run_targets(
    names: Sequence[str], data: Path, runs: Path, out: Path, seconds: float, seed: int
) -> list[Result]:
    """The results of these targets, each ``seconds`` long, in a process of its own."""
    context, results = multiprocessing.get_context("spawn"), []
    # The limit is one of address space, of which these take far more than they use.
    os.environ |= {"ARROW_DEFAULT_MEMORY_POOL": "system", "MALLOC_ARENA_MAX": "2"}
    out.mkdir(parents=True, exist_ok=True)
    for name in names:
        with tempfile.TemporaryDirectory() as work:
            places = {"data": data, "runs": runs, "out": out, "work": Path(work)}
            answer = context.Queue()
            process = context.Process(target=_work, args=(name, places, seconds, seed, answer))
            process.start()
            while process.is_alive() and answer.empty():
                time.sleep(0.05)
            if process.is_alive() or not answer.empty():
                results.append(Result(**answer.get()))
                process.join()
            else:  # a reader in C has taken the process with it, and its input is still there
                process.join()
                kept = out / f"{name}-{seed}-died"
                shutil.copytree(Path(work) / "input", kept, dirs_exist_ok=True)
                results.append(Result(name, failures=[f"{kept}: exit {process.exitcode}"]))
        print(_row(results[-1]), flush=True)
    return results


def _row(r: Result) -> str:
    return (
        f"{r.target:13} {r.inputs:8,} {r.refused:8,} {r.accepted:8,} {len(r.failures):8,} "
        f"{r.slowest:8.2f} {r.peak / 2**20:8,.0f}"
    )


def main() -> None:
    known = list(targets(Path(), Path(), Path()))
    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=60.0, help="of all targets together")
    parser.add_argument("--targets", nargs="+", choices=known, default=known)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path("fuzz-failures"))
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        os.environ["MMCTR_KIT_CACHE"] = f"{folder}/cache"
        data, runs = world(Path(folder))
        print(f"{'target':13} {'inputs':>8} {'refused':>8} {'accepted':>8} {'failures':>8}", end="")
        print(f" {'slowest s':>9} {'peak MB':>7}")
        share = given.seconds / len(given.targets)
        results = run_targets(given.targets, data, runs, given.out, share, given.seed)
    failures = [failure for result in results for failure in result.failures]
    print(f"{sum(r.inputs for r in results):,} inputs, {len(failures)} failures")
    print("\n".join(failures))
    sys.exit(bool(failures))


if __name__ == "__main__":
    main()
