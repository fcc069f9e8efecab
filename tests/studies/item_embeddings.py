"""What other item embeddings are worth to a recipe, seed by seed and paired.

    python tests/studies/item_embeddings.py --data DATA --recipe din_official --work /tmp/items \\
        --base items.embedding=text items.text_dim=128

For each seed: `cv` of the recipe with the settings --base, and with those of each of
:data:`OTHERS` (or of those named by --only; --more adds some, such as
--more 'codes:codes.of=text;items.embedding=text'). --set changes all, such as
--set items.encoded=encoded.parquet. Printed: the AUC of the base, and each other one less the
base, on OOF and on valid: the mean over seeds of the differences, with the standard error of users
and of the variance between seeds; and the difference of the predictions' means over seeds, with
that of users, paired. An interrupted study goes on where it stopped.
"""

import argparse
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

import mmctr_kit as mk
from mmctr_kit.metrics.estimate import Estimate, recipe_estimate
from mmctr_kit.runs.compare import PairedSample
from mmctr_kit.runs.predictions import Predictions
from mmctr_kit.runs.run import Run

OTHERS: dict[str, list[str]] = {
    "factors and text": [
        "items.embedding=blocks",
        "items.blocks=[factors, text]",
        "items.factors_dim=64",
        "items.text_dim=64",
    ],
    "factors and aligned": [
        "items.embedding=blocks",
        "items.blocks=[factors, aligned]",
        "items.factors_dim=64",
        "items.aligned_dim=64",
    ],
}
"""The embeddings tried, all 128 wide, by name: settings of the recipe."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--recipe", required=True)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--base", nargs="+", required=True, metavar="KEY=VALUE")
    parser.add_argument("--only", nargs="*", default=list(OTHERS))
    parser.add_argument("--set", nargs="*", default=[], metavar="KEY=VALUE")
    parser.add_argument("--more", nargs="*", default=[], metavar="NAME:KEY=VALUE;...")
    parser.add_argument("--jobs", type=int, default=None)
    args = parser.parse_args()
    others = {name: OTHERS[name] for name in args.only}
    for text in args.more:
        name, _, settings = text.partition(":")
        others[name] = settings.split(";")
    data = mk.load_data(args.data)
    bases: list[Predictions] = []
    made: dict[str, list[Predictions]] = {name: [] for name in others}
    aucs: list[tuple[Estimate, ...]] = []
    gaps: dict[str, list[tuple[Estimate, Estimate]]] = {name: [] for name in others}
    for seed in range(args.seeds):
        folder = args.work / args.recipe / f"seed-{seed}"

        def run(name: str, settings: list[str], seed: int = seed, folder: Path = folder) -> Run:
            every = [f"seeds=[{seed}]", *args.set, *settings]
            return mk.cross_validate(
                args.recipe,
                data,
                name=name.replace(" ", "-"),
                set=every,
                runs=folder,
                jobs=args.jobs,
            )

        base = run("base", args.base)
        bases.append(base.predictions())
        aucs.append(tuple(Estimate.from_json(base.metrics[k]) for k in ("oof", "valid")))
        for name, settings in others.items():
            made[name].append(run(name, settings).predictions())
            gaps[name].append(gap(bases[-1], made[name][-1]))
        print(f"{len(bases)} seeds\n  {'base':24} {said(aucs)}")
        for name, each in gaps.items():
            print(f"  {name:24} {said(each, signed=True)}")
            of_means = gap(over_seeds(bases), over_seeds(made[name]))
            print(f"  {'':24} {said([of_means], signed=True)} (means over seeds)", flush=True)


def gap(base: Predictions, other: Predictions) -> tuple[Estimate, Estimate]:
    """The AUCs of ``other`` less those of ``base`` on OOF and on valid, paired."""
    valid, oof = PairedSample(base).gaps(other)
    assert valid is not None
    assert oof is not None
    return oof, valid


def over_seeds(each: list[Predictions]) -> Predictions:
    """Predictions whose logits are the means over seeds."""
    first = each[0]
    assert first.oof is not None
    logits = np.mean([p.oof.logit for p in each if p.oof is not None], axis=0)
    valid = np.mean([p.valid for p in each], axis=0)
    return replace(first, oof=replace(first.oof, logit=logits), valid=valid)


def said(each: Sequence[tuple[Estimate, ...]], signed: bool = False) -> str:
    """OOF and valid, as means over seeds."""
    parts = []
    for split, values in zip(("OOF", "valid"), zip(*each, strict=True), strict=True):
        total = values[0] if len(values) == 1 else recipe_estimate(values)
        parts.append(f"{split} {total.signed() if signed else total}")
    return ", ".join(parts)


if __name__ == "__main__":
    main()
