"""The blend methods behind one interface: fit on OOF rows, apply to any fold model's logits."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from types import MappingProxyType

import numpy as np

from mmctr_kit.ensemble.methods import Method as Method
from mmctr_kit.ensemble.methods.average import RankMean, WeightedMean
from mmctr_kit.ensemble.methods.gated import GatedMean
from mmctr_kit.ensemble.methods.greedy import select
from mmctr_kit.ensemble.methods.logistic import fit_weights
from mmctr_kit.ensemble.methods.power import PowerMean
from mmctr_kit.ensemble.methods.scale import PlattScaling
from mmctr_kit.ensemble.methods.stacker import Stacker
from mmctr_kit.ensemble.stack import BlendInput, OofRows
from mmctr_kit.metrics.binned_auc import BinnedAuc
from mmctr_kit.metrics.ranks import Floats, Floats32

WITH_CONTEXT: frozenset[Method] = frozenset({"lightgbm-context", "stack"})
"""The methods that need row features (`mmctr_kit.ensemble.stack.Context`) beside the logits."""


@dataclass(frozen=True, eq=False)
class Fitted:
    """A fitted method: ``apply`` gives the blended logits (rows,).

    ``without(rows, run)`` gives them without one run. Nothing is fitted again: the other runs keep
    their relative weights; without weights, the mean of the others replaces the run.
    ``weights`` (m,) sum to 1, or None if the method has no weights. ``note`` says in a few words
    what the fit has chosen, if anything; ``left_out`` are the runs that it does not use.
    """

    apply: Callable[[BlendInput], Floats]
    without: Callable[[BlendInput, int], Floats]
    weights: Floats | None
    note: str = ""
    left_out: tuple[int, ...] = ()


@dataclass(frozen=True, eq=False)
class SharedFits:
    """OOF rows to fit methods on; what several methods build on is fitted once, by ``seed``."""

    oof: OofRows
    seed: int

    @cached_property
    def weights(self) -> WeightedMean:
        """The logistic regression's weights, which the methods below refine."""
        return fit_weights(self.oof, self.seed)

    @cached_property
    def gated(self) -> Fitted:
        """The logistic regression whose weights vary with the rows' context."""
        _context(self.oof)
        gate = GatedMean.fit(self.oof, self.weights, self.seed)
        return _replaceable(lambda rows: gate.apply(rows.logits, _context(rows)))

    @cached_property
    def trees(self) -> Fitted:
        """The monotone stacker with the rows' context."""
        _context(self.oof)
        stacker = Stacker.fit(self.oof, self.weights, self.seed)
        return _replaceable(lambda rows: stacker.apply(rows.logits, _context(rows)))


def fit_best(fits: SharedFits) -> Fitted:
    """The single run with the highest mean fold AUC; without it, the next best."""
    oof = fits.oof
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


def fit_power(fits: SharedFits) -> Fitted:
    """Power mean of the probabilities, its exponent chosen by AUC."""
    mean = PowerMean.choose(fits.oof, fits.seed)
    return replace(_power(mean, fits.oof), note=f"exponent {mean.exponent:g}")


def fit_rank(fits: SharedFits) -> Fitted:
    """Mean of the ranks within each fold model's OOF."""
    oof = fits.oof
    ranks = RankMean.fit(oof.logits, oof.fold)
    scaling = PlattScaling.fit(oof.label, ranks.apply(oof.logits, oof.fold))
    return Fitted(
        lambda rows: scaling.apply(ranks.apply(rows.logits, rows.fold)),
        lambda rows, run: scaling.apply(
            ranks.without(run).apply(np.delete(rows.logits, run, axis=0), rows.fold)
        ),
        WeightedMean.equal(len(oof.logits)).weights,
    )


def fit_trees(fits: SharedFits) -> Fitted:
    """The monotone stacker on the logits alone."""
    stacker = Stacker.fit(replace(fits.oof, context=None), fits.weights, fits.seed)
    return _replaceable(lambda rows: stacker.apply(rows.logits))


def fit_stack(fits: SharedFits) -> Fitted:
    """Mean of the logits of the gated logistic regression and of the trees with context."""
    parts = (fits.gated, fits.trees)
    return Fitted(
        lambda rows: np.asarray(np.mean([part.apply(rows) for part in parts], axis=0)),
        lambda rows, run: np.asarray(np.mean([part.without(rows, run) for part in parts], axis=0)),
        None,
    )


FitMethod = Callable[[SharedFits], Fitted]

METHODS: Mapping[Method, FitMethod] = MappingProxyType(
    {
        "mean": lambda fits: _weighted(WeightedMean.equal(len(fits.oof.logits)), fits.oof),
        "best": fit_best,
        "probability": lambda fits: _power(PowerMean(1.0), fits.oof),
        "power": fit_power,
        "rank": fit_rank,
        "greedy": lambda fits: _weighted(select(fits.oof, fits.seed), fits.oof),
        "logistic": lambda fits: _weighted(fits.weights, fits.oof),
        "lightgbm": fit_trees,
        "lightgbm-context": lambda fits: fits.trees,
        "stack": fit_stack,
    }
)
"""The fit of each method by name; the plain mean first."""


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


def _replaceable(apply: Callable[[BlendInput], Floats]) -> Fitted:
    """A fit without weights: without a run, the mean of the others stands in for it."""

    def without(rows: BlendInput, run: int) -> Floats:
        logits = rows.logits.copy()
        logits[run] = WeightedMean.equal(len(logits)).without(run).apply(logits)
        return apply(replace(rows, logits=logits))

    return Fitted(apply, without, None)


def _context(rows: BlendInput) -> Floats32:
    if rows.context is None:
        raise ValueError("this method needs the rows' context")
    return rows.context
