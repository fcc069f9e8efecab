"""A measured value with its standard error."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Estimate:
    """A number, its standard error, and the ``n`` things it was taken from (rows; GAUC: users).

    ``error`` is NaN where the data cannot tell it, as when one user holds all positives.
    """

    value: float
    error: float
    n: int

    def z(self, null: float) -> float:
        """How many errors the value lies above ``null``; 0 where both are equal, error or not."""
        gap = self.value - null
        if gap == 0.0:
            return 0.0
        return gap / self.error if self.error != 0.0 else math.copysign(math.inf, gap)

    def __str__(self) -> str:
        """Like ``0.9306 ± 0.0024``: four decimals, more where the error needs them."""
        places = self._places()
        return f"{self.value:.{places}f} ± {self.error:.{places}f}"

    def signed(self) -> str:
        """Like ``+0.0012 ± 0.0004``, for differences."""
        places = self._places()
        return f"{self.value:+.{places}f} ± {self.error:.{places}f}"

    def _places(self) -> int:
        if not (math.isfinite(self.error) and self.error > 1e-9):
            return 4  # rounding is no error to show digits of
        return min(max(4, 1 - math.floor(math.log10(self.error)) - 1), 9)


def recipe_error(sampling: Estimate, seed_values: Sequence[float]) -> float:
    """Error of a recipe's mean over seeds: sqrt(error^2 + variance between seeds / seeds).

    NaN for a single seed: how far seeds differ is then unknown, and as no comparison with NaN
    holds, such a result never counts as better by any number of errors.
    """
    if len(seed_values) < 2:
        return math.nan
    between = float(np.var(np.asarray(seed_values, dtype=np.float64), ddof=1))
    return math.sqrt(sampling.error**2 + between / len(seed_values))
