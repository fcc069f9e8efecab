"""A run beside others on the same rows: each difference is paired."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from mmctr_kit.errors import RunError
from mmctr_kit.metrics.auc import AucSample
from mmctr_kit.metrics.estimate import Estimate
from mmctr_kit.runs.predictions import OutOfFold, Predictions
from mmctr_kit.runs.run import Run
from mmctr_kit.runs.scores import estimate_from


@dataclass(frozen=True)
class Compared:
    """One run. ``valid`` is the AUC of the fold mean, ``oof`` that of fold models; the gaps are
    those of this run less the subject's, paired, None of the subject itself and where the rows (or
    the folds) are others. ``digest`` is equal where all predictions are."""

    name: str
    kind: str
    seeds: int
    transductive: bool
    valid: Estimate | None
    oof: Estimate | None
    valid_gap: Estimate | None = None
    oof_gap: Estimate | None = None
    digest: str = ""


def stored_estimate(metrics: Mapping[str, Any], name: str) -> Estimate | None:
    """An estimate of metrics.json; None where the run has none."""
    if name not in metrics or metrics[name] is None:
        return None
    return estimate_from(metrics[name])


def compare(subject: Run, own: Predictions, others: Sequence[Run]) -> list[Compared]:
    """The subject, then the others in their order; those that can't be read are left out."""
    sample = _Sample(own)
    found = [replace(_stored(subject), digest=own.digest())]
    for run in others:
        try:
            entry, theirs = _stored(run), run.predictions()
        except RunError:
            continue
        valid, oof = sample.gaps(theirs)
        found.append(replace(entry, valid_gap=valid, oof_gap=oof, digest=theirs.digest()))
    return found


def _stored(run: Run) -> Compared:
    manifest, metrics = run.manifest, run.metrics
    return Compared(
        name=run.name,
        kind=manifest.kind,
        seeds=max(1, len(manifest.seeds)),
        transductive="transductive" in metrics and bool(metrics["transductive"]),
        valid=stored_estimate(metrics, "valid"),
        oof=stored_estimate(metrics, "oof"),
    )


class _Sample:
    """The subject's rows and influences, made once."""

    def __init__(self, own: Predictions) -> None:
        self.own = own
        if own.has_valid:
            self.valid = AucSample(own.valid_label, own.valid_keys.user_id)
            self.of_valid = self.valid.influence(own.valid_mean())
        if own.oof is not None:
            self.oof = AucSample(own.oof.label, own.oof.keys.user_id, own.oof.fold)
            self.of_oof = self.oof.influence(own.oof.logit)

    def gaps(self, other: Predictions) -> tuple[Estimate | None, Estimate | None]:
        """The other's valid and OOF AUC less the subject's."""
        own, valid, oof = self.own, None, None
        if own.has_valid and own.valid_keys.same(other.valid_keys):
            theirs = self.valid.influence(other.valid_mean())
            valid = self.valid.difference(theirs, self.of_valid)
        if own.oof is not None and other.oof is not None and _same_folds(own.oof, other.oof):
            oof = self.oof.difference(self.oof.influence(other.oof.logit), self.of_oof)
        return valid, oof


def _same_folds(a: OutOfFold, b: OutOfFold) -> bool:
    return a.keys.same(b.keys) and np.array_equal(a.fold, b.fold)
