"""Platt scaling that brings all runs to one scale: fitted on OOF, rising for every run."""

from dataclasses import dataclass
from typing import Self

import numpy as np

from mmctr_kit.metrics.calibration import logistic_line
from mmctr_kit.metrics.ranks import Flags, Floats

MIN_SLOPE = 1e-3
"""Least slope per standard deviation: an uninformative run is muted, never turned around."""


@dataclass(frozen=True)
class PlattScaling:
    """The map logit -> slope * logit + intercept, with slope > 0."""

    slope: float
    intercept: float

    @classmethod
    def fit(cls, label: Flags, logits: Floats, start: Self | None = None) -> Self:
        """Platt scaling of logits (n,) on labels (n,); if it would fall, nearly flat instead.

        ``start`` is a fit on nearly the same rows, which saves most of the work.
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

    def apply(self, logits: Floats) -> Floats:
        """Logits of any shape on the common scale."""
        return self.slope * logits + self.intercept


def fit_scalings(
    label: Flags, logits: Floats, start: list[PlattScaling] | None = None
) -> list[PlattScaling]:
    """One scaling for each run of logits (m, n)."""
    starts: list[PlattScaling | None] = [None] * len(logits) if start is None else [*start]
    return [PlattScaling.fit(label, x, begin) for x, begin in zip(logits, starts, strict=True)]


def apply_scalings(scalings: list[PlattScaling], logits: Floats) -> Floats:
    """(m, ...) logits, each run scaled by its own scaling."""
    out = np.empty_like(logits)
    for scaling, x, to in zip(scalings, logits, out, strict=True):
        np.multiply(x, scaling.slope, out=to)
        to += scaling.intercept
    return out
