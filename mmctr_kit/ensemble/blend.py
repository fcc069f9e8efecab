"""Blend a stack of runs into one, scored on users that each fit has not seen."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Literal

import numpy as np

from mmctr_kit.activity import doing
from mmctr_kit.ensemble.choice import decide, required_of_best
from mmctr_kit.ensemble.crossfit import CrossFit
from mmctr_kit.ensemble.diversity import correlations, leave_one_out_gain
from mmctr_kit.ensemble.harm import most_harmful, without_harm
from mmctr_kit.ensemble.methods.average import mean_without_oof, rank_without_oof
from mmctr_kit.ensemble.methods.catalogue import METHODS, WITH_CONTEXT, Fitted, Method, SharedFits
from mmctr_kit.ensemble.methods.scale import PlattScaling, apply_scalings, fit_scalings
from mmctr_kit.ensemble.stack import BlendInput, OofRows, Stack
from mmctr_kit.errors import RunError, UsageError
from mmctr_kit.metrics.auc import AucSample, Influence
from mmctr_kit.metrics.chance import z_above_chance
from mmctr_kit.metrics.estimate import MIN_Z, Estimate
from mmctr_kit.metrics.ranks import Floats, Floats32


@dataclass(frozen=True, eq=False)
class Blend:
    """A blend: logits of OOF, valid and test rows like a run's, so that it can be blended again.

    method: the one used; reason: one sentence that says why; note: what its fit has chosen, or "".
    oof (n,) float64 logits, each row from a fit on other users (the mean of one run is the run,
    on one scale); None without OOF.
    valid (k, n_valid), test (k, n_test) float64 logits, a row for each fold model: average them
    over the folds (axis 0) for the prediction. mean_valid: the plain mean's logits for valid, if
    another method is used, or runs are left out.
    left_out: the runs that did harm, which ``auto`` leaves out; ``scores`` are of all runs.
    weights: by run, None if the method has none.
    scores: mean fold AUC of each tried method's cross-fitted OOF; differences: to the plain mean,
    paired; standard errors clustered by user. above_chance: standard errors by which each score
    lies above 0.5, counted by user and item. All three are empty without OOF.
    correlation (m, m): Spearman's between the runs; adds: what each run adds to the blend's
    cross-fitted AUC, paired; empty for one run, and without OOF.
    """

    method: Method
    oof: Floats | None
    valid: Floats
    test: Floats
    weights: dict[str, float] | None
    scores: dict[Method, Estimate]
    differences: dict[Method, Estimate]
    above_chance: dict[Method, float]
    reason: str
    note: str
    correlation: Floats
    adds: dict[str, Estimate]
    mean_valid: Floats | None = None
    left_out: tuple[str, ...] = ()


def blend(stack: Stack, method: Literal["auto"] | Method, seed: int = 0) -> Blend:
    """Blend ``stack`` by ``method``; ``auto`` tries all and uses the mean unless one is better.

    Every method is fitted on four fifths of the users and scored on the rest, five times; the fit
    for valid and test uses all of OOF. Equal seeds give equal bits.
    Raises RunError if the method needs OOF and there is none, or users are too few.
    """
    require_method(method, stack.without_oof, stack.context is not None)
    if stack.oof is None:
        return _blend_without_oof(stack, method)
    tried = _tried(stack, method)
    rows = _oof_rows(stack, stack.oof)
    scalings = fit_scalings(rows.label, stack.oof)
    crossed = CrossFit.fit(rows, {name: METHODS[name] for name in tried}, scalings, seed)
    sample = AucSample(rows.label, rows.user, rows.fold)
    logits = {name: crossed.logits(name) for name in tried}
    if stack.runs == 1:  # its mean is itself: a scale for each group of users would mix their order
        logits["mean"] = apply_scalings(scalings, rows.logits)[0]
    influences = {name: sample.influence(x) for name, x in logits.items()}
    scores = {name: sample.estimate(x) for name, x in influences.items()}
    mean = influences["mean"]
    differences: dict[Method, Estimate] = {
        name: sample.difference(x, mean) for name, x in influences.items() if name != "mean"
    }
    above_chance = {
        m: z_above_chance(scores[m], sample.row_influence(x), stack.item) for m, x in logits.items()
    }
    needed = _needed(sample, {m: influences[m].less(mean) for m in differences}, differences)
    used, reason = decide(method, above_chance, differences, needed)
    scaled = replace(rows, logits=apply_scalings(scalings, rows.logits))
    fits = SharedFits(scaled, seed)
    doing(f"fitting {used} on all users")
    fitted, oof = METHODS[used](fits), logits[used]
    adds = leave_one_out_gain(crossed, used, oof)
    if method == "auto" and most_harmful(adds) is not None:
        spared = CrossFit.fit(rows, {used: without_harm(used)}, scalings, seed)
        gain = sample.difference(sample.influence(spared.logits(used)), influences[used])
        of_all = without_harm(used)(fits)
        if of_all.left_out and gain.value > 0.0:
            crossed, fitted, oof = spared, of_all, spared.logits(used)
            adds = leave_one_out_gain(crossed, used, oof)
            names = ", ".join(stack.names[run] for run in fitted.left_out)
            reason += f" Left out {names}: OOF AUC {gain.signed()} without."
    valid, test, context = stack.valid, stack.test, stack.context
    of_valid = None if context is None else context.valid
    plain = None if used == "mean" and not fitted.left_out else METHODS["mean"](fits)
    return Blend(
        used,
        oof,
        _apply_to_folds(fitted, scalings, valid, of_valid),
        _apply_to_folds(fitted, scalings, test, None if context is None else context.test),
        None if fitted.weights is None else _by_run(stack, fitted.weights),
        scores,
        differences,
        above_chance,
        reason,
        fitted.note,
        correlations(stack),
        {stack.names[run]: gain for run, gain in adds.items()},
        None if plain is None else _apply_to_folds(plain, scalings, valid, of_valid),
        tuple(stack.names[run] for run in fitted.left_out),
    )


def fit_again(
    stack: Stack, method: Method, seed: int, spare: bool
) -> Callable[[Floats, Floats32 | None], Floats]:
    """What :func:`blend` applied when it used ``method`` with this seed: runs' logits -> blended.

    It takes logits (m, k, rows), and the context (k, c, rows) if the method uses one, and returns
    (k, rows). ``spare``: runs that do harm were left out.
    """
    if stack.oof is None:
        return lambda logits, _: _mean_without_oof(stack)(logits)
    rows = _oof_rows(stack, stack.oof)
    scalings = fit_scalings(rows.label, stack.oof)
    fits = SharedFits(replace(rows, logits=apply_scalings(scalings, rows.logits)), seed)
    fitted = (without_harm(method) if spare else METHODS[method])(fits)
    return lambda logits, context: _apply_to_folds(fitted, scalings, logits, context)


def _oof_rows(stack: Stack, oof: Floats) -> OofRows:
    return OofRows(
        oof,
        stack.fold.astype(np.int16, copy=False),
        None if stack.context is None else stack.context.oof,
        label=np.asarray(stack.label == 1),
        user=stack.user.astype(np.int64, copy=False),
    )


def require_method(
    method: Literal["auto"] | Method, without_oof: Sequence[str], with_context: bool
) -> None:
    """RunError if the method needs OOF and runs have none, UsageError if it needs context."""
    if without_oof and method not in ("auto", "mean", "rank"):
        raise RunError(
            f"method '{method}' learns from OOF predictions, but there are none of "
            f"{' and '.join(without_oof)}: use --method mean or rank, or leave out what has none"
        )
    if method in WITH_CONTEXT and not with_context:
        raise UsageError(f"--method {method} uses features of the rows: add --data DATA")


def _needed(
    sample: AucSample, gains: Mapping[Method, Influence], differences: Mapping[Method, Estimate]
) -> float:
    """The standard errors that the best of the differences must win by, as they correlate."""
    differing = [gains[m] for m, d in differences.items() if d.se > 0.0]
    return required_of_best(sample.correlations(differing)) if differing else MIN_Z


def _tried(stack: Stack, method: Literal["auto"] | Method) -> list[Method]:
    with_context = stack.context is not None
    if method == "auto":
        if stack.runs == 1:  # every mean of it is itself
            return [m for m in METHODS if m == "mean" or (m in WITH_CONTEXT and with_context)]
        return [m for m in METHODS if m not in WITH_CONTEXT or with_context]
    return ["mean"] if method == "mean" else ["mean", method]


def _apply_to_folds(
    fitted: Fitted, scalings: list[PlattScaling], logits: Floats, context: Floats32 | None
) -> Floats:
    """(k, rows) blended logits of logits (m, k, rows), fold model by fold model."""
    out = np.empty(logits.shape[1:])
    for f, blended in enumerate(out):
        scaled, fold = apply_scalings(scalings, logits[:, f]), np.full(len(blended), f, np.int16)
        features = None if context is None else context[f]
        blended[:] = fitted.apply(BlendInput(scaled, fold, features))
    return out


def _blend_without_oof(stack: Stack, method: Literal["auto"] | Method) -> Blend:
    used: Method = "rank" if method == "rank" else "mean"
    mean = rank_without_oof if used == "rank" else _mean_without_oof(stack)
    valid = mean(stack.valid) if stack.valid.shape[2] else np.zeros((stack.folds, 0))
    lacking = " and ".join(stack.without_oof)
    why = f"there are no OOF predictions of {lacking}, so no method could be scored"
    reason = f"Used {used}: {why}."
    weights = _by_run(stack, np.full(stack.runs, 1.0 / stack.runs))
    related = correlations(stack)
    return Blend(used, None, valid, mean(stack.test), weights, {}, {}, {}, reason, "", related, {})


def _mean_without_oof(stack: Stack) -> Callable[[Floats], Floats]:
    spread_of = stack.valid if stack.valid.shape[2] else stack.test
    return partial(mean_without_oof, spread_of=spread_of)


def _by_run(stack: Stack, weights: Floats) -> dict[str, float]:
    return dict(zip(stack.names, weights.tolist(), strict=True))
