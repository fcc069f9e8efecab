"""A run compared with others on the same rows: each AUC difference is paired."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from mmctr_kit.errors import RunError
from mmctr_kit.metrics.auc import AucSample, Influence, logloss_with_se
from mmctr_kit.metrics.estimate import Estimate
from mmctr_kit.metrics.gauc import gauc
from mmctr_kit.recipe.diff import different_keys
from mmctr_kit.runs.predictions import OutOfFold, Predictions
from mmctr_kit.runs.run import Run
from mmctr_kit.runs.seal import noting_damage


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
    """The subject, then the others in their order.

    Runs that cannot be read are left out, damaged ones with a warning.
    """
    sample = PairedSample(predictions)
    compared = [_stored(subject, predictions)]
    for run in others:
        with suppress(RunError), noting_damage(f"not compared with {run.name}"):
            theirs = run.predictions()
            entry = _stored(run, theirs)
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


@dataclass(frozen=True)
class RunDifference:
    """Two runs beside each other.

    ``recipe``: the keys that differ, with the values of ``a`` and ``b``; None if one of them has no
    recipe. ``manifest``: the parts of their manifests that differ, such as rows or folds.
    ``environment``: versions and devices that both have and that differ, likewise. ``scores``: each
    score of both by its name in metrics.json. ``gaps``: the score of ``b`` less that of ``a``,
    paired; without an entry if the rows (for ``oof``: or folds) differ, or if one has no such
    score, and for the means over seeds.
    """

    a: str
    b: str
    recipe: Mapping[str, tuple[Any, Any]] | None
    manifest: tuple[str, ...]
    environment: Mapping[str, tuple[Any, Any]]
    scores: Mapping[str, tuple[Estimate | None, Estimate | None]]
    gaps: Mapping[str, Estimate]

    def to_json(self) -> dict[str, Any]:
        scores = {
            name: {
                "a": a and a.to_json(),
                "b": b and b.to_json(),
                "difference": self.gaps[name].to_json() if name in self.gaps else None,
            }
            for name, (a, b) in self.scores.items()
        }
        recipe = None
        if self.recipe is not None:
            recipe = {key: {"a": a, "b": b} for key, (a, b) in self.recipe.items()}
        other = {key: {"a": a, "b": b} for key, (a, b) in self.environment.items()}
        return {
            "a": self.a,
            "b": self.b,
            "recipe": recipe,
            "manifest": [*self.manifest],
            "environment": other,
            "scores": scores,
        }


SCORES = ("valid", "oof", "fold_models_valid", "valid_logloss", "oof_logloss", "valid_gauc")
"""The scores of metrics.json that any run may have."""
_OF_SEEDS = ("recipe_valid", "recipe_oof")
"""The scores that a run of several seeds also has: means over its seeds."""


def differ(a: Run, b: Run) -> RunDifference:
    """What differs between two finished runs; RunError if one of them cannot be read."""
    pairs = [
        (name, Estimate.find(a.metrics, name), Estimate.find(b.metrics, name))
        for name in (*SCORES, *_OF_SEEDS)
    ]
    # The mean over one seed is that seed's score, which is there already.
    pairs = [p for p in pairs if p[0] in SCORES or any(e and e.se == e.se for e in p[1:])]
    both_have = {name for name, one, other in pairs if one and other}
    gaps = PairedSample(a.predictions()).all_gaps(b.predictions())
    before, now = a.manifest, b.manifest
    parts = before.differences(now)
    both = {k: (v, now.environment.get(k)) for k, v in before.environment.items()}
    return RunDifference(
        a=a.name,
        b=b.name,
        recipe=_different_recipe(a, b),
        manifest=tuple(parts),
        environment={k: p for k, p in both.items() if k in now.environment and p[0] != p[1]},
        scores={name: (one, other) for name, one, other in pairs if one or other},
        gaps={name: gap for name, gap in gaps.items() if name in both_have},
    )


def _different_recipe(a: Run, b: Run) -> dict[str, tuple[Any, Any]] | None:
    if a.recipe_text is None or b.recipe_text is None:
        return None
    return different_keys(a.recipe_content(), b.recipe_content())


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
        if subject.has_valid and _same_valid(subject, other):
            theirs = self.valid.influence(other.valid_mean())
            valid = self.valid.difference(theirs, self.of_valid)
        a, b = subject.oof, other.oof
        if a and b and _same_oof(a, b) and np.array_equal(a.fold, b.fold):
            oof = self.oof.difference(self.oof.influence(b.logit), self.of_oof)
        return valid, oof

    def all_gaps(self, other: Predictions) -> dict[str, Estimate]:
        """The other run's scores less the subject's by their names in metrics.json, all paired.

        Those of rows (of ``oof``: or folds) that the two do not share are left out.
        """
        subject = self.subject
        valid, oof = self.gaps(other)
        gaps = {} if valid is None else {"valid": valid}
        gaps |= {} if oof is None else {"oof": oof}
        if valid is not None:
            label, user = subject.valid_label, subject.valid_keys.user_id
            mean, theirs = subject.valid_mean(), other.valid_mean()
            models = [_mean([*map(self.valid.influence, x.valid)]) for x in (other, subject)]
            gaps["fold_models_valid"] = self.valid.difference(*models)
            gaps["valid_logloss"] = logloss_with_se(label, theirs, user, mean)
            with suppress(ValueError):  # no user has rows of both labels
                gaps["valid_gauc"] = gauc(label, theirs, user, mean)
        a, b = subject.oof, other.oof
        if a and b and _same_oof(a, b):
            gaps["oof_logloss"] = logloss_with_se(a.label, b.logit, a.keys.user_id, a.logit)
        return gaps


def _same_valid(a: Predictions, b: Predictions) -> bool:
    return a.valid_keys.same(b.valid_keys) and np.array_equal(a.valid_label, b.valid_label)


def _same_oof(a: OutOfFold, b: OutOfFold) -> bool:
    return a.keys.same(b.keys) and np.array_equal(a.label, b.label)


def _mean(models: Sequence[Influence]) -> Influence:
    """The influence of the mean AUC of several models on the same rows."""
    positive, negative = (
        tuple(np.mean(fold, axis=0) for fold in zip(*sides, strict=True))
        for sides in ([m.positive for m in models], [m.negative for m in models])
    )
    return Influence(float(np.mean([m.auc for m in models])), positive, negative)
