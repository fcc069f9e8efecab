"""One scale for all runs: Platt's line fitted on OOF, rising for every run."""

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from mmctr_kit.metrics.calibration import logistic_line

MIN_SLOPE = 1e-3
"""Least slope per standard deviation: a run that says nothing is muted, never turned around."""


@dataclass(frozen=True)
class Line:
    """x -> slope * x + intercept, slope > 0."""

    slope: float
    intercept: float

    @classmethod
    def fit(
        cls, label: NDArray[np.bool_], logits: NDArray[np.float64], start: Self | None = None
    ) -> Self:
        """Platt's line of logits (n,) on labels (n,), through the mean where it would fall.

        ``start`` is a line from nearly the same rows, which saves most of the work.
        """
        begin = None if start is None else (start.slope, start.intercept)
        slope, intercept = logistic_line(label, logits, begin)
        spread = float(logits.std())
        least = MIN_SLOPE / spread if spread > 1e-12 else 1.0
        if slope < least:
            rate = (np.count_nonzero(label) + 1.0) / (len(label) + 2.0)
            slope = least
            intercept = float(np.log(rate / (1.0 - rate))) - slope * float(logits.mean())
        return cls(slope, intercept)

    def apply(self, logits: NDArray[np.float64]) -> NDArray[np.float64]:
        """Logits of any shape on the common scale."""
        return self.slope * logits + self.intercept


def fit_lines(
    label: NDArray[np.bool_], logits: NDArray[np.float64], start: list[Line] | None = None
) -> list[Line]:
    """One line for each run of logits (m, n)."""
    starts: list[Line | None] = [None] * len(logits) if start is None else [*start]
    return [Line.fit(label, x, begin) for x, begin in zip(logits, starts, strict=True)]


def apply_lines(lines: list[Line], logits: NDArray[np.float64]) -> NDArray[np.float64]:
    """(m, ...) logits, each run through its own line."""
    out = np.empty_like(logits)
    for line, x, to in zip(lines, logits, out, strict=True):
        np.multiply(x, line.slope, out=to)
        to += line.intercept
    return out
