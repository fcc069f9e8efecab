"""Blend a stack of runs into one, with a score that the blend's own fitting has not flattered."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from mmctr_kit.ensemble.average import mean_without_oof, rank_without_oof
from mmctr_kit.ensemble.choose import choose
from mmctr_kit.ensemble.methods import METHODS, Fitted, Method, OofRows
from mmctr_kit.ensemble.scale import Line, apply_lines, fit_lines
from mmctr_kit.ensemble.stack import Stack
from mmctr_kit.errors import RunError
from mmctr_kit.folds import user_folds
from mmctr_kit.metrics import AucSample, Estimate

GROUPS = 5
_GROUP_SEED = 0x57AC_5EED
"""Keeps the cross-fitting groups independent of the folds, whatever the folds' seed."""


@dataclass(frozen=True, eq=False)
class Blend:
    """A blend: again logits of OOF, valid and test rows, so that it can be blended itself.

    method: the one used; reason: one line that says why.
    oof (n,) float64 logits, each row from a fit on other users; None without OOF.
    valid (k, n_valid), test (k, n_test) float64 logits, a row for each fold model: average them
    over the folds (axis 0) for the prediction.
    weights: of each run, None where the method has none.
    scores: mean fold AUC of each tried method's cross-fitted OOF; differences: to that of the
    mean, paired. Both with errors clustered by user; empty without OOF.
    """

    method: Method
    oof: NDArray[np.float64] | None
    valid: NDArray[np.float64]
    test: NDArray[np.float64]
    weights: dict[str, float] | None
    scores: dict[Method, Estimate]
    differences: dict[Method, Estimate]
    reason: str


def blend(stack: Stack, method: Literal["auto"] | Method, seed: int = 0) -> Blend:
    """Blend ``stack`` by ``method``; ``auto`` tries all and keeps the mean unless one is better.

    Every method is fitted on four fifths of the users and scored on the rest, five times; what is
    applied to valid and test is fitted on all of OOF. Same seed, same bits.
    Raises RunError where the method needs OOF and there is none, or users are too few.
    """
    if stack.oof is None:
        return _blend_without_oof(stack, method)
    tried = _tried(stack, method)
    rows = OofRows(
        stack.oof,
        np.asarray(stack.label == 1),
        stack.fold.astype(np.int16, copy=False),
        stack.user.astype(np.int64, copy=False),
    )
    whole = fit_lines(rows.label, stack.oof)
    crossed = _cross_fit(rows, tried, whole, seed)
    sample = AucSample(rows.label, rows.user, rows.fold)
    influences = {name: sample.influence(x) for name, x in crossed.items()}
    scores = {name: sample.estimate(x) for name, x in influences.items()}
    differences: dict[Method, Estimate] = {
        name: sample.difference(x, influences["mean"])
        for name, x in influences.items()
        if name != "mean"
    }
    used, reason = _decide(method, scores, differences)
    fitted = METHODS[used](_part(rows, slice(None), whole), seed)
    return Blend(
        used,
        crossed[used],
        _apply_to_folds(fitted, whole, stack.valid),
        _apply_to_folds(fitted, whole, stack.test),
        None if fitted.weights is None else _named(stack.names, fitted.weights),
        scores,
        differences,
        reason,
    )


def _tried(stack: Stack, method: Literal["auto"] | Method) -> list[Method]:
    if method == "auto":
        return ["mean"] if stack.runs == 1 else [*METHODS]
    return ["mean"] if method == "mean" else ["mean", method]


def _decide(
    method: Literal["auto"] | Method,
    scores: Mapping[Method, Estimate],
    differences: Mapping[Method, Estimate],
) -> tuple[Method, str]:
    if method == "auto":
        if not differences:
            return "mean", "mean: one run alone, nothing to choose"
        return choose(scores, differences, "mean")
    against = f", {differences[method].signed()} over mean" if method != "mean" else ""
    return method, f"{method}: as asked{against}"


def _cross_fit(
    rows: OofRows, methods: Sequence[Method], start: list[Line], seed: int
) -> dict[Method, NDArray[np.float64]]:
    """(n,) logits of each method, every row predicted by a fit on the other groups' users.

    A group's logits are shifted to the common mean. Without that the fits' intercepts, low where
    the group left out has many positives, would rank the groups against their labels and push an
    uninformative blend below 0.5. The shift looks at no label.
    """
    group = user_folds(rows.user, GROUPS, seed ^ _GROUP_SEED)
    share = np.bincount(group, minlength=GROUPS) / len(group)
    crossed: dict[Method, NDArray[np.float64]] = {m: np.empty(len(group)) for m in methods}
    means = {m: np.zeros(GROUPS) for m in methods}
    for g in range(GROUPS):
        inside, outside = np.flatnonzero(group == g), np.flatnonzero(group != g)
        if len(inside) == 0:
            continue
        _enough(rows.label[outside], rows.fold[outside], rows.fold)
        lines = fit_lines(rows.label[outside], rows.logits[:, outside], start)
        part = _part(rows, outside, lines)
        left_out = apply_lines(lines, rows.logits[:, inside])
        for method in methods:
            logits = METHODS[method](part, seed).apply(left_out, rows.fold[inside])
            crossed[method][inside] = logits
            means[method][g] = logits.mean()
    return {m: x + (share @ means[m] - means[m])[group] for m, x in crossed.items()}


def _part(rows: OofRows, inside: NDArray[np.intp] | slice, lines: list[Line]) -> OofRows:
    scaled = apply_lines(lines, rows.logits[:, inside])
    return OofRows(scaled, rows.label[inside], rows.fold[inside], rows.user[inside])


def _enough(label: NDArray[np.bool_], fold: NDArray[np.int16], folds: NDArray[np.int16]) -> None:
    cells = np.bincount(fold.astype(np.intp) * 2 + label, minlength=2 * (int(folds.max()) + 1))
    if cells.min() == 0:
        raise RunError(
            f"a blend is scored on {GROUPS} groups of users, found too few users for both classes "
            "to be in every fold without one of them: train with fewer folds or more rows"
        )


def _apply_to_folds(
    fitted: Fitted, lines: list[Line], logits: NDArray[np.float64]
) -> NDArray[np.float64]:
    """(k, rows) from logits (m, k, rows): fold model by fold model."""
    _, folds, rows = logits.shape
    out = np.empty((folds, rows))
    for f in range(folds):
        scaled = apply_lines(lines, logits[:, f])
        out[f] = fitted.apply(scaled, np.full(rows, f, dtype=np.int16))
    return out


def _blend_without_oof(stack: Stack, method: Literal["auto"] | Method) -> Blend:
    if method not in ("auto", "mean", "rank"):
        raise RunError(
            f"method '{method}' learns from OOF predictions, found a run without: "
            "use --method mean or rank, or leave that run out"
        )
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
    return Blend(used, None, valid, test, _named(stack.names, equal), {}, {}, reason)


def _named(names: Sequence[str], weights: NDArray[np.float64]) -> dict[str, float]:
    return {name: float(w) for name, w in zip(names, weights, strict=True)}
