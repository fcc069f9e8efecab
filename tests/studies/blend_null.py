"""Null: with labels shuffled within users, no blend method may score and `auto` keeps the mean.

    python tests/studies/blend_null.py --work /tmp/null [--replicates 20]
    python tests/studies/blend_null.py --work /tmp/null --users 10000 --replicates 5
    python tests/studies/blend_null.py --work /tmp/null --recipes din_demo --replicates 1
    python tests/studies/blend_null.py --work /tmp/null --recipes gbdt best_din_ids best_din \\
        --runs 2 --users 1500 --replicates 10 --set folds.count=2

Demo data with fewer users and items in proportion (--users 10000 is the demo's own size), labels
permuted within each user of train and valid. Twenty runs (--runs) that differ only by seed, of
base models that memorise: deep LightGBM on item, levels, tags and history, in user-grouped folds;
or the same number of seeds of each of --recipes, through `cv` itself and with --set. Every
method's cross-fitted OOF AUC should lie within 3 standard errors of 0.5, and `auto` take the mean
in at least 18 of 20 replicates. Standard errors are counted by user and item, as `auto` does
(mmctr_kit/metrics/chance.py says why); what those clustered by user alone would say stands beside
them.
"""

import argparse
import time
from dataclasses import replace
from pathlib import Path

import lightgbm
import numpy as np
from numpy.typing import NDArray
from worlds import quiet_plan, short_recipe, small_demo

from mmctr_kit.cv.run import predictions_of, run_cv
from mmctr_kit.data.dataset import ChallengeData, Rows
from mmctr_kit.data.folds import user_folds
from mmctr_kit.data.load import load
from mmctr_kit.ensemble.blend import Blend, blend
from mmctr_kit.ensemble.runs import stack_of
from mmctr_kit.runs.predictions import Predictions, predictions_for
from mmctr_kit.runs.writer import RunWriter

FOLDS = 3


def shuffled(data: ChallengeData, seed: int) -> ChallengeData:
    """The data with labels permuted within each user, in train and valid."""
    rng = np.random.default_rng([seed, 0x511])
    changed = {}
    for split in ("train", "valid"):
        rows: Rows = data.rows[split]
        by_user = np.argsort(rows.user_id, kind="stable")
        mixed = np.lexsort((rng.random(len(rows)), rows.user_id))
        label = rows.labels().copy()
        label[by_user] = rows.labels()[mixed]
        changed[split] = replace(rows, label=label)
    return replace(data, rows={**data.rows, **changed}, rows_fingerprint=f"shuffled {seed}")


def columns(data: ChallengeData, rows: Rows) -> NDArray[np.float64]:
    """What the base models memorise by: the item first of all."""
    last = data.histories.values[data.histories.offsets[rows.history + 1] - 1]
    return np.column_stack(
        [
            rows.item_id,
            rows.likes_level,
            rows.views_level,
            data.item_tags[rows.item_id, -1],
            data.histories.lengths[rows.history],
            last,
        ]
    ).astype(np.float64)


def memorisers(data: ChallengeData, runs: int) -> list[Predictions]:
    """Runs of deep trees, alike but for the seed that draws their rows and columns."""
    fold = user_folds(data.train.user_id, FOLDS, 0)
    x, later = columns(data, data.train), [columns(data, data.rows[s]) for s in ("valid", "test")]
    label = data.train.labels()
    oof = np.empty((runs, len(x)))
    valid, test = (np.empty((runs, FOLDS, len(part))) for part in later)
    for f in range(FOLDS):
        inside, own = fold != f, fold == f
        rows = lightgbm.Dataset(
            x[inside], label[inside], categorical_feature=[0], free_raw_data=False
        )
        for run in range(runs):
            parameters = {
                "objective": "binary",
                "num_leaves": 255,
                "min_data_in_leaf": 1,
                "min_data_per_group": 1,
                "cat_smooth": 1.0,
                "learning_rate": 0.1,
                "bagging_fraction": 0.8,
                "bagging_freq": 1,
                "feature_fraction": 0.8,
                "feature_pre_filter": False,
                "seed": run,
                "num_threads": 1,
                "verbosity": -1,
            }
            model = lightgbm.train(parameters, rows, 20)
            oof[run, own] = model.predict(x[own], raw_score=True)
            valid[run, f], test[run, f] = (model.predict(p, raw_score=True) for p in later)
    return [predictions_for(data, oof[r], fold, valid[r], test[r]) for r in range(runs)]


def of_recipe(
    data: ChallengeData, name: str, settings: list[str], runs: int, path: Path
) -> list[Predictions]:
    """The same by a shipped recipe and `cv`'s own path, in this process."""
    seeds = list(range(runs))
    recipe = short_recipe(name, [f"seeds={seeds}", "training.snapshot=last", *settings])
    plan = quiet_plan(recipe, data)
    run_cv(plan, path, False, lambda _progress: None)
    return [predictions_of(plan, RunWriter(path), (seed,)) for seed in seeds]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--replicates", type=int, default=20)
    parser.add_argument("--recipes", nargs="*", default=[])
    parser.add_argument("--set", nargs="*", default=[], metavar="KEY=VALUE", help="of recipes")
    parser.add_argument("--runs", type=int, default=20, help="of each recipe")
    parser.add_argument("--users", type=int, default=3_000, help="of train; demo has 10,000")
    given = parser.parse_args()
    world = small_demo(given.work, given.users, 0)
    clean = load(world / "data")
    found: list[Blend] = []
    for replicate in range(given.replicates):
        began = time.perf_counter()
        data = shuffled(clean, replicate)
        runs = [] if given.recipes else memorisers(data, given.runs)
        for name in given.recipes:
            path = given.work / f"{name}-{replicate}"
            runs += of_recipe(data, name, given.set, given.runs, path)
        names = [f"run{i}" for i in range(len(runs))]
        made = blend(stack_of(names, runs, data), "auto", replicate)
        found.append(made)
        told = " ".join(f"{name} {value:+.1f}" for name, value in made.above_chance.items())
        print(
            f"{replicate:2d}: {made.method}; standard errors from 0.5: {told}; "
            f"{time.perf_counter() - began:.0f} s",
            flush=True,
        )
    kept = sum(made.method == "mean" for made in found)
    print(f"auto took the mean in {kept} of {len(found)} replicates")
    tell("by user and item", found, [list(made.above_chance.values()) for made in found])
    tell("by user alone", found, [[s.z(0.5) for s in made.scores.values()] for made in found])


def tell(counted: str, found: list[Blend], errors: list[list[float]]) -> None:
    """How far each replicate's methods lie from 0.5, in standard errors counted in one way."""
    every = np.array(errors)
    print(
        f"standard errors {counted}: within 3 of 0.5, every method: "
        f"{(np.abs(every) < 3).all(axis=1).sum()} of {len(found)} replicates; "
        f"furthest {np.abs(every).max():.1f}"
    )
    if len(found) > 1:
        spread = every.std(axis=0, ddof=1)
        told = ", ".join(f"{m} {s:.2f}" for m, s in zip(found[0].scores, spread, strict=True))
        print(f"  their standard deviation (1 if they are right): {told}")


if __name__ == "__main__":
    main()
