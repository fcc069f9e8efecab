"""Processes that write the same run, cache, study and ledger at once: is anything ever half there?

    python tests/studies/crowd.py [--processes 8] [--seconds 120] [--seed 0] [--folder DIR]

Each process does what commands do, in random order: begin, finish, read and replace a run; read
through the cache and clear it; claim and end trials of a study; record and remove submissions;
write one file, and replace one folder. A process may be refused in one line (another is writing);
nothing else may go wrong. Printed is a line for each kind of work: how often it was done, how often
refused, and what went wrong. At the end the ledger has every line, the study every trial, and
nothing is left.
"""

import argparse
import multiprocessing
import random
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np

from mmctr_kit.data.cache import cached, clear_cache
from mmctr_kit.data.contract import Task
from mmctr_kit.errors import RunError
from mmctr_kit.files import locked, made_folder, read_json, write_json
from mmctr_kit.runs.run import Run
from mmctr_kit.runs.writer import begin_run
from mmctr_kit.submission.ledger import read_ledger, record
from mmctr_kit.submission.unrecord import remove_entries
from mmctr_kit.submission.write import write_submission
from mmctr_kit.tuning.folder import StudyFolder, begin_trial, open_study
from mmctr_kit.tuning.heartbeat import WORKER, heartbeat
from tests.runs.test_run import MANIFEST, made_up

SETTINGS = {"recipe": {"name": "small"}, "search": {}, "data": "abc"}
METRICS = {
    "valid": {"value": 0.5, "error": 0.1, "n": 10},
    "oof": None,
    "alarm": None,
    "test_tied_share": 0.0,
}


class Work:
    """What one process does, and what it counted."""

    def __init__(self, root: Path, number: int, seed: int) -> None:
        self.root, self.number = root, number
        self.rng = random.Random(f"{seed} {number}")
        self.done, self.refused, self.faults = Counter[str](), Counter[str](), list[str]()
        self.recorded = self.told = 0

    def run(self, seconds: float) -> None:
        """Do work of random kinds until the time is over."""
        kinds: list[Callable[[], None]] = [
            self.a_run,
            self.cache,
            self.study,
            self.ledger,
            self.page,
        ]
        over = time.monotonic() + seconds
        with heartbeat(self.root / "x.study" / "leases") as self.name:
            while time.monotonic() < over:
                kind = self.rng.choice(kinds)
                try:
                    kind()
                    self.done[kind.__name__] += 1
                except RunError as e:
                    if "another process" not in str(e):
                        self.faults.append(f"{kind.__name__}: {e}")
                    self.refused[kind.__name__] += 1
                except Exception as e:
                    self.faults.append(f"{kind.__name__}: {type(e).__name__}: {e}")

    def a_run(self) -> None:
        path = self.root / "runs" / self.rng.choice("abc")
        with locked(path):
            writer = begin_run(path, MANIFEST, "name: x\n", self.rng.random() < 0.5)
            if writer is not None:
                writer.finish(made_up(), METRICS, {"seconds": 2})
            assert len(Run(path).predictions().test_keys) == 40
            assert Run(path).finished

    def cache(self) -> None:
        if self.rng.random() < 0.1:
            clear_cache()
        k = self.rng.randrange(5)
        arrays, meta = cached("crowd", {}, {"k": k}, lambda: ({"a": np.full(10_000, k)}, {"k": k}))
        assert meta == {"k": k}
        assert (arrays["a"] == k).all()

    def study(self) -> None:
        folder = StudyFolder(self.root / "x.study")
        study = folder.study()

        def claim() -> int:
            trial = begin_trial(study)
            trial.set_user_attr(WORKER, self.name)
            trial.suggest_float("x", 0.0, 1.0)
            return trial.number

        number = folder.exclusively(claim)
        folder.reap()
        folder.exclusively(lambda: study.tell(number, 0.5))
        self.told += 1

    def ledger(self) -> None:
        path = self.root / "ledger.jsonl"
        if self.rng.random() < 0.1:
            known = read_ledger(path).submitted
            mine = [entry for entry in known if entry.run == f"r{self.number}"][:1]
            remove_entries(path, mine)
            self.recorded -= len(mine)
            return
        file = self.root / f"{self.number}.zip"
        file.unlink(missing_ok=True)
        scores = np.array([self.rng.random() for _ in range(5)])
        write_submission(file, np.arange(5), {Task.TASK1: scores})
        run = self.root / "runs" / f"r{self.number}"
        run.mkdir(exist_ok=True)
        write_json(run / "metrics.json", METRICS)
        self.recorded += record(path, file, Run(run), Task.TASK1, 5)

    def page(self) -> None:
        path = self.root / "page.json"
        write_json(path, {"by": self.number, "rows": list(range(2_000))})
        assert len(read_json(path)["rows"]) == 2_000
        made = self.root / "made"
        with locked(made, wait=True), made_folder(made, replace=True) as part:
            write_json(part / "content.json", {"by": self.number})


def _work(root: Path, number: int, seconds: float, seed: int) -> Work:
    work = Work(root, number, seed)
    work.run(seconds)
    return work


def main(arguments: list[str] | None = None) -> bool:
    """Print the table; returns whether nothing went wrong."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--processes", type=int, default=8)
    parser.add_argument("--seconds", type=float, default=120.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--folder", type=Path)
    asked = parser.parse_args(arguments)
    root = asked.folder or Path(tempfile.mkdtemp(prefix="crowd-"))
    (root / "runs").mkdir(parents=True, exist_ok=True)
    open_study(root / "x.study", SETTINGS, {"x": 0.5}, False)
    jobs = [(root, number, asked.seconds, asked.seed) for number in range(asked.processes)]
    with multiprocessing.get_context("spawn").Pool(asked.processes) as pool:
        works = pool.starmap(_work, jobs)
    print(f"{'work':8}{'done':>7}{'refused':>9}")
    for kind in ("a_run", "cache", "study", "ledger", "page"):
        done, refused = (
            sum(c[kind] for c in each)
            for each in ([w.done for w in works], [w.refused for w in works])
        )
        print(f"{kind:8}{done:7}{refused:9}")
    faults = [fault for work in works for fault in work.faults]
    ledger = read_ledger(root / "ledger.jsonl")
    expected = sum(work.recorded for work in works)
    if ledger.damaged or len(ledger.submitted) != expected:
        faults.append(f"ledger: {len(ledger.submitted)} of {expected}, damaged {ledger.damaged}")
    ended = [t for t in StudyFolder(root / "x.study").study().trials if t.state.is_finished()]
    if len(ended) != (told := sum(work.told for work in works)):
        faults.append(f"study: {len(ended)} trials ended of {told}")
    faults += [f"left: {p}" for p in root.rglob(".mmctr-kit-writing-*")]
    print(f"{len(faults)} went wrong", *faults[:20], sep="\n")
    return not faults


if __name__ == "__main__":
    raise SystemExit(0 if main() else 1)
