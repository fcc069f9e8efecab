"""The blend methods behind one interface: fit on OOF rows, apply to any fold model's logits."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

import numpy as np

from mmctr_kit.ensemble.methods import Method as Method
from mmctr_kit.ensemble.methods.average import RankMean, WeightedMean
from mmctr_kit.ensemble.methods.greedy import select
from mmctr_kit.ensemble.methods.logistic import fit_weights
from mmctr_kit.ensemble.methods.power import PowerMean
from mmctr_kit.ensemble.methods.scale import PlattScaling
from mmctr_kit.ensemble.methods.stacker import Stacker
from mmctr_kit.ensemble.stack import BlendInput, OofRows
from mmctr_kit.metrics.binned_auc import BinnedAuc
from mmctr_kit.metrics.ranks import Floats

WITH_CONTEXT: Method = "lightgbm-context"
"""The method that needs row features (`mmctr_kit.ensemble.stack.Context`) beside the logits."""


@dataclass(frozen=True, eq=False)
class Fitted:
    """A fitted method: ``apply`` gives the blended logits (rows,).

    ``without(rows, run)`` gives them without one run. Nothing is fitted again: the other runs keep
    their relative weights; for the trees, the mean of the others replaces the run.
    ``weights`` (m,) sum to 1, or None if the method has no weights. ``note`` says in a few words
    what the fit has chosen, if anything.
    """

    apply: Callable[[BlendInput], Floats]
    without: Callable[[BlendInput, int], Floats]
    weights: Floats | None
    note: str = ""


def fit_best(oof: OofRows, seed: int) -> Fitted:
    """The single run with the highest mean fold AUC; without it, the next best."""
    del seed
    runs = len(oof.logits)
    auc = BinnedAuc.of(oof.label, oof.fold)
    scores = np.zeros(runs)
    if auc is not None and runs > 1:
        scores = np.array([auc.of_scores(x) for x in oof.logits])
    first, *others = np.argsort(-scores, kind="stable")
    alone = [WeightedMean(np.eye(runs)[run]) for run in (first, others[0] if others else first)]
    scalings = [PlattScaling.fit(oof.label, mean.apply(oof.logits)) for mean in alone]

    def apply(rows: BlendInput, rank: int) -> Floats:
        return scalings[rank].apply(alone[rank].apply(rows.logits))

    return Fitted(
        lambda rows: apply(rows, 0),
        lambda rows, run: apply(rows, int(run == first)),
        alone[0].weights,
    )


def fit_power(oof: OofRows, seed: int) -> Fitted:
    """Power mean of the probabilities, its exponent chosen by AUC."""
    mean = PowerMean.choose(oof, seed)
    return replace(_power(mean, oof), note=f"exponent {mean.exponent:g}")


def fit_rank(oof: OofRows, seed: int) -> Fitted:
    """Mean of the ranks within each fold model's OOF."""
    del seed
    ranks = RankMean.fit(oof.logits, oof.fold)
    scaling = PlattScaling.fit(oof.label, ranks.apply(oof.logits, oof.fold))
    return Fitted(
        lambda rows: scaling.apply(ranks.apply(rows.logits, rows.fold)),
        lambda rows, run: scaling.apply(
            ranks.without(run).apply(np.delete(rows.logits, run, axis=0), rows.fold)
        ),
        WeightedMean.equal(len(oof.logits)).weights,
    )


def fit_with_context(oof: OofRows, seed: int) -> Fitted:
    """The monotone stacker with the rows' context; ValueError if there is none."""
    if oof.context is None:
        raise ValueError(f"{WITH_CONTEXT} needs the rows' context")
    return _stacked(Stacker.fit(oof, seed), True)


METHODS: Mapping[Method, Callable[[OofRows, int], Fitted]] = MappingProxyType(
    {
        "mean": lambda oof, _: _weighted(WeightedMean.equal(len(oof.logits)), oof),
        "best": fit_best,
        "probability": lambda oof, _: _power(PowerMean(1.0), oof),
        "power": fit_power,
        "rank": fit_rank,
        "greedy": lambda oof, seed: _weighted(select(oof, seed), oof),
        "logistic": lambda oof, seed: _weighted(fit_weights(oof, seed), oof),
        "lightgbm": lambda oof, seed: _stacked(
            Stacker.fit(replace(oof, context=None), seed), False
        ),
        "lightgbm-context": fit_with_context,
    }
)
"""The fit of each method by name, from OOF rows and a seed; the plain mean first."""


def _weighted(mean: WeightedMean, oof: OofRows) -> Fitted:
    # A mean of calibrated logits is underconfident if the runs differ: scale once more.
    scaling = PlattScaling.fit(oof.label, mean.apply(oof.logits))
    return Fitted(
        lambda rows: scaling.apply(mean.apply(rows.logits)),
        lambda rows, run: scaling.apply(mean.without(run).apply(rows.logits)),
        mean.weights,
    )


def _power(mean: PowerMean, oof: OofRows) -> Fitted:
    scaling = PlattScaling.fit(oof.label, mean.apply(oof.logits))
    return Fitted(
        lambda rows: scaling.apply(mean.apply(rows.logits)),
        lambda rows, run: scaling.apply(mean.apply(np.delete(rows.logits, run, axis=0))),
        WeightedMean.equal(len(oof.logits)).weights,
    )


def _stacked(stacker: Stacker, with_context: bool) -> Fitted:
    def apply(rows: BlendInput) -> Floats:
        return stacker.apply(rows.logits, rows.context if with_context else None)

    def without(rows: BlendInput, run: int) -> Floats:
        logits = rows.logits.copy()
        logits[run] = WeightedMean.equal(len(logits)).without(run).apply(logits)
        return apply(replace(rows, logits=logits))

    return Fitted(apply, without, None)
