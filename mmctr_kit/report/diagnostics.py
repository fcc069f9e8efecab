"""Weak slices, and whether another run shows that better is possible there.

A slice can be hard for any model: even the truth that a data set was drawn from ranks some slices
worse than others. That a run is worse there than elsewhere says nothing of the run alone.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from mmctr_kit.errors import RunError
from mmctr_kit.metrics.estimate import Estimate
from mmctr_kit.report.context import Subject
from mmctr_kit.runs.run import Run

BEYOND = 2.0
"""Another run's AUC on the slice must lie so many of the run's own errors above its own. Runs on
the same rows differ by less than that, so what is beyond is no chance."""


@dataclass(frozen=True)
class Weak:
    """A slice of the run on which it is worse than elsewhere. ``peers``: how many other runs have
    a score there; ``better``: the best of them, where it lies beyond chance, and its AUC."""

    entry: Mapping[str, Any]
    peers: int
    better: tuple[str, Estimate] | None

    @property
    def name(self) -> str:
        return f"{self.entry['by']} {self.entry['slice']}"


def sliced_run(subject: Subject) -> Run | None:
    """The run whose slices are told: the subject, or, of a blend, which has none, the one of its
    runs with the best OOF."""
    able = [r for r in subject.parts if "slices" in r.metrics and r.metrics["oof"] is not None]
    return max(able, key=lambda r: float(r.metrics["oof"]["value"]), default=None)


def weak_slices(run: Run, subject: Subject) -> list[Weak]:
    """Those of the run, the farthest below the other rows first, beside the subject's others."""
    entries = [e for e in run.metrics["slices"] if e["worse"]]
    digests = {c.name: c.digest for c in subject.board}
    others: dict[str, Mapping[tuple[Any, ...], Any]] = {}
    for other in subject.others:
        copy = digests.get(other.name) == digests.get(run.name)
        if other.name != run.name and not copy:
            others[other.name] = _aucs(other)
    found = [_weak(e, others) for e in entries]
    return sorted(found, key=lambda w: float(w.entry["errors"]))


def _aucs(run: Run) -> Mapping[tuple[Any, ...], Any]:
    """Its AUC by slice; none of a run that has no slices or can't be read."""
    try:
        entries = run.metrics.get("slices", [])
    except RunError:
        return {}
    return {_key(e): e["auc"] for e in entries if e["auc"] is not None}


def _key(entry: Mapping[str, Any]) -> tuple[Any, ...]:
    return (entry["split"], entry["by"], entry["slice"], entry["rows"])


def _weak(entry: Mapping[str, Any], others: Mapping[str, Mapping[tuple[Any, ...], Any]]) -> Weak:
    key = _key(entry)
    there = {n: Estimate.from_json(aucs[key]) for n, aucs in others.items() if key in aucs}
    if not there or entry["auc"] is None:
        return Weak(entry, len(there), None)
    own = Estimate.from_json(entry["auc"])
    name = max(there, key=lambda n: there[n].value)
    beyond = there[name].value > own.value + BEYOND * own.se
    return Weak(entry, len(there), (name, there[name]) if beyond else None)


SURE = 3.0
"""A rise must lie so many errors above 0: of three folds, the error itself is roughly known."""

WORTH = 0.0005
"""A smaller rise of AUC in an epoch is not worth the time of as many epochs again."""


def last_rise(run: Run) -> Estimate | None:
    """The held-out AUC of the last epoch less that of the one before, mean over fold models, with
    the error by which they differ; None where none was trained for two epochs. Of one fold model
    the error is not known, and infinite."""
    rises = [
        lines[-1]["holdout_auc"] - lines[-2]["holdout_auc"]
        for lines in run.epochs().values()
        if len(lines) > 1
    ]
    if not rises:
        return None
    n = len(rises)
    error = float(np.std(rises, ddof=1) / np.sqrt(n)) if n > 1 else float("inf")
    return Estimate(float(np.mean(rises)), error, n)


def still_rising(rise: Estimate) -> bool:
    """Whether more epochs would be likely to help."""
    return rise.value >= WORTH and rise.value > SURE * rise.se
