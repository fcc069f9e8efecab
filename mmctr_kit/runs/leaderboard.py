"""The leaderboard: runs by their headline, each number beside its error."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmctr_kit.data.contract import SPLITS
from mmctr_kit.errors import RunError, UsageError
from mmctr_kit.files import read_columns, read_json
from mmctr_kit.metrics.auc import auc_difference, auc_with_error
from mmctr_kit.metrics.estimate import Estimate
from mmctr_kit.runs.predictions import Keys, Predictions
from mmctr_kit.runs.run import Run
from mmctr_kit.runs.scores import estimate_from

Labels = NDArray[np.int64]


@dataclass(frozen=True)
class Entry:
    """One line: a run's OOF, valid and, where labels are known, test AUC.

    ``behind`` is its valid AUC less the best run's, paired; ``recipe`` the mean of its seeds' own
    valid AUCs with the error that counts the variance between seeds; ``kept`` what share of the
    oracle's lead over 0.5 the test AUC keeps; ``phases`` the seconds of its fold models by what
    they were spent on (load, compile, train, evaluate, write). ``state`` is empty, 'unfinished',
    'unreadable' or 'alarm'. ``transductive``: a row's prediction depends on the rows beside it.
    """

    name: str
    kind: str
    seeds: int
    state: str
    oof: Estimate | None = None
    valid: Estimate | None = None
    behind: Estimate | None = None
    recipe: Estimate | None = None
    test: Estimate | None = None
    kept: float | None = None
    phases: Mapping[str, float] | None = None
    transductive: bool = False

    @property
    def seconds(self) -> float | None:
        """Those of all fold models, side by side or not; None where the run trained none."""
        return None if self.phases is None else sum(self.phases.values())


def leaderboard(runs: Sequence[Run], truth: Path | None = None) -> list[Entry]:
    """Finished runs by valid AUC, best first, then the others.

    ``truth`` is the truth folder of a generated data set: it adds each run's test AUC and a line
    for the oracle, the best score that any model could have.
    """
    labels = None if truth is None else _test_labels(truth)
    found = [_entry(run, labels) for run in runs]
    found.sort(key=lambda pair: -pair[0].valid.value if pair[0].valid else 1.0)
    entries = [replace(e, behind=_behind(found[0][1], p)) for e, p in found]
    made = None if truth is None else truth / "oracle.json"
    if made is None or not made.is_file():
        return entries
    oracle = _oracle(made)
    return [*(replace(e, kept=_kept(e, oracle)) for e in entries), oracle]


def _entry(run: Run, labels: Labels | None) -> tuple[Entry, Predictions | None]:
    try:
        manifest = run.manifest
        seeds = max(1, len(manifest.seeds))
        if not run.finished:
            return Entry(run.name, manifest.kind, seeds, "unfinished"), None
        # Not OOF, and test no longer than it is scored: a hundred runs would fill the memory.
        metrics, found = run.metrics, run.predictions(with_oof=False)
        phases = _phases(run)
    except RunError:
        # One damaged folder must not hide the others.
        return Entry(run.name, "", 0, "unreadable"), None
    entry = Entry(
        run.name,
        manifest.kind,
        seeds,
        "alarm" if metrics["alarm"] else "",
        oof=_estimate(metrics, "oof"),
        valid=_estimate(metrics, "valid"),
        recipe=_estimate(metrics, "recipe_valid"),
        test=_test_auc(found, labels),
        phases=phases,
        transductive=manifest.transductive,
    )
    none = np.zeros((len(found.test), 0))
    return entry, replace(found, test_keys=Keys.none(), test=none)


def _estimate(metrics: Mapping[str, Any], name: str) -> Estimate | None:
    if name not in metrics or metrics[name] is None:
        return None
    return estimate_from(metrics[name])


def _test_auc(found: Predictions, labels: Labels | None) -> Estimate | None:
    """None where labels are not known, or are of another data set's test rows."""
    if labels is None or len(labels) != len(found.test_keys):
        return None
    return auc_with_error(labels, found.test_mean(), found.test_keys.user_id)


def _behind(best: Predictions | None, found: Predictions | None) -> Estimate | None:
    """Valid AUC less the best run's; None for the best itself and for other valid rows."""
    if best is None or found is None or best is found or not found.has_valid:
        return None
    same = np.array_equal(best.valid_keys.user_id, found.valid_keys.user_id) and np.array_equal(
        best.valid_label, found.valid_label
    )
    if not same:
        return None
    user = found.valid_keys.user_id
    return auc_difference(found.valid_label, found.valid_mean(), best.valid_mean(), user)


def _kept(entry: Entry, oracle: Entry) -> float | None:
    if entry.test is None or oracle.test is None:
        return None
    return (entry.test.value - 0.5) / (oracle.test.value - 0.5)


def _phases(run: Run) -> Mapping[str, float] | None:
    timings = run.timings
    if "phase_seconds" not in timings:
        return None
    return {phase: float(seconds) for phase, seconds in timings["phase_seconds"].items()}


def _test_labels(truth: Path) -> Labels:
    path = truth / "test_labels.parquet"
    if not path.is_file():
        raise UsageError(f"no {path}; --truth is the truth folder that 'data synth' wrote")
    columns = read_columns(path)
    return np.asarray(columns["label"][np.argsort(columns["ID"])])


def _oracle(path: Path) -> Entry:
    auc = read_json(path)["auc"]
    best = {s: Estimate(float(auc[s]["row"]), 0.0, 0) for s in SPLITS}
    return Entry(
        "oracle", "truth", 1, "", oof=best["train"], valid=best["valid"], test=best["test"]
    )
