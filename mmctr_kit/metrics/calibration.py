"""Calibration of logits: how far they are from probabilities, and Platt's recalibration."""

import math
from dataclasses import dataclass

import numpy as np

from mmctr_kit.metrics.ranks import Flags, Floats, Ints, Labels

_NEWTON_STEPS = 50
_HALVINGS = 30
_SETTLED = 1e-14
_BLOCK = 1 << 15  # rows at a time, so that intermediates stay in the CPU cache


@dataclass(frozen=True)
class Calibration:
    """The result of `calibration`; the arrays have one value a bin, for a reliability diagram.

    ece: expected calibration error, in probability; slope and intercept: of the logistic
    recalibration logit p = intercept + slope * logit (1 and 0 if it needs none).
    """

    ece: float
    mean_prediction: float
    mean_label: float
    slope: float
    intercept: float
    bin_prediction: Floats
    bin_label: Floats
    bin_rows: Ints

    @property
    def ratio(self) -> float:
        """Mean prediction over mean label: 1 if the level is right."""
        return self.mean_prediction / self.mean_label if self.mean_label else math.inf


def sigmoid(logits: Floats) -> Floats:
    """1 / (1 + exp(-logit)), without overflow."""
    return np.asarray(0.5 * np.tanh(0.5 * logits) + 0.5)


def calibration(labels: Labels, logits: Floats, bins: int = 10) -> Calibration:
    """Calibration of logits (n,) against labels (n,) 0/1, in bins as equal in size as ties allow.

    ECE (Guo et al., ICML 2017) = sum over bins of share * |mean label - mean prediction|; equal
    logits share a bin, empty bins are dropped. Slope and intercept as Cox (Biometrika 45, 1958).
    """
    positive = np.asarray(labels) == 1
    if len(positive) == 0 or positive.shape != logits.shape or not np.isfinite(logits).all():
        raise ValueError(
            f"calibration needs one finite logit a label, not {logits.shape} for {positive.shape}"
        )
    ordered = np.sort(logits)
    cuts = ordered[(np.arange(1, bins) * len(ordered)) // bins]
    of = np.searchsorted(cuts, logits, side="right")
    probability = sigmoid(logits)
    rows = np.bincount(of, minlength=bins)
    full = rows > 0
    rows = rows[full]
    bin_prediction = np.bincount(of, probability, bins)[full] / rows
    bin_label = np.bincount(of, positive, bins)[full] / rows
    ece = float(rows @ np.abs(bin_label - bin_prediction)) / len(logits)
    means = float(probability.mean()), float(positive.mean())
    line = logistic_line(positive, logits)
    return Calibration(ece, *means, *line, bin_prediction, bin_label, rows)


def ece_by_chance(mean_prediction: float, rows: int, bins: int = 10) -> float:
    """About the largest ECE that a calibrated model shows by chance alone in so few rows.

    1.2 sqrt(p (1 - p) bins / rows), p the mean prediction: the mean of the half-normal gaps of all
    bins and two of its standard deviations. Of 300 simulated calibrated models at each of 12 sizes
    and levels, 0 to 3.3 % were above it. An ECE is above 0 by chance, so that it has no standard
    error here.

    >>> round(ece_by_chance(0.25, 400), 3)
    0.082
    """
    spread = mean_prediction * (1.0 - mean_prediction) * min(bins, rows) / rows
    return 1.2 * math.sqrt(spread)


def logistic_line(
    labels: Flags, logits: Floats, start: tuple[float, float] | None = None
) -> tuple[float, float]:
    """Slope and intercept of the logistic regression of labels (n,) on logits (n,).

    Platt's targets (P+1)/(P+2) and 1/(N+2) keep it finite if the classes separate (Platt 1999;
    Lin, Lin & Weng 2007). Newton steps, halved if they overshoot; ``start`` is a (slope,
    intercept) to begin from. Constant logits give slope 0.
    """
    positives = int(np.count_nonzero(labels))
    low = 1.0 / (len(labels) - positives + 2)
    target = np.where(labels, (positives + 1.0) / (positives + 2.0), low)
    centre, spread = float(logits.mean()), float(logits.std())
    level = float(target.mean())
    if spread <= 1e-12 * max(1.0, abs(centre)):
        return 0.0, math.log(level / (1.0 - level))
    x = (logits - centre) / spread
    b, c = 0.0, math.log(level / (1.0 - level))
    if start is not None:
        b, c = start[0] * spread, start[1] + start[0] * centre
    gradient, hessian = _slopes(x, target, b, c)
    for _ in range(_NEWTON_STEPS):
        step = np.linalg.solve(hessian, gradient)
        downhill = float(step @ gradient)
        if downhill <= _SETTLED:  # converged: this last step squares the rest
            b, c = b - step[0], c - step[1]
            break
        share = 1.0
        for _ in range(_HALVINGS):
            tried = (b - share * step[0], c - share * step[1])
            gradient, hessian = _slopes(x, target, *tried)
            # Convex along the step: a slope as steep on the far side means it went too far.
            if float(step @ gradient) >= -downhill:
                break
            share /= 2.0
        b, c = tried
    return float(b / spread), float(c - b * centre / spread)


def _slopes(x: Floats, target: Floats, b: float, c: float) -> tuple[Floats, Floats]:
    """Gradient and Hessian of the mean logloss per row in (b, c), x standardised."""
    n = len(x)
    down_b = down_c = bb = bc = cc = 0.0
    for start in range(0, n, _BLOCK):
        u = x[start : start + _BLOCK]
        p = sigmoid(b * u + c)
        off = p - target[start : start + _BLOCK]
        weight = p * (1.0 - p)
        weighted = weight * u
        down_b += float(off @ u)
        down_c += float(off.sum())
        bb += float(weighted @ u)
        bc += float(weighted.sum())
        cc += float(weight.sum())
    ridge = 1e-12  # if all probabilities saturate the Hessian would vanish
    hessian = np.array([[bb / n + ridge, bc / n], [bc / n, cc / n + ridge]])
    return np.array([down_b, down_c]) / n, hessian
