"""Lift: what `blend` gains over the run that OOF ranks first, in true test AUC.

    python tests/studies/blend_lift.py --work /tmp/lift [--worlds 10] [--users 10000]
    python tests/studies/blend_lift.py --work /tmp/lift --worlds 4 --users 2500 \\
        --recipes gbdt best_din_ids best_din --set folds.count=2

For each generator seed: demo data (with fewer --users smaller in proportion), `cv` of the demo's
recipes, or of --recipes with --set, `blend` by auto with and without the group step, and the AUC
of the test rows, whose labels the generator knows. auto's should be no worse than that of the run
that OOF ranks first minus one paired clustered standard error in at least 9 of 10, and better on
average. The group step is transductive, so it is compared apart, and also with the first run
after that same step. An interrupted study goes on where it stopped.
"""

import argparse
import math
import shutil
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from worlds import quiet_plan, short_recipe, small_demo

from mmctr_kit.cv.run import run_cv
from mmctr_kit.data.load import load
from mmctr_kit.ensemble.group import group_softmax
from mmctr_kit.ensemble.runs import blend_report, blend_runs
from mmctr_kit.files import read_columns
from mmctr_kit.metrics.auc import auc_difference, auc_with_se
from mmctr_kit.metrics.estimate import Estimate
from mmctr_kit.runs.run import Run

RECIPES = ("din_demo", "din_demo_e4", "din_mha_demo", "gbdt_demo")


def runs_of(home: Path, work: Path, recipes: Sequence[str], settings: Sequence[str]) -> list[Run]:
    """A run of each recipe on the generated data set at ``home``."""
    runs = []
    data = load(home / "data")
    for name in recipes:
        path = work / "runs" / f"{home.name}-{name}"
        run_cv(quiet_plan(short_recipe(name, settings), data), path, False, lambda _progress: None)
        shutil.rmtree(path / "folds", ignore_errors=True)
        runs.append(Run(path))
    return runs


def compare(runs: list[Run], home: Path, work: Path) -> dict[str, Estimate | str]:
    """Test AUC of the first run by OOF, of auto, and the paired differences."""
    truth = read_columns(home / "truth" / "test_labels.parquet")
    label = truth["label"][np.argsort(truth["ID"])]
    best = max(runs, key=lambda run: run.metrics["oof"]["value"])
    paths = [work / "runs" / f"{home.name}-{kind}" for kind in ("auto", "grouped")]
    for path, groups in zip(paths, (False, True), strict=True):
        blend_runs(runs, "auto", path, False, 0, load(home / "data"), groups)
    first, plain, grouped = (Run(p).predictions() for p in (best.path, *paths))
    alone, _ = group_softmax(first, 0)
    user = first.test_keys.user_id
    scores = {
        "first": first.test_mean(),
        "auto": plain.test_mean(),
        "first grouped": alone.test_mean(),
        "auto grouped": grouped.test_mean(),
    }
    found: dict[str, Estimate | str] = {
        name: auc_with_se(label, score, user) for name, score in scores.items()
    }
    for a, b in (("auto", "first"), ("auto grouped", "first grouped"), ("auto grouped", "auto")):
        found[f"{a} - {b}"] = auc_difference(label, scores[a], scores[b], user)
    return found | {"best": best.name, "method": blend_report(Run(paths[0]))["method"]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--worlds", type=int, default=10)
    parser.add_argument("--users", type=int, default=10_000, help="of train")
    parser.add_argument("--recipes", nargs="+", default=RECIPES)
    parser.add_argument("--set", nargs="*", default=[], metavar="KEY=VALUE")
    given = parser.parse_args()
    gains: dict[str, list[Estimate]] = {}
    for seed in range(given.worlds):
        began = time.perf_counter()
        home = small_demo(given.work, given.users, seed)
        found = compare(runs_of(home, given.work, given.recipes, given.set), home, given.work)
        print(f"{seed}: auto took {found['method']}, first by OOF {found['best']}", flush=True)
        for name, value in found.items():
            if isinstance(value, Estimate):
                told = value.signed() if " - " in name else str(value)
                print(f"    {name:30} {told}", flush=True)
                if " - " in name:
                    gains.setdefault(name, []).append(value)
        print(f"    {time.perf_counter() - began:.0f} s", flush=True)
    for name, each in gains.items():
        values = np.array([gain.value for gain in each])
        kept = sum(gain.value >= -gain.se for gain in each)
        error = values.std(ddof=1) / math.sqrt(len(values)) if len(values) > 1 else math.nan
        print(
            f"{name}: mean {values.mean():+.4f} ± {error:.4f} over {len(values)} data sets, "
            f"no worse by more than one standard error in {kept}"
        )


if __name__ == "__main__":
    main()
