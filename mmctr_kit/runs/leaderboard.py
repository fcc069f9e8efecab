"""The leaderboard: runs by valid AUC, each number with its standard error."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from mmctr_kit.data.contract import SPLITS
from mmctr_kit.errors import RunError, UsageError
from mmctr_kit.files import read_columns, read_json
from mmctr_kit.metrics.auc import auc_with_se
from mmctr_kit.metrics.estimate import Estimate
from mmctr_kit.metrics.ranks import Ints
from mmctr_kit.runs.compare import PairedSample
from mmctr_kit.runs.predictions import Keys, Predictions
from mmctr_kit.runs.run import Run

Labels = Ints


@dataclass(frozen=True)
class LeaderboardRow:
    """One run's OOF, valid and, if labels are known, test AUC.

    ``behind``: valid AUC less the best run's, paired. ``recipe``: mean of the seeds' valid AUCs;
    its standard error counts the variance between seeds. ``kept``: the share of the oracle's lead
    over 0.5 that the test AUC keeps. ``phases``: seconds of the fold models by phase (load,
    compile, train, evaluate, write). ``state``: empty, 'unfinished', 'unreadable' or 'alarm'.
    ``transductive``: a row's prediction depends on the rows beside it.
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
        """Seconds summed over fold models, parallel or not; None if the run trained none."""
        return None if self.phases is None else sum(self.phases.values())


def leaderboard(runs: Sequence[Run], truth: Path | None = None) -> list[LeaderboardRow]:
    """Finished runs by valid AUC, best first, then the others.

    ``truth`` is the truth folder of a generated data set: it adds each run's test AUC and a row for
    the oracle, the best score that any model could have.
    """
    labels = None if truth is None else _test_labels(truth)
    pairs = [_row(run, labels) for run in runs]
    pairs.sort(key=lambda pair: -pair[0].valid.value if pair[0].valid else 1.0)
    rows = [row for row, _ in pairs]
    if pairs and (best := pairs[0][1]) is not None:
        sample = PairedSample(best)
        rows[1:] = [
            replace(row, behind=None if p is None else sample.gaps(p)[0]) for row, p in pairs[1:]
        ]
    if truth is None or not (truth / "oracle.json").is_file():
        return rows
    aucs = read_json(truth / "oracle.json")["auc"]
    train, valid, test = (Estimate(float(aucs[s]["row"]), 0.0, 0) for s in SPLITS)
    lead = test.value - 0.5
    rows = [replace(r, kept=(r.test.value - 0.5) / lead) if r.test else r for r in rows]
    oracle = LeaderboardRow("oracle", "truth", 1, "", oof=train, valid=valid, test=test)
    return [*rows, oracle]


def _row(run: Run, labels: Labels | None) -> tuple[LeaderboardRow, Predictions | None]:
    try:
        manifest = run.manifest
        seeds = max(1, len(manifest.seeds))
        if not run.finished:
            return LeaderboardRow(run.name, manifest.kind, seeds, "unfinished"), None
        # No OOF, and test only until it is scored: a hundred runs would fill the memory.
        metrics, predictions = run.metrics, run.predictions(with_oof=False)
        timings = run.timings
    except RunError:
        # One damaged folder must not hide the others.
        return LeaderboardRow(run.name, "", 0, "unreadable"), None
    row = LeaderboardRow(
        run.name,
        manifest.kind,
        seeds,
        "alarm" if metrics["alarm"] else "",
        oof=Estimate.find(metrics, "oof"),
        valid=Estimate.find(metrics, "valid"),
        recipe=Estimate.find(metrics, "recipe_valid"),
        test=_test_auc(predictions, labels),
        phases=timings.get("phase_seconds"),
        transductive=manifest.transductive,
    )
    none = np.zeros((len(predictions.test), 0))
    return row, replace(predictions, test_keys=Keys.none(), test=none)


def _test_auc(run: Predictions, labels: Labels | None) -> Estimate | None:
    """None if labels are unknown, or belong to another data set's test rows."""
    if labels is None or len(labels) != len(run.test_keys):
        return None
    return auc_with_se(labels, run.test_mean(), run.test_keys.user_id)


def _test_labels(truth: Path) -> Labels:
    path = truth / "test_labels.parquet"
    if not path.is_file():
        raise UsageError(f"no {path}; --truth takes the truth folder that 'data synth' wrote")
    columns = read_columns(path)
    return np.asarray(columns["label"][np.argsort(columns["ID"])])
