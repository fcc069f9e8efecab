"""The leaderboard: runs by their headline, each number beside its error."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mmctr_kit.challenge.contract import SPLITS
from mmctr_kit.errors import DataError, UsageError
from mmctr_kit.files import read_columns, read_json
from mmctr_kit.metrics import Estimate, auc_with_error
from mmctr_kit.runs import Run
from mmctr_kit.scores import estimate_from


@dataclass(frozen=True)
class Entry:
    """One line: a run's OOF, valid and, where labels are known, test AUC; seconds spent."""

    name: str
    kind: str
    seeds: int
    oof: Estimate | None
    valid: Estimate | None
    test: Estimate | None
    seconds: float | None
    state: str


def leaderboard(runs: Sequence[Run], truth: Path | None = None) -> list[Entry]:
    """Finished runs by valid AUC, best first, then the unfinished ones.

    ``truth`` is the truth folder of a generated data set: it adds each run's test AUC and a line
    for the oracle, the best score that any model could have.
    """
    labels = None if truth is None else _test_labels(truth)
    entries = [_entry(run, labels) for run in runs]
    entries.sort(key=lambda e: -e.valid.value if e.valid else 1.0)
    return entries if truth is None else [*entries, _oracle(truth)]


def _entry(run: Run, labels: np.ndarray[Any, np.dtype[np.int64]] | None) -> Entry:
    manifest = run.manifest
    seeds = max(1, len(manifest.seeds))
    if not run.finished:
        return Entry(run.name, manifest.kind, seeds, None, None, None, None, "unfinished")
    metrics = run.metrics
    test = None
    if labels is not None:
        found = run.predictions()
        if len(labels) != len(found.test_keys):
            raise DataError(
                f"{len(labels)} test labels for run '{run.name}' of {len(found.test_keys)} test "
                "rows; is it of another data set?"
            )
        test = auc_with_error(labels, found.test_mean(), found.test_keys.user_id)
    return Entry(
        run.name,
        manifest.kind,
        seeds,
        estimate_from(metrics["oof"]) if "oof" in metrics else None,
        estimate_from(metrics["valid"]),
        test,
        _seconds(run),
        "alarm" if metrics["alarm"] else "",
    )


def _seconds(run: Run) -> float | None:
    timings = run.timings
    if "fold_seconds" not in timings:
        return None
    return float(sum(timings["fold_seconds"].values()))


def _test_labels(truth: Path) -> np.ndarray[Any, np.dtype[np.int64]]:
    path = truth / "test_labels.parquet"
    if not path.is_file():
        raise UsageError(f"no {path}; --truth is the truth folder that 'data synth' wrote")
    columns = read_columns(path)
    return np.asarray(columns["label"][np.argsort(columns["ID"])])


def _oracle(truth: Path) -> Entry:
    auc = read_json(truth / "oracle.json")["auc"]
    best = {s: Estimate(float(auc[s]["row"]), 0.0, 0) for s in SPLITS}
    return Entry("oracle", "truth", 1, best["train"], best["valid"], best["test"], None, "")
