"""How long `report` of a blend of many runs takes, how large its page is, and `runs` of more runs.

    python tests/studies/many_runs.py --work /tmp/many --data DATA [--recipe gbdt_demo]

One run is trained and copied under other names, its logits with noise of their own; 200 copies are
blended by the plain mean. Each command runs in a process of its own. Aim: the page in under 30 s of
CPU time and 3 MB, 1,000 runs listed in under 3 s.
"""

import argparse
import os
import shutil
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np

import mmctr_kit
from mmctr_kit.runs.run import Run
from mmctr_kit.runs.writer import begin_run

BLENDED = 200


def copy(base: Run, path: Path, rng: np.random.Generator) -> None:
    """The run again under another name, with other logits; its metrics are as they were."""
    made, text = base.predictions(), base.recipe_text
    noise = 0.02 + 0.3 * rng.random()
    valid, test = (x + noise * rng.normal(size=x.shape) for x in (made.valid, made.test))
    assert made.oof is not None
    logit = made.oof.logit + noise * rng.normal(size=len(made.oof.logit))
    writer = begin_run(path, replace(base.manifest, recipe=path.name), text, force=True)
    assert writer is not None
    shutil.copytree(base.path / "folds", path / "folds")
    changed = replace(made, oof=replace(made.oof, logit=logit), valid=valid, test=test)
    writer.finish(changed, base.metrics, base.timings)


def measure(root: Path, *command: str) -> None:
    """Run a command of the kit on the runs at ``root``, and print what it took."""
    began = time.perf_counter()
    whole = [sys.executable, "-m", "mmctr_kit", *command, "--runs", str(root)]
    child = subprocess.Popen(whole, stdout=subprocess.DEVNULL)
    _, status, used = os.wait4(child.pid, 0)
    if code := os.waitstatus_to_exitcode(status):
        sys.exit(code)
    seconds = time.perf_counter() - began
    of_cpu = f"{used.ru_utime + used.ru_stime:.1f} s of CPU"
    peak = f"peak {used.ru_maxrss / 2**20:.2f} GiB"
    print(f"{command[0]}: {seconds:.1f} s wall, {of_cpu}, {peak}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--recipe", default="gbdt_demo")
    parser.add_argument("--runs", type=int, default=1000)
    given = parser.parse_args()
    root, rng = given.work / "runs", np.random.default_rng(0)
    shutil.rmtree(root, ignore_errors=True)
    base = mmctr_kit.cross_validate(given.recipe, given.data, runs=root, name="base")
    names = [f"run{number:04d}" for number in range(1, given.runs)]
    for name in names[:BLENDED]:
        copy(base, root / name, rng)
    print(f"{len(base.predictions().oof.logit):,} OOF rows, {BLENDED} runs blended", flush=True)
    measure(root, "blend", *names[:BLENDED], "--name", "mean", "--method", "mean")
    measure(root, "report", "mean")
    print(f"page: {(root / 'mean.html').stat().st_size / 1e6:.2f} MB")
    for name in names[BLENDED:]:
        copy(base, root / name, rng)
    print(f"{given.runs + 1:,} runs")
    measure(root, "runs")


if __name__ == "__main__":
    main()
