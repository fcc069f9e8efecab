"""How long `blend` takes and how much memory: 10 simulated runs of 3.6 M rows, all methods.

    python tests/studies/blend_speed.py --work /tmp/blend-speed [--runs 10] [--users 900000]

The runs are written as run folders (the challenge's sizes: 4 rows a user, 10,000 valid and 379,142
test rows, 5 folds), then the command itself is run in a process of its own, whose wall time and
peak memory are printed. Aim: under 360 s and 8 GB on two cores.
"""

import argparse
import multiprocessing
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

from mmctr_kit.data.folds import fold_fingerprint, user_folds
from mmctr_kit.runs.manifest import Manifest
from mmctr_kit.runs.predictions import Keys, OutOfFold, Predictions
from mmctr_kit.runs.writer import begin_run

FOLDS = 5
VALID_USERS = 2_500
TEST_ROWS = 379_142


def keys(first: int, rows: int) -> Keys:
    user = first + np.arange(rows, dtype=np.int64) // 4
    return Keys(user, np.arange(rows, dtype=np.int32) % 90_000, np.zeros(rows, np.int32))


def name_of(run: int) -> str:
    return f"run{run:03d}"


def labels(rng: np.random.Generator, rows: int) -> np.ndarray:
    pick = rng.integers(0, 4, -(-rows // 4))
    return (np.arange(rows) % 4 == np.repeat(pick, 4)[:rows]).astype(np.int8)


def make(root: Path, runs: int, users: int) -> None:
    """Runs that see the label through noise, most of it shared, at an AUC of about 0.9."""
    rng = np.random.default_rng(0)
    parts = [(0, 4 * users), (2_000_000, 4 * VALID_USERS), (3_000_000, TEST_ROWS)]
    at = [keys(*p) for p in parts]
    label = [labels(rng, rows) for _, rows in parts]
    shared = [1.6 * y + 0.8 * rng.normal(size=len(y)) - 2.0 for y in label]
    fold = user_folds(at[0].user_id, FOLDS, 0)
    for run in range(runs):
        noise = 0.4 + 0.1 * run
        oof, valid, test = (
            x + noise * rng.normal(size=(copies, len(x)))
            for x, copies in zip(shared, (1, FOLDS, FOLDS), strict=True)
        )
        found = Predictions(
            OutOfFold(at[0], label[0], fold, oof[0]), at[1], label[1], valid, at[2], test
        )
        name = name_of(run)
        manifest = Manifest("cv", "rows", name, fold_fingerprint(fold), name)
        writer = begin_run(root / name, manifest, None, True)
        assert writer is not None
        writer.finish(
            found,
            {"valid": None, "alarm": None, "test_tied_share": 0.0, "fold_models_valid": None},
            {},
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--runs", type=int, default=10)
    parser.add_argument("--users", type=int, default=900_000)
    given = parser.parse_args()
    root = given.work / "runs"
    shutil.rmtree(root, ignore_errors=True)
    # In a process of its own: on Linux a child's peak begins at its parent's memory.
    maker = multiprocessing.get_context("spawn").Process(
        target=make, args=(root, given.runs, given.users)
    )
    maker.start()
    maker.join()
    names = [name_of(run) for run in range(given.runs)]
    command = ["blend", *names, "--name", "all", "--group-softmax", "--runs", str(root)]
    began = time.perf_counter()
    child = subprocess.Popen([sys.executable, "-m", "mmctr_kit", *command])
    _, status, used = os.wait4(child.pid, 0)
    seconds = time.perf_counter() - began
    print(
        f"{given.runs} runs x {4 * given.users:,} rows: {seconds:.0f} s wall, "
        f"{used.ru_utime + used.ru_stime:.0f} s of CPU, peak {used.ru_maxrss / 2**20:.1f} GiB"
    )
    sys.exit(os.waitstatus_to_exitcode(status))


if __name__ == "__main__":
    main()
