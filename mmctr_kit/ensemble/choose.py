"""The rule of `auto`: the plain mean, unless another method is better beyond luck."""

from collections.abc import Mapping
from statistics import NormalDist
from typing import TypeVar

from mmctr_kit.metrics import Estimate

ERRORS = 2.0

M = TypeVar("M", bound=str)


def errors_needed(methods: int) -> float:
    """How many errors a method must win by when the best of ``methods`` is looked at.

    Bonferroni: `ERRORS` for one method, and the same chance of a false alarm for several.
    """
    chance = 1.0 - NormalDist().cdf(ERRORS)
    return NormalDist().inv_cdf(1.0 - chance / methods)


def choose(differences: Mapping[M, Estimate], plain: M) -> tuple[M, str]:
    """The method to use and one line that says why.

    differences: of each other method's cross-fitted AUC to that of ``plain``, paired. Of those
    that pass, the one with the largest difference is taken.
    """
    if not differences:
        return plain, f"{plain}: nothing else was tried"
    needed = errors_needed(len(differences))
    of = f"the {needed:.1f} errors needed for {len(differences)} methods"
    passed = [name for name, d in differences.items() if d.z(0.0) > needed]
    best = max(passed or differences, key=lambda name: differences[name].value)
    if passed:
        return best, f"{best}: {differences[best].signed()} over {plain}, above {of}"
    return plain, f"{plain}: {best} {differences[best].signed()}, under {of}"
