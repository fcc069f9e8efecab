"""What a single fit loses against the mean of fold models, and what each option gives back.

    python tests/studies/single_fit.py --data DATA --recipe din_demo_e4 --work /tmp/single

For each seed: `cv` of the recipe with that seed, and single fits on the whole train split, one for
each option of :data:`OPTIONS` (or those named by --only). Printed: the valid AUC of a fold model,
of the fold mean and of each single fit, as means over seeds, and each single fit less the fold mean
of its seed. Standard errors of the AUCs count the rows and the variance between seeds, those of the
differences the latter alone. An interrupted study goes on where it stopped. --set changes the
recipe of all; --more adds options, such as --more 'wide:model.mlp_hidden=[2048, 1024, 512]'. Last
comes the network half way between the weights of two seeds' plain fits.
"""

import argparse
from pathlib import Path

import numpy as np

import mmctr_kit as mk
from mmctr_kit.data.folds import WHOLE
from mmctr_kit.items.features import ItemFeatures
from mmctr_kit.metrics.auc import auc_with_se
from mmctr_kit.metrics.estimate import Estimate, recipe_estimate
from mmctr_kit.runs.compare import PairedSample
from mmctr_kit.runs.writer import RunWriter
from mmctr_kit.training.build import make_learner

OPTIONS: dict[str, dict[str, object]] = {
    "plain": {},
    "like": {"like": True},
    "ema-0.98": {"training.average": "ema", "training.ema_decay": 0.98},
    "ema-0.99": {"training.average": "ema"},
    "ema-0.995": {"training.average": "ema", "training.ema_decay": 0.995},
    "tail-0.25": {"training.average": "tail"},
    "tail-0.5": {"training.average": "tail", "training.tail": 0.5},
    "smooth-0.05": {"training.label_smoothing": 0.05},
    "smooth-0.1": {"training.label_smoothing": 0.1},
    "like-ema": {"like": True, "training.average": "ema"},
    "like-tail-0.5": {"like": True, "training.average": "tail", "training.tail": 0.5},
}
"""The options tried: settings of the recipe, and whether the cv says when to stop."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--recipe", required=True)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--only", nargs="*", default=list(OPTIONS))
    parser.add_argument("--set", nargs="*", default=[], metavar="KEY=VALUE")
    parser.add_argument("--more", nargs="*", default=[], metavar="NAME:KEY=VALUE;...")
    args = parser.parse_args()
    options = {name: OPTIONS[name] for name in args.only}
    for text in args.more:
        name, _, settings = text.partition(":")
        pairs = (setting.partition("=") for setting in settings.split(";"))
        options[name] = {key: value for key, _, value in pairs}
    data = mk.load_data(args.data)
    models: list[Estimate] = []
    means: list[Estimate] = []
    fits: dict[str, list[tuple[Estimate, Estimate]]] = {name: [] for name in options}
    for seed in range(args.seeds):
        folder = args.work / f"seed-{seed}"
        base = [f"seeds=[{seed}]", *args.set]
        cv = mk.cross_validate(args.recipe, data, set=base, runs=folder, jobs=1)
        for name, option in options.items():
            settings = [*base, *(f"{k}={v}" for k, v in option.items() if k != "like")]
            like = cv if "like" in option else None
            run = mk.fit(args.recipe, data, like=like, name=name, set=settings, runs=folder)
            gap, _ = PairedSample(cv.predictions(with_oof=False)).gaps(run.predictions())
            assert gap is not None
            assert run.valid_auc is not None
            fits[name].append((run.valid_auc, gap))
        models.append(Estimate.from_json(cv.metrics["fold_models_valid"]))
        means.append(Estimate.from_json(cv.metrics["valid"]))
        report(models, means, fits)
    if "plain" in options and args.seeds > 1:
        print(f"  half way between two seeds' plain fits: {half_way(args.work, data)}")


def half_way(work: Path, data: mk.ChallengeData) -> Estimate:
    """The valid AUC of the mean weights of the plain fits of seeds 0 and 1."""
    runs = [mk.open_run("plain", work / f"seed-{seed}") for seed in (0, 1)]
    folders = [RunWriter(run.path).fold(WHOLE, seed) for seed, run in enumerate(runs)]
    one, two = (folder.weights() for folder in folders)
    mean = {
        k: v if v.dtype.kind in "bu" else ((v + two[k]) / 2).astype(v.dtype) for k, v in one.items()
    }
    recipe = runs[0].recipe()
    learner = make_learner(recipe, data, ItemFeatures.derive(recipe, data), "cpu")
    learner.load(mean)
    return auc_with_se(data.valid.labels(), learner.predict("valid"), data.valid.user_id)


def report(
    models: list[Estimate],
    means: list[Estimate],
    fits: dict[str, list[tuple[Estimate, Estimate]]],
) -> None:
    print(f"{len(models)} seeds", flush=True)
    print(f"  fold model     {recipe_estimate(models)}")
    print(f"  fold mean      {recipe_estimate(means)}")
    for name, each in fits.items():
        aucs, gaps = zip(*each, strict=True)
        values = [gap.value for gap in gaps]
        se = np.std(values, ddof=1) / np.sqrt(len(values)) if len(values) > 1 else np.nan
        less = Estimate(float(np.mean(values)), float(se), len(values))
        print(
            f"  {name:14} {recipe_estimate(list(aucs))}   less fold mean {less.signed()}",
            flush=True,
        )


if __name__ == "__main__":
    main()
