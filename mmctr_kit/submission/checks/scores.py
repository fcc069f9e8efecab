"""Checks of the scores: range, constant columns, labels, ties, equal and sorted columns."""

from collections.abc import Mapping
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from mmctr_kit.audit.findings import Log
from mmctr_kit.errors import plural
from mmctr_kit.metrics.auc import rank_correlation
from mmctr_kit.submission.reading.table import SubmissionTable

Columns = Mapping[str, NDArray[np.float64]]
Range = tuple[float, float]
"""The least and the largest score that is allowed."""

TIES_ALLOWED = 0.01
MANY_ROWS = 1_000
"""Below this number of rows chance can look like a pattern, so nothing is suspected."""
_SORTED = 0.95
_SAMPLE = 5_000
_ROUNDING = 1e-3
"""A value no further outside [0, 1] than this may be a rounding error."""


def check_scores(
    table: SubmissionTable, log: Log, allowed: Range | None, by_auc: bool = True
) -> None:
    """All checks that need nothing but the table itself; ``allowed`` is the range of values.

    ``by_auc``: the contest's metric is known to be AUC, so that only the scores' order counts.
    """
    if not table.columns or not len(table.lines):
        return
    if allowed is None:
        log.passed("score-range", "any number is allowed")
    else:
        _check_range(table, log, allowed, by_auc)
    whole = {n: c for n, c in table.columns.items() if np.isfinite(c).all()}
    constant = {n for n, c in whole.items() if (c == c[0]).all()}
    _check_constant(table.columns, constant, log)
    varying = {n: c for n, c in whole.items() if n not in constant}
    if varying:
        labels = {n for n, c in varying.items() if np.isin(c, (0.0, 1.0)).all()}
        _check_labels(varying, labels, log, by_auc)
        _check_ties({n: c for n, c in varying.items() if n not in labels}, log)
        _check_identical(varying, log)
        _check_sorted(varying, log)


def _check_range(table: SubmissionTable, log: Log, allowed: Range, by_auc: bool) -> None:
    shown = f"[{allowed[0]:g}, {allowed[1]:g}]"
    for name, column in table.columns.items():
        outside = np.flatnonzero((column < allowed[0]) | (column > allowed[1]))
        if len(outside):
            row = int(outside[0])
            what = (
                f"{name}: expected values in {shown}; {plural(len(outside), 'value')} outside "
                f"(least {_figure(np.nanmin(column), allowed)}, largest "
                f"{_figure(np.nanmax(column), allowed)}), "
                f"first {_figure(column[row], allowed)} in line {table.lines[row]:,}"
            )
            scale = f"scale or clip values to {shown}"
            todo = _range_todo(column, scale, by_auc) if allowed == (0, 1) else scale
            log.fail("score-range", what, todo)
    log.passed("score-range", f"all in {shown}")


def _figure(value: float, ends: Range) -> str:
    """Six digits, or all of them if six hide on which side of an end the value is."""
    short = f"{value:g}"
    hidden = any(np.sign(float(short) - end) != np.sign(value - end) for end in ends)
    return repr(float(value)) if hidden else short


def _range_todo(column: NDArray[np.float64], scale: str, by_auc: bool) -> str:
    known = column[~np.isnan(column)]
    least, largest = float(known.min()), float(known.max())
    if least >= -_ROUNDING and largest <= 1 + _ROUNDING:
        return "a rounding error? clip values to [0, 1]"
    if least < 0 and largest > 1:
        return "these look like logits: write 1 / (1 + exp(-logit)) in float64"
    if largest <= 0:
        return "these look like log-probabilities: write exp of them"
    if least >= 0 and largest <= 100 and float((known > 1).mean()) > 0.5:
        return "if these are percent, divide by 100"
    if not by_auc:
        return scale
    if least >= 0 and (known == np.floor(known)).all():
        return "write probabilities; ranks may be divided by their number"
    return "write probabilities, or scale the scores into [0, 1]: only their order counts"


