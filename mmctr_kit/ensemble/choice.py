"""Which method ``auto`` uses: the plain mean unless another is clearly better."""

import math
from collections.abc import Mapping
from typing import Literal

import numpy as np

from mmctr_kit.ensemble.methods import Method
from mmctr_kit.errors import plural
from mmctr_kit.metrics.estimate import MIN_Z, Estimate, false_alarm, required_z
from mmctr_kit.metrics.ranks import Floats

CHANCE_Z = 3.0
"""Unless a method is this many standard errors above 0.5, there is no signal to choose by."""
_DRAWS = 100_000


def required_of_best(correlation: Floats) -> float:
    """How many standard errors the best of several differences must win by, if they correlate.

    correlation (k, k), of the estimates. The highest of k correlated normals exceeds it as often as
    one exceeds `MIN_Z` (max-T: Westfall & Young, Resampling-Based Multiple Testing, 1993), so k
    methods that agree cost less than Bonferroni's correction takes, and never more.
    """
    count = len(correlation)
    if count < 2:
        return MIN_Z
    values, vectors = np.linalg.eigh(correlation)
    root = vectors * np.sqrt(np.maximum(values, 0.0))
    highest = (np.random.default_rng(0).normal(size=(_DRAWS, count)) @ root.T).max(axis=1)
    quantile = float(np.quantile(highest, 1.0 - false_alarm(MIN_Z)))
    return min(max(quantile, MIN_Z), required_z(count))


def select_method(
    above_chance: Mapping[Method, float], differences: Mapping[Method, Estimate], needed: float
) -> tuple[Method, str]:
    """The method that ``auto`` uses, the plain mean unless another is better, and why.

    above_chance: how many standard errors each method's cross-fitted AUC lies above 0.5
    (:mod:`mmctr_kit.metrics.chance`); differences: of each other method to the mean, paired;
    needed: the standard errors that the best of them must win by.
    Of the methods that pass, the one with the largest difference is used. If nothing is clear of
    0.5, differences do not count: with fold models that only memorise, their SEs are too small.
    """
    if not differences:
        return "mean", "Only one run given, so the blend equals it."
    if not any(z > CHANCE_Z for z in above_chance.values()):
        why = f"no method's OOF AUC is {CHANCE_Z:.0f} standard errors above 0.5"
        if any(map(math.isnan, above_chance.values())):
            why = "the standard error of an OOF AUC cannot be had, and no other is clear of 0.5"
        return "mean", f"Kept the plain mean: {why}."
    passed = [name for name, d in differences.items() if d.z(0.0) > needed]
    best = max(passed or differences, key=lambda name: differences[name].value)
    gain, methods = differences[best], plural(len(differences), "method")
    corrected = f"after correcting for {methods}"
    if not passed:
        why = f"less than the {needed:.1f} standard errors required {corrected}"
        if math.isnan(gain.se):
            why = "which cannot be judged without a standard error"
        return "mean", f"Kept the plain mean: {best} is {gain.signed()} over it, {why}."
    z = f"{gain.z(0.0):.1f} standard errors; {needed:.1f} required {corrected}"
    higher = [name for name, d in differences.items() if d.value > gain.value]
    noise = f" Higher, but by less than required: {', '.join(higher)}." if higher else ""
    return best, f"Chose {best}: OOF AUC {gain.signed()} over the plain mean ({z}).{noise}"


def decide(
    method: Literal["auto"] | Method,
    above_chance: Mapping[Method, float],
    differences: Mapping[Method, Estimate],
    needed: float,
) -> tuple[Method, str]:
    """The method used, and one sentence that says why: :func:`select_method`, or as asked."""
    if method == "auto":
        return select_method(above_chance, differences, needed)
    if method == "mean":
        return method, "Used mean, as asked."
    gain = differences[method].signed()
    return method, f"Used {method}, as asked: OOF AUC {gain} over the plain mean."
