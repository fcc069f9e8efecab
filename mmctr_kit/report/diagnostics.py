"""Diagnostics of a run: slices that other runs rank better, and learning curves that still rise."""

import math
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from operator import itemgetter
from typing import Any

import numpy as np

from mmctr_kit.errors import RunError
from mmctr_kit.metrics.estimate import Estimate
from mmctr_kit.report.context import ReportContext
from mmctr_kit.runs.run import Run
from mmctr_kit.runs.seal import noting_damage

BETTER_Z = 2.0
"""Another run is better on a slice if its AUC lies this many standard errors above the run's. Runs
on the same rows differ by less than that by chance."""
RISE_Z = 3.0
"""A rise must lie this many standard errors above 0: from three folds the standard error itself is
only roughly known."""
MIN_RISE = 0.0005
"""A smaller rise of AUC in the last epoch is not worth the time of more epochs."""

_Key = tuple[Any, ...]


@dataclass(frozen=True)
class WeakSlice:
    """A slice on which the run is worse than on its other rows.

    That alone says little: a slice may be hard for any model. ``peers``: how many other runs have
    a score on it. ``better``: the name and AUC of the best of them, if it is better beyond chance.
    """

    entry: Mapping[str, Any]
    peers: int
    better: tuple[str, Estimate] | None

    @property
    def name(self) -> str:
        return f"{self.entry['by']} {self.entry['slice']}"


def sliced_run(context: ReportContext) -> Run | None:
    """The run whose slices are shown: the run itself or, if a blend has none, its best by OOF."""
    if "slices" in context.metrics:
        return context.run
    able = [r for r in context.trained if "slices" in r.metrics]
    scored = [(auc.value, r) for r in able if (auc := r.oof_auc) is not None]
    return max(scored, key=itemgetter(0))[1] if scored else None


def weak_slices(run: Run, context: ReportContext) -> list[WeakSlice]:
    """The weak slices of the run, the worst first, compared with the other runs of the context."""
    digests = {c.name: c.digest for c in context.leaderboard}
    different = (r for r in context.others if digests.get(r.name) != digests.get(run.name))
    others = {other.name: _aucs(other) for other in different}
    entries = slice_entries(run, context)["slices"]
    weak = [_compared(entry, others) for entry in entries if entry["worse"]]
    return sorted(weak, key=lambda w: float(w.entry["errors"]))


def slice_entries(run: Run, context: ReportContext) -> Mapping[str, Any]:
    """The metrics that hold the run's slices, which a blend has in its context alone."""
    return context.metrics if run.path == context.run.path else run.metrics


def last_rise(run: Run) -> Estimate | None:
    """The mean rise of held-out AUC in the last epoch, over fold models.

    The standard error is from the spread over fold models, NaN if there is only one. None if
    no fold model was trained for two epochs.
    """
    rises = [
        lines[-1]["holdout_auc"] - lines[-2]["holdout_auc"]
        for lines in run.epochs().values()
        if len(lines) > 1 and lines[-1]["holdout_auc"] is not None
    ]
    if not rises:
        return None
    n = len(rises)
    se = float(np.std(rises, ddof=1) / np.sqrt(n)) if n > 1 else math.nan
    return Estimate(float(np.mean(rises)), se, n)


def still_rising(rise: Estimate) -> bool:
    """Whether more epochs would probably help."""
    return rise.value >= MIN_RISE and rise.value > RISE_Z * rise.se


def _aucs(run: Run) -> Mapping[_Key, Any]:
    """The run's AUC by slice; empty if it has no slices or cannot be read."""
    entries: list[dict[str, Any]] = []
    with suppress(RunError), noting_damage(f"not compared with {run.name}"):
        entries = run.metrics.get("slices", [])
    return {_key(e): e["auc"] for e in entries if e["auc"] is not None}


def _key(entry: Mapping[str, Any]) -> _Key:
    return (entry["split"], entry["by"], entry["slice"], entry["rows"])


def _compared(entry: Mapping[str, Any], others: Mapping[str, Mapping[_Key, Any]]) -> WeakSlice:
    key, auc = _key(entry), Estimate.find(entry, "auc")
    peers = {n: Estimate.from_json(aucs[key]) for n, aucs in others.items() if key in aucs}
    if not peers or auc is None:
        return WeakSlice(entry, len(peers), None)
    name = max(peers, key=lambda n: peers[n].value)
    better = peers[name].value > auc.value + BETTER_Z * auc.se
    return WeakSlice(entry, len(peers), (name, peers[name]) if better else None)
