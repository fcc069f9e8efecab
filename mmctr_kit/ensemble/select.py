"""The rule of `auto`: the plain mean, unless another method is better beyond luck."""

from collections.abc import Mapping
from typing import TypeVar

from mmctr_kit.errors import plural
from mmctr_kit.metrics.chance import errors_needed
from mmctr_kit.metrics.estimate import Estimate

CHANCE_ERRORS = 3.0
"""Unless some method lies this many errors above 0.5, there is no signal to choose by."""

M = TypeVar("M", bound=str)


def choose(
    above_chance: Mapping[M, float], differences: Mapping[M, Estimate], plain: M
) -> tuple[M, str]:
    """The method to use and one line that says why.

    above_chance: how many errors each method's cross-fitted AUC lies above 0.5, ``plain``'s among
    them (:mod:`mmctr_kit.metrics.chance`); differences: of each other method to ``plain``, paired.
    Of those that pass, the one with the largest difference is taken. Where nothing is clear of 0.5,
    differences are not looked at: of fold models that only memorise, their errors are too small.
    """
    if not differences:
        return plain, f"{plain}: nothing else was tried"
    if not any(errors > CHANCE_ERRORS for errors in above_chance.values()):
        return plain, f"{plain}: no method's AUC is {CHANCE_ERRORS:.0f} errors above 0.5"
    needed = errors_needed(len(differences))
    of = f"the {needed:.1f} errors needed for {plural(len(differences), 'method')}"
    passed = [name for name, d in differences.items() if d.z(0.0) > needed]
    best = max(passed or differences, key=lambda name: differences[name].value)
    if passed:
        return best, f"{best}: {differences[best].signed()} over {plain}, above {of}"
    return plain, f"{plain}: {best} {differences[best].signed()}, under {of}"
