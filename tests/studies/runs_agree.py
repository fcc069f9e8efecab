"""How evenly do honest runs agree along the test rows, and with their items' label rates?

    python tests/studies/runs_agree.py DATA RUNS [RUNS ...]

RUNS are folders that hold finished runs of DATA, at any depth; runs with the same ranks count once.
Printed are the worst cases, which ``submit --check`` must not take for a fault: of pairs, the part
of the rows that falls most under the others, in errors and as a share; of runs, the least relation
to label rates.
"""

import argparse
from itertools import combinations
from pathlib import Path

import numpy as np

from mmctr_kit.data.load import targets_of_test
from mmctr_kit.errors import MmctrKitError
from mmctr_kit.runs.run import Run
from mmctr_kit.submission.checks.local_agreement import by_part, edges_of, unit_ranks
from mmctr_kit.submission.checks.plausibility import rank_z

AGREE = 0.1


def ranks_of(folders: list[Path], item: np.ndarray) -> dict[str, np.ndarray]:
    """The unit ranks of the finished runs on these test rows, equal ones once."""
    found: dict[bytes, tuple[str, np.ndarray]] = {}
    for folder in folders:
        for done in sorted(folder.rglob("DONE")):
            try:
                predictions = Run(done.parent).predictions(with_oof=False)
            except (MmctrKitError, KeyError):
                continue
            if np.array_equal(predictions.test_keys.item_id, item):
                ranks = unit_ranks(predictions.test_mean())
                found.setdefault(ranks.tobytes(), (str(done.parent), ranks))
    return dict(found.values())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("runs", type=Path, nargs="+")
    told = parser.parse_args()
    item, _, rate = targets_of_test(told.data)
    runs, edges = ranks_of(told.runs, item), edges_of(len(item))
    if edges is None or len(runs) < 2:
        raise SystemExit(f"{len(runs)} runs of {len(item)} rows: too few to tell")
    error = 1 / np.sqrt(np.diff(edges).min())
    pairs = []
    for (a, x), (b, y) in combinations(runs.items(), 2):
        parts, rho = by_part(x, y, edges), float(x @ y)
        usual = float(np.quantile(parts, 0.75))
        pairs.append(((usual - parts.min()) / error, parts.min() / usual, rho, a, b))
    print(f"{len(runs)} runs, {len(pairs)} pairs, {len(edges) - 1} parts")
    print("most errors under the others: {:.2f} (r {:.3f}; {}, {})".format(*drop_share(max(pairs))))
    least = min((p for p in pairs if p[2] > AGREE), key=lambda p: p[1])
    print("least share of the others: {1:.2f} (r {2:.3f}; {3}, {4})".format(*least))
    rates = sorted((rank_z(x, unit_ranks(rate)), name) for name, x in runs.items())
    for z, name in rates[:3]:
        print(f"label rates: r {z / np.sqrt(len(item) - 1):.3f}, {z:.1f} errors ({name})")


def drop_share(pair: tuple[float, float, float, str, str]) -> tuple[float, float, str, str]:
    return pair[0], *pair[2:]


if __name__ == "__main__":
    main()
