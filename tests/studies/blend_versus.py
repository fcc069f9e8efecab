"""What one blend is worth beside another, seed by seed and paired.

    python tests/studies/blend_versus.py --data DATA --runs RUNS \\
        --base old-gbdt old-din --new new-gbdt new-ids new-din [--seeds 3]

RUNS holds finished runs named NAME-SEED, all with the same folds, for example of
``cv RECIPE --set seeds=[SEED] --name NAME-SEED``. For each seed both sides are blended (``auto``
with --data, or --method), or taken as they are if a side is a single run. Printed: what each side
is made of, what each member adds, and the AUCs of the new side less those of the base on OOF and
on valid: by seed; the mean over seeds, with the standard error of users and of the variance
between seeds; and the difference of the means of the logits over seeds, with that of users. A
blend that is there already is not made again.
"""

import argparse
from pathlib import Path

from item_embeddings import gap, over_seeds, said

import mmctr_kit as mk
from mmctr_kit.ensemble.runs import blend_report
from mmctr_kit.metrics.estimate import Estimate
from mmctr_kit.runs.run import Run


def side(
    runs: Path, members: list[str], seed: int, data: Path, method: str, further: list[int]
) -> Run:
    """The blend of the members with this seed, and with each of the ``further`` seeds."""
    names = [f"{name}-{s}" for s in (seed, *further) for name in members]
    if len(names) == 1:
        return Run(runs / names[0])
    name = "-".join(["blend", method, *members, str(seed), *(str(s) for s in further)])
    if not (runs / name / "DONE").exists():
        mk.blend([runs / n for n in names], name, method=method, data=data, runs=runs)
    return Run(runs / name)


def told(run: Run) -> None:
    """Prints a run's AUCs; of a blend, its method and what each member adds to OOF AUC."""
    aucs = [str(Estimate.from_json(run.metrics[split])) for split in ("oof", "valid")]
    print(f"    {run.name}: OOF {aucs[0]}, valid {aucs[1]}")
    if run.manifest.kind == "blend":
        report = blend_report(run)
        adds = {n: Estimate.from_json(x).signed() for n, x in report["adds"].items()}
        print(f"      {report['method']}, left out: {report['left_out']}; adds: {adds}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--runs", type=Path, required=True)
    parser.add_argument("--base", nargs="+", required=True, metavar="NAME")
    parser.add_argument("--new", nargs="+", required=True, metavar="NAME")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--method", default="auto")
    parser.add_argument(
        "--second", action="store_true", help="the new side also has every member's next seed"
    )
    given = parser.parse_args()
    base, new, gaps = [], [], []
    for seed in range(given.seeds):
        further = [(seed + 1) % given.seeds] if given.second else []
        place = given.data, given.method
        sides = [
            side(given.runs, given.base, seed, *place, []),
            side(given.runs, given.new, seed, *place, further),
        ]
        print(f"seed {seed}")
        for run in sides:
            told(run)
        base.append(sides[0].predictions())
        new.append(sides[1].predictions())
        gaps.append(gap(base[-1], new[-1]))
        print(f"    new less base: {said([gaps[-1]], signed=True)}", flush=True)
    print(f"mean over {given.seeds} seeds: {said(gaps, signed=True)}")
    of_means = gap(over_seeds(base), over_seeds(new))
    print(f"means of the logits over seeds: {said([of_means], signed=True)}")


if __name__ == "__main__":
    main()
