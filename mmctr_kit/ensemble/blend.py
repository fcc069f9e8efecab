"""Blend a stack of runs into one, with a score that the blend's own fitting has not flattered."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from mmctr_kit.ensemble.crossfit import CrossFit
from mmctr_kit.ensemble.diversity import correlations, what_each_adds
from mmctr_kit.ensemble.methods.average import mean_without_oof, rank_without_oof
from mmctr_kit.ensemble.methods.catalogue import (
    METHODS,
    WITH_CONTEXT,
    Fitted,
    Method,
    OofRows,
    Shown,
)
from mmctr_kit.ensemble.methods.scale import Line, apply_lines, fit_lines
from mmctr_kit.ensemble.select import choose
from mmctr_kit.ensemble.stack import Stack
from mmctr_kit.errors import RunError, UsageError
from mmctr_kit.metrics.auc import AucSample
from mmctr_kit.metrics.chance import errors_above_chance
from mmctr_kit.metrics.estimate import Estimate


@dataclass(frozen=True, eq=False)
class Blend:
    """A blend: again logits of OOF, valid and test rows, so that it can be blended itself.

    method: the one used; reason: one line that says why.
    oof (n,) float64 logits, each row from a fit on other users; None without OOF.
    valid (k, n_valid), test (k, n_test) float64 logits, a row for each fold model: average them
    over the folds (axis 0) for the prediction. mean_valid: what the mean gives for valid, where
    another method is used.
    weights: of each run, None where the method has none.
    scores: mean fold AUC of each tried method's cross-fitted OOF; differences: to that of the
    mean, paired. Both with errors clustered by user; empty without OOF.
    above_chance: errors by which each method's score lies above 0.5, counted by user and item.
    note: what the method chose in fitting, in a few words, or empty.
    correlation (m, m): Spearman's between the runs; adds: what each run adds to the blend's
    cross-fitted AUC, paired; empty for one run, and without OOF.
    """

    method: Method
    oof: NDArray[np.float64] | None
    valid: NDArray[np.float64]
    test: NDArray[np.float64]
    weights: dict[str, float] | None
    scores: dict[Method, Estimate]
    differences: dict[Method, Estimate]
    above_chance: dict[Method, float]
    reason: str
    note: str
    correlation: NDArray[np.float64]
    adds: dict[str, Estimate]
    mean_valid: NDArray[np.float64] | None = None


def blend(stack: Stack, method: Literal["auto"] | Method, seed: int = 0) -> Blend:
    """Blend ``stack`` by ``method``; ``auto`` tries all and keeps the mean unless one is better.

    Every method is fitted on four fifths of the users and scored on the rest, five times; what is
    applied to valid and test is fitted on all of OOF. Same seed, same bits.
    Raises RunError where the method needs OOF and there is none, or users are too few.
    """
    require_method(method, stack.oof is not None, stack.context is not None)
    if stack.oof is None:
        return _blend_without_oof(stack, method)
    tried = _tried(stack, method)
    rows = OofRows(
        stack.oof,
        np.asarray(stack.label == 1),
        stack.fold.astype(np.int16, copy=False),
        stack.user.astype(np.int64, copy=False),
        None if stack.context is None else stack.context.oof,
    )
    lines = fit_lines(rows.label, stack.oof)
    crossed = CrossFit.fit(rows, tried, lines, seed)
    sample = AucSample(rows.label, rows.user, rows.fold)
    influences = {name: sample.influence(crossed.logits(name)) for name in tried}
    scores = {name: sample.estimate(x) for name, x in influences.items()}
    differences: dict[Method, Estimate] = {
        name: sample.difference(x, influences["mean"])
        for name, x in influences.items()
        if name != "mean"
    }
    above_chance = {
        name: errors_above_chance(score, rows.label, crossed.logits(name), rows.fold, stack.item)
        for name, score in scores.items()
    }
    used, reason = _decide(method, above_chance, differences)
    oof = crossed.logits(used)
    adds = what_each_adds(crossed, used, oof)
    scaled = replace(rows, logits=apply_lines(lines, rows.logits))
    fitted = METHODS[used](scaled, seed)
    mean = None if used == "mean" else METHODS["mean"](scaled, seed)
    valid, test = (
        (None, None) if stack.context is None else (stack.context.valid, stack.context.test)
    )
    return Blend(
        used,
        oof,
        _apply_to_folds(fitted, lines, stack.valid, valid),
        _apply_to_folds(fitted, lines, stack.test, test),
        None if fitted.weights is None else _named(stack.names, fitted.weights),
        scores,
        differences,
        above_chance,
        reason,
        fitted.note,
        correlations(stack),
        {stack.names[run]: gain for run, gain in adds.items()},
        None if mean is None else _apply_to_folds(mean, lines, stack.valid, valid),
    )


def require_method(method: Literal["auto"] | Method, with_oof: bool, with_context: bool) -> None:
    """RunError where the method needs an OOF that is not there, UsageError where a context."""
    if not with_oof and method not in ("auto", "mean", "rank"):
        raise RunError(
            f"method '{method}' learns from OOF predictions, found a run without: "
            "use --method mean or rank, or leave that run out"
        )
    if method == WITH_CONTEXT and not with_context:
        raise UsageError(f"--method {method} looks at the rows themselves: add --data DATA")


def _tried(stack: Stack, method: Literal["auto"] | Method) -> list[Method]:
    if method == "auto":
        if stack.runs == 1:  # every mean of it is itself
            return ["mean"] if stack.context is None else ["mean", WITH_CONTEXT]
        return [m for m in METHODS if m != WITH_CONTEXT or stack.context is not None]
    return ["mean"] if method == "mean" else ["mean", method]


def _decide(
    method: Literal["auto"] | Method,
    above_chance: Mapping[Method, float],
    differences: Mapping[Method, Estimate],
) -> tuple[Method, str]:
    if method == "auto":
        if not differences:
            return "mean", "mean: one run alone, nothing to choose"
        return choose(above_chance, differences, "mean")
    against = f", {differences[method].signed()} over mean" if method != "mean" else ""
    return method, f"{method}: as asked{against}"


def _apply_to_folds(
    fitted: Fitted,
    lines: list[Line],
    logits: NDArray[np.float64],
    context: NDArray[np.float32] | None,
) -> NDArray[np.float64]:
    """(k, rows) from logits (m, k, rows): fold model by fold model."""
    _, folds, rows = logits.shape
    out = np.empty((folds, rows))
    for f in range(folds):
        scaled = apply_lines(lines, logits[:, f])
        known = None if context is None else context[f]
        out[f] = fitted.apply(Shown(scaled, np.full(rows, f, dtype=np.int16), known))
    return out


def _blend_without_oof(stack: Stack, method: Literal["auto"] | Method) -> Blend:
    used: Method = "rank" if method == "rank" else "mean"
    known = stack.valid.shape[2] > 0
    valid = np.zeros((stack.folds, 0))
    if used == "rank":
        test = rank_without_oof(stack.test)
        valid = rank_without_oof(stack.valid) if known else valid
    else:
        spread_of = stack.valid if known else stack.test
        test = mean_without_oof(stack.test, spread_of)
        valid = mean_without_oof(stack.valid, spread_of) if known else valid
    reason = f"{used}: a run has no OOF, so no method could be scored"
    equal = np.full(stack.runs, 1.0 / stack.runs)
    weights = _named(stack.names, equal)
    related = correlations(stack)
    return Blend(used, None, valid, test, weights, {}, {}, {}, reason, "", related, {})


def _named(names: Sequence[str], weights: NDArray[np.float64]) -> dict[str, float]:
    return {name: float(w) for name, w in zip(names, weights, strict=True)}
