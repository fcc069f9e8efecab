"""Platt scaling that brings all runs to one scale: fitted on OOF, rising for every run."""

from dataclasses import dataclass
from typing import Self

import numpy as np

from mmctr_kit.metrics.calibration import logistic_line
from mmctr_kit.metrics.ranks import Flags, Floats

FAR = 30.0
"""A logit further than this many interquartile ranges from the quartiles counts as that far: one
of -3e6, which a network once gave a strange row, would flatten the scaling of all others."""
MIN_SLOPE = 1e-3
"""Least slope per standard deviation: an uninformative run is muted, never turned around."""


@dataclass(frozen=True)
class PlattScaling:
    """The map logit -> slope * logit + intercept, slope > 0, of logits in ``low`` to ``high``."""

    slope: float
    intercept: float
    low: float = -np.inf
    high: float = np.inf

    @classmethod
    def fit(cls, label: Flags, logits: Floats, start: Self | None = None) -> Self:
        """Platt scaling of logits (n,) on labels (n,); if it would fall, nearly flat instead.

        ``start`` is a fit on nearly the same rows, which saves most of the work.
        """
        quarter, most = np.quantile(logits, (0.25, 0.75))
        far = FAR * (most - quarter) or np.inf
        low, high = float(quarter - far), float(most + far)
        if logits.min() < low or logits.max() > high:
            logits = logits.clip(low, high)
        begin = None if start is None else (start.slope, start.intercept)
        slope, intercept = logistic_line(label, logits, begin)
        spread = float(logits.std())
        least = MIN_SLOPE / spread if spread > 1e-12 else 1.0
        if slope < least:
            rate = (np.count_nonzero(label) + 1.0) / (len(label) + 2.0)
            slope = least
            intercept = float(np.log(rate / (1.0 - rate))) - slope * float(logits.mean())
        return cls(slope, intercept, low, high)

    def apply(self, logits: Floats) -> Floats:
        """Logits of any shape on the common scale."""
        return self.slope * logits.clip(self.low, self.high) + self.intercept


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
        np.clip(x, scaling.low, scaling.high, out=to)
        to *= scaling.slope
        to += scaling.intercept
    return out
