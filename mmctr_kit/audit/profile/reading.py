"""What a probe reads off the data, and the verdict over all readings together.

A reading's ``p`` is the chance of so much under what the probe takes for clean data. There are
dozens of readings, so the ``p`` are corrected by Holm's method (Scandinavian J. Stat. 6, 1979):
the chance that clean data raises any suspicion at all stays under :data:`ALPHA`.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mmctr_kit.metrics.estimate import Estimate

ALPHA = 0.01


@dataclass(frozen=True)
class Reading:
    """One measurement of one probe.

    ``probe``  its id in PROBES
    ``where``  the split, or two of them, or the column
    ``value``  the measurement with its error; NaN where there was nothing to measure
    ``clean``  what the value is on clean data, and ``floor`` the distance from it that is no
               matter, however certain
    ``p``      the chance of such a value on clean data, before correction; 1 within ``floor``
    ``what``   one line of detail
    """

    probe: str
    where: str
    value: Estimate
    clean: float
    floor: float
    p: float
    what: str


@dataclass(frozen=True)
class Verdict:
    """A reading, its ``p`` after Holm's correction, and whether that makes it a suspicion."""

    reading: Reading
    p_holm: float
    suspicious: bool


def judge(readings: Sequence[Reading]) -> list[Verdict]:
    """A verdict a reading, in their order."""
    order = sorted(range(len(readings)), key=lambda i: readings[i].p)
    corrected = [1.0] * len(readings)
    largest = 0.0
    for rank, i in enumerate(order):
        largest = max(largest, min(1.0, (len(readings) - rank) * readings[i].p))
        corrected[i] = largest
    return [Verdict(reading, p, p < ALPHA) for reading, p in zip(readings, corrected, strict=True)]


def beyond(value: Estimate, clean: float, floor: float, above: bool = False) -> float:
    """The chance that a value whose truth is within ``floor`` of ``clean`` is read so far off it.

    Normal. ``above``: only values above ``clean`` count. 1 within ``floor``, and where the value
    or its error is not known.
    """
    gap = value.value - clean
    excess = (gap if above else abs(gap)) - floor
    if not excess > 0.0 or math.isnan(value.se):
        return 1.0
    if value.se == 0.0:
        return 0.0
    return math.erfc(excess / value.se / math.sqrt(2.0)) / (2.0 if above else 1.0)


def auc_reading(
    probe: str, where: str, value: Estimate, floor: float, what: str, above: bool = False
) -> Reading:
    """A reading of an AUC, which is 0.5 on clean data; ``floor`` and ``above`` as in beyond."""
    return Reading(probe, where, value, 0.5, floor, beyond(value, 0.5, floor, above), what)


def share(hits: int, n: int) -> Estimate:
    """``hits`` of ``n`` independent things, with the binomial error."""
    if n == 0:
        return Estimate(math.nan, math.nan, 0)
    value = hits / n
    return Estimate(value, math.sqrt(value * (1.0 - value) / n), n)


def nothing(probe: str, where: str, why: str) -> Reading:
    """A reading where there is nothing to measure."""
    return Reading(probe, where, Estimate(math.nan, math.nan, 0), math.nan, 0.0, 1.0, why)


def percent(value: float) -> str:
    """``2.0 %``; a NaN is a dash."""
    return "-" if np.isnan(value) else f"{100 * value:.1f} %"