def _check_constant(columns: Columns, constant: set[str], log: Log) -> None:
    if len(constant) == len(columns):
        values = ", ".join(f"{n} is {columns[n][0]:g} everywhere" for n in sorted(constant))
        log.fail("score-constant", f"expected scores; {values}", "write a model's predictions")
    elif constant:
        names = ", ".join(sorted(constant))
        log.passed("score-constant", f"{names} constant: taken as unused placeholders")
    else:
        log.passed("score-constant", "every column varies")


def _check_labels(varying: Columns, labels: set[str], log: Log, by_auc: bool) -> None:
    for name in sorted(labels):
        share = float(varying[name].mean())
        what = f"{name} holds only 0 and 1 ({share:.1%} ones): labels, not scores"
        todo = "AUC needs the probability, before any threshold"
        log.warn("score-hard-labels", what, todo if by_auc else f"if the metric is AUC: {todo}")
    log.passed("score-hard-labels", "none")


_ALIKE = "rows that the model cannot distinguish, or a blend with few ranks or leaves"


def _check_ties(columns: Columns, log: Log) -> None:
    shares = []
    for name, column in columns.items():
        values, counts = np.unique(column, return_counts=True)
        share = float(counts[counts > 1].sum()) / len(column)
        shares.append(share)
        if share > TIES_ALLOWED:
            common = float(values[np.argmax(counts)])
            reason = _tie_reason(column, values) or _ALIKE
            todo = "keep logits in float64 to the end; write every digit"
            if reason == _ALIKE:
                todo = "blend it with a run that distinguishes them, or leave it as it is"
            what = (
                f"{name}: {share:.1%} of the rows share their score with another, "
                f"{int(counts.max()):,} of them {common!r}; {reason}"
            )
            log.warn("score-ties", what, todo)
    if shares:
        log.passed("score-ties", f"at most {max(shares):.2%} of a column's rows")


def _tie_reason(column: NDArray[np.float64], values: NDArray[np.float64]) -> str | None:
    """How the scores' format made ties; None if it did not."""
    step = max(1, len(values) // _SAMPLE)
    sample = values[::step].tolist()
    digits = max(map(_digits, sample))
    if digits <= 6:  # first: rounding too leaves scores of 0 and 1
        return f"no score has more than {digits} digits: rounded, or from bfloat16"
    ends = float(((column < 1e-7) | (column > 1 - 1e-7)).mean())
    if ends > TIES_ALLOWED:
        return f"{ends:.1%} are within 1e-7 of 0 or 1, where a float32 sigmoid saturates"
    if (values == values.astype(np.float32)).all() or (digits > 7 and _of_float32(sample)):
        return "the scores are float32, which has few steps near 1"
    if digits <= 9:
        return f"no score has more than {digits} digits: rounded when written"
    return None


def _of_float32(values: list[float]) -> bool:
    """Whether each value's text is the shortest of a float32, as most texts of seven digits are."""
    return all(float(str(np.float32(v))) == v for v in values)


def _digits(value: float) -> int:
    """Significant digits of the shortest decimal form."""
    return len(repr(value).partition("e")[0].replace(".", "").strip("0")) or 1


def _check_identical(varying: Columns, log: Log) -> None:
    pairs = combinations(varying, 2)
    same = [f"{a} and {b}" for a, b in pairs if np.array_equal(varying[a], varying[b])]
    remark = f"{'; '.join(same)} hold the same scores: fine if one run is meant for both"
    log.passed("score-identical", remark if same else "no two columns")


def _check_sorted(varying: Columns, log: Log) -> None:
    rows = len(next(iter(varying.values())))
    if rows < MANY_ROWS:
        return
    for name, column in varying.items():
        sample = column[:: max(1, rows // _SAMPLE)]
        rho = rank_correlation(np.arange(len(sample), dtype=np.float64), sample)
        if abs(rho) > _SORTED:
            what = f"{name} {'rises' if rho > 0 else 'falls'} along the file (rank correlation "
            todo = "the scores were sorted without their IDs: sort rows, not columns"
            log.warn("score-sorted", f"{what}{rho:.3f} with ID)", todo)
    log.passed("score-sorted", "no column follows the ID")
