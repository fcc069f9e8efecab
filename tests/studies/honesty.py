"""Honesty: whether the score that `cv` or `tune` reports is the true one.

    python tests/studies/honesty.py --work /tmp/honesty --trials 0 --users 3000 [--worlds 20]
    python tests/studies/honesty.py --work /tmp/honesty --trials 8 [--users 1000]
    python tests/studies/honesty.py --work /tmp/honesty --trials 0 --users 1000 \\
        --recipes gbdt best_din_ids best_din --set folds.count=2

For each generator seed: data with few train users, and valid and test of the demo's size; `cv` of
each recipe (din_mha_demo, or --recipes with --set) and, of several, their blend by `auto`; or a
study of --trials trials of a smaller din_mha_demo, the two best trained again; and the AUC of the
test rows, whose labels the generator knows. The 95 % interval of (reported valid AUC - true test
AUC), which counts both samples' variances, should cover 0 in at least 17 of 20. Beside a study
stands what the search said of the same trial less what new seeds said: how optimistic the best of
its trials is. What was interrupted goes on where it stopped.
"""

import argparse
import math
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from worlds import DEMO, quiet_plan, short_recipe

from mmctr_kit.cv.executors.local import LocalExecutor
from mmctr_kit.cv.run import run_cv
from mmctr_kit.data.load import load
from mmctr_kit.datasets.synth import generate
from mmctr_kit.ensemble.runs import blend_runs
from mmctr_kit.files import read_columns
from mmctr_kit.metrics.auc import auc_with_se
from mmctr_kit.metrics.estimate import Estimate
from mmctr_kit.recipe import load_recipe
from mmctr_kit.runs.run import Run
from mmctr_kit.tuning.study import begin_study, conclude_study, plan_study, search_study

SETTINGS = ("folds.count=2", "training.epochs=4", "training.batch_size=256")
FINALISTS, SEEDS = 2, 2


def world(work: Path, users: int, seed: int) -> Path:
    """The folder of generated data with so many train users, made once."""
    home = work / f"world-{users}-{seed}"
    if not home.exists():
        items = max(int(DEMO.n_items * users / DEMO.train_users), 500)
        generate(home, replace(DEMO, train_users=users, n_items=items), seed=seed)
    return home


def cross_validate(
    home: Path, work: Path, recipes: Sequence[str], settings: Sequence[str]
) -> dict[str, tuple[Estimate, Estimate]]:
    """The reported valid AUC and the true test AUC of each recipe's run, and of their blend."""
    data, runs = load(home / "data"), []
    for name in recipes:
        path = work / f"{home.name}-{name}.run"
        run_cv(quiet_plan(short_recipe(name, settings), data), path, False, lambda _progress: None)
        runs.append(Run(path))
    if len(runs) > 1:
        path = work / f"{home.name}-blend.run"
        blend_runs(runs, "auto", path, False, 0, data)
        runs.append(Run(path))
    names = [*recipes, "blend"]
    reported = [Estimate.from_json(run.metrics["valid"]) for run in runs]
    return {
        name: (valid, true_test(home, run))
        for name, valid, run in zip(names, reported, runs, strict=False)
    }


def tune(home: Path, work: Path, trials: int) -> tuple[Estimate, Estimate, float]:
    """The reported valid AUC, the true test AUC, and the optimism of the search."""
    recipe, data = load_recipe("din_mha_demo", SETTINGS), load(home / "data")
    plan = plan_study(recipe, data, LocalExecutor("cpu", 1))
    plan = replace(plan, resources=replace(plan.resources, threads=1))
    folder = begin_study(plan, work / f"{home.name}-{trials}.study", False)[0]
    search_study(plan, folder, trials, None, lambda _event: None)
    found = conclude_study(plan, folder, FINALISTS, SEEDS, lambda _number, _event: None)
    chosen = found.finalists[0]
    true = true_test(home, Run(folder.finalist(chosen.number)))
    return chosen.valid, true, found.as_json()["optimism"]


def true_test(home: Path, run: Run) -> Estimate:
    """The AUC of a run's test predictions on the labels that the generator knows."""
    test, truth = run.predictions(), read_columns(home / "truth" / "test_labels.parquet")
    label = truth["label"][np.argsort(truth["ID"])]
    return auc_with_se(label, test.test_mean(), test.test_keys.user_id)


def main() -> None:
    parser = argparse.ArgumentParser(description="See the docstring.")
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--worlds", type=int, default=20)
    parser.add_argument("--users", type=int, default=1_000)
    parser.add_argument("--trials", type=int, required=True, help="of a study; 0: cv alone")
    parser.add_argument("--recipes", nargs="+", default=["din_mha_demo"], help="of cv")
    parser.add_argument("--set", nargs="*", default=[], metavar="KEY=VALUE", help="of cv")
    options = parser.parse_args()
    gaps: dict[str, list[Estimate]] = {}
    optimisms = []
    for seed in range(options.worlds):
        home = world(options.work, options.users, seed)
        if options.trials:
            valid, test, optimism = tune(home, options.work, options.trials)
            found = {"tune": (valid, test)}
            optimisms.append(optimism)
            print(f"seed {seed}: search {optimism:+.4f} too high")
        else:
            found = cross_validate(home, options.work, options.recipes, options.set)
        for name, (valid, test) in found.items():
            gap = Estimate(valid.value - test.value, math.hypot(valid.se, test.se), valid.n)
            gaps.setdefault(name, []).append(gap)
            said = "covers" if covers(gap) else "MISSES"
            print(f"seed {seed} {name}: valid {valid}, test {test}, gap {gap.signed()} {said} 0")
        sys.stdout.flush()
    for name, each in gaps.items():
        print(f"{name}: valid - test {mean([gap.value for gap in each])}")
        print(f"  {sum(covers(gap) for gap in each)} of {len(each)} intervals cover 0")
    if optimisms:
        print(f"search - new seeds {mean(optimisms)}")


def covers(gap: Estimate) -> bool:
    """Whether the 95 % interval holds 0."""
    return abs(gap.value) <= 1.96 * gap.se


def mean(values: Sequence[float]) -> str:
    """The mean with its standard error over data sets, as text."""
    count = len(values)
    se = float(np.std(values, ddof=1)) / math.sqrt(count) if count > 1 else math.nan
    return Estimate(float(np.mean(values)), se, count).signed()


if __name__ == "__main__":
    main()
