"""A run compared with others on the same rows: each AUC difference is paired."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from mmctr_kit.errors import RunError
from mmctr_kit.metrics.auc import AucSample
from mmctr_kit.metrics.estimate import Estimate
from mmctr_kit.runs.predictions import Predictions
from mmctr_kit.runs.run import Run


@dataclass(frozen=True)
class Compared:
    """One run beside the subject: ``valid`` is the AUC of the fold mean, ``oof`` of fold models.

    The gaps are this run's AUC less the subject's, paired; None for the subject itself and if the
    rows (for OOF: or the folds) differ. ``digest`` is equal if all predictions are.
    """

    name: str
    kind: str
    seeds: int
    transductive: bool
    valid: Estimate | None
    oof: Estimate | None
    digest: str
    valid_gap: Estimate | None = None
    oof_gap: Estimate | None = None


def compare(subject: Run, predictions: Predictions, others: Sequence[Run]) -> list[Compared]:
    """The subject, then the others in their order; runs that cannot be read are left out."""
    sample = PairedSample(predictions)
    compared = [_stored(subject, predictions)]
    for run in others:
        try:
            theirs = run.predictions()
            entry = _stored(run, theirs)
        except RunError:
            continue
        valid, oof = sample.gaps(theirs)
        compared.append(replace(entry, valid_gap=valid, oof_gap=oof))
    return compared


def _stored(run: Run, predictions: Predictions) -> Compared:
    manifest, metrics = run.manifest, run.metrics
    return Compared(
        name=run.name,
        kind=manifest.kind,
        seeds=max(1, len(manifest.seeds)),
        transductive="transductive" in metrics and bool(metrics["transductive"]),
        valid=Estimate.find(metrics, "valid"),
        oof=Estimate.find(metrics, "oof"),
        digest=predictions.digest(),
    )


class PairedSample:
    """A run's rows and influences, made once to compare many runs with it."""

    def __init__(self, subject: Predictions) -> None:
        self.subject = subject
        if subject.has_valid:
            self.valid = AucSample(subject.valid_label, subject.valid_keys.user_id)
            self.of_valid = self.valid.influence(subject.valid_mean())
        if subject.oof is not None:
            self.oof = AucSample(subject.oof.label, subject.oof.keys.user_id, subject.oof.fold)
            self.of_oof = self.oof.influence(subject.oof.logit)

    def gaps(self, other: Predictions) -> tuple[Estimate | None, Estimate | None]:
        """The other run's valid and OOF AUC less the subject's."""
        subject, valid, oof = self.subject, None, None
        if subject.has_valid and subject.valid_keys.same(other.valid_keys):
            theirs = self.valid.influence(other.valid_mean())
            valid = self.valid.difference(theirs, self.of_valid)
        a, b = subject.oof, other.oof
        if a and b and a.keys.same(b.keys) and np.array_equal(a.fold, b.fold):
            oof = self.oof.difference(self.oof.influence(b.logit), self.of_oof)
        return valid, oof
