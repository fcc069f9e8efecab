"""Runs that do harm to a blend are left out of it, judged by users that the fit has not seen."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from mmctr_kit.data.folds import held_out
from mmctr_kit.ensemble.crossfit import CrossFit
from mmctr_kit.ensemble.diversity import leave_one_out_gain
from mmctr_kit.ensemble.methods.catalogue import (
    METHODS,
    FitMethod,
    Fitted,
    Method,
    SharedFits,
)
from mmctr_kit.ensemble.methods.scale import fit_scalings
from mmctr_kit.ensemble.stack import BlendInput, OofRows
from mmctr_kit.errors import RunError
from mmctr_kit.metrics.estimate import Estimate, required_z
from mmctr_kit.metrics.ranks import Floats, Ints

JUDGE_CELLS = 10_000_000
"""Rows times runs that harm is judged on; if there are more, whole users are drawn."""


def most_harmful(adds: Mapping[int, Estimate]) -> int | None:
    """The run that lowers the blend's AUC by the most standard errors, None if none is clear.

    adds: what each run adds. Clear is over 2 standard errors, corrected for the number of runs.
    """
    clear = [run for run, gain in adds.items() if gain.z(0.0) < -required_z(len(adds))]
    return min(clear, key=lambda run: adds[run].z(0.0), default=None)


def without_harm(method: Method) -> FitMethod:
    """The fit of ``method`` on the runs that do no harm, which the rows of the fit decide alone.

    So a cross-fitted score of it is honest: the choice of runs is made again without each group.
    """

    def fit(fits: SharedFits) -> Fitted:
        oof, runs = fits.oof, np.arange(len(fits.oof.logits))
        while (worst := _harmful_run(_of(oof, runs), method, fits.seed)) is not None:
            runs = np.delete(runs, worst)
        fitted = METHODS[method](SharedFits(_of(oof, runs), fits.seed))
        others = None
        if len(runs) == 1 < len(oof.logits):  # without it, the mean of those that were left out
            rest = np.delete(np.arange(len(oof.logits)), runs)
            others = METHODS["mean"](SharedFits(_of(oof, rest), fits.seed))
        return _on_all_runs(fitted, runs, len(oof.logits), others)

    return fit


def _harmful_run(oof: OofRows, method: Method, seed: int) -> int | None:
    inside = np.flatnonzero(held_out(oof.user, JUDGE_CELLS / oof.logits.size, seed ^ 0x4A12))
    part = oof.take(inside)
    try:
        crossed = CrossFit.fit(
            part, {method: METHODS[method]}, fit_scalings(part.label, part.logits), seed
        )
    except RunError:  # too few users to judge runs by
        return None
    return most_harmful(leave_one_out_gain(crossed, method, crossed.logits(method)))


def _of(rows: OofRows, runs: Ints) -> OofRows:
    return replace(rows, logits=rows.logits[runs])


def _on_all_runs(fitted: Fitted, runs: Ints, count: int, others: Fitted | None) -> Fitted:
    """The fit on ``runs`` as one that takes the logits of all ``count`` runs.

    ``others``: if there is one run alone, the fit on all others, which predicts without it.
    """
    place = {int(run): at for at, run in enumerate(runs)}

    def apply(rows: BlendInput) -> Floats:
        return fitted.apply(replace(rows, logits=rows.logits[runs]))

    def without(rows: BlendInput, run: int) -> Floats:
        if run not in place:
            return apply(rows)
        if others is not None:
            return others.apply(replace(rows, logits=np.delete(rows.logits, run, axis=0)))
        return fitted.without(replace(rows, logits=rows.logits[runs]), place[run])

    weights = None
    if fitted.weights is not None:
        weights = np.zeros(count)
        weights[runs] = fitted.weights
    left_out = tuple(run for run in range(count) if run not in place)
    return replace(fitted, apply=apply, without=without, weights=weights, left_out=left_out)
