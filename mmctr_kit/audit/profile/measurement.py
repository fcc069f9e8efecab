"""What a probe measures, and the test of all measurements together.

A measurement's ``p`` is the probability of a value at least as extreme on leak-free data. There
are dozens of measurements, so the ``p`` are corrected by Holm's method (Scandinavian J. Stat. 6,
1979): the probability that leak-free data raises any suspicion stays under :data:`ALPHA`.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from scipy import stats

from mmctr_kit.metrics.estimate import Estimate

ALPHA = 0.01


@dataclass(frozen=True)
class Measurement:
    """One measurement of one probe.

    ``probe``      its id in PROBES
    ``where``      the split, or two of them, or the column
    ``value``      the value with its standard error; NaN if nothing could be measured
    ``clean``      the expected value on leak-free data
    ``tolerance``  deviations from ``clean`` within it are ignored, even if significant
    ``p``          the p-value before correction; 1 within ``tolerance``
    ``what``       one line of detail
    """

    probe: str
    where: str
    value: Estimate
    clean: float
    tolerance: float
    p: float
    what: str

    @classmethod
    def of(
        cls,
        probe: str,
        where: str,
        value: Estimate,
        tolerance: float,
        what: str,
        clean: float = 0.5,
        above: bool = False,
    ) -> "Measurement":
        """A normal value, as a rule an AUC; arguments as in :func:`normal_p`."""
        p = normal_p(value, clean, tolerance, above)
        return cls(probe, where, value, clean, tolerance, p, what)

    @classmethod
    def none(cls, probe: str, where: str, why: str) -> "Measurement":
        """A measurement that could not be made, and why."""
        return cls(probe, where, Estimate(math.nan, math.nan, 0), math.nan, 0.0, 1.0, why)

    def __str__(self) -> str:
        return f"{self.probe} ({self.where}): {self.what}"


@dataclass(frozen=True)
class TestResult:
    """A measurement, its ``p`` after Holm's correction, and whether that makes it a suspicion."""

    measurement: Measurement
    p_holm: float
    suspicious: bool


def holm_test(measurements: Sequence[Measurement]) -> list[TestResult]:
    """One result for each measurement, in their order."""
    n = len(measurements)
    corrected = [1.0] * n
    largest = 0.0
    for rank, i in enumerate(sorted(range(n), key=lambda i: measurements[i].p)):
        largest = max(largest, min(1.0, (n - rank) * measurements[i].p))
        corrected[i] = largest
    return [TestResult(m, p, p < ALPHA) for m, p in zip(measurements, corrected, strict=True)]


def normal_p(value: Estimate, clean: float, tolerance: float, above: bool = False) -> float:
    """The p-value of ``value``, normal, if the truth is within ``tolerance`` of ``clean``.

    ``above``: only values above ``clean`` count. 1 within ``tolerance``, and if the value or its
    standard error is not known.
    """
    gap = value.value - clean
    excess = (gap if above else abs(gap)) - tolerance
    if not excess > 0.0 or math.isnan(value.se):
        return 1.0
    if value.se == 0.0:
        return 0.0
    return math.erfc(excess / value.se / math.sqrt(2.0)) / (2.0 if above else 1.0)


def proportion(hits: int, n: int) -> Estimate:
    """``hits`` of ``n`` independent things, with the binomial standard error; NaN for none or all.

    None and all show no spread, from which one could tell it.
    """
    value = hits / n if n else math.nan
    known = 0 < hits < n
    return Estimate(value, math.sqrt(value * (1.0 - value) / n) if known else math.nan, n)


def poisson_p(hits: int, expected: float) -> float:
    """The chance of at least ``hits`` if ``expected`` are; 1 without any."""
    return float(stats.poisson.sf(hits - 1, expected)) if hits else 1.0


def percent(value: float) -> str:
    """``2.0 %``; a NaN is a dash."""
    return "-" if math.isnan(value) else f"{100 * value:.1f} %"
