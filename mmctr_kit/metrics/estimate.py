"""A measured value with its standard error."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import NormalDist
from typing import Any, Self

import numpy as np

from mmctr_kit.errors import RunError

MIN_Z = 2.0
"""How many standard errors above 0 a single comparison must lie to count as better."""
INTERVAL_Z = 1.96
"""Standard errors on either side of a 95 % confidence interval."""
DOUBT_Z = 2.0
"""A difference that is more than this many standard errors below 0 is warned of."""
UNKNOWN = "n/a"
"""What stands in a text for a standard error that cannot be had, and for what is counted in it."""
_ROUNDING = 1e-9
"""A standard error up to this is rounding: the value is exact, as of a score against itself."""


_STORED = ("value", "error")


@dataclass(frozen=True)
class Estimate:
    """A value, its standard error ``se``, and the number ``n`` of rows (GAUC: users) it is from.

    ``se`` is NaN if the data cannot tell it, as when one user holds all positives: texts then have
    :data:`UNKNOWN` in its place, and JSON null. All text of a standard error is made here.

    >>> gain = Estimate(0.0012, 0.0004, 10_000)
    >>> print(gain.signed(), "z =", round(gain.z(0.0), 1))
    +0.0012 ± 0.0004 z = 3.0
    """

    value: float
    se: float
    n: int

    def z(self, null: float) -> float:
        """How many standard errors the value lies above ``null``; 0 if the two are equal."""
        gap = self.value - null
        if gap == 0.0:
            return 0.0
        return gap / self.se if self.se != 0.0 else math.copysign(math.inf, gap)

    def z_text(self, null: float = 0.0) -> str:
        """Text like ``+2.1``: :meth:`z`, or ``n/a`` if the standard error cannot be had.

        >>> Estimate(0.0012, 0.0004, 10).z_text(), Estimate(0.0012, math.nan, 10).z_text()
        ('+3.0', 'n/a')
        """
        z = self.z(null)
        return f"{z:+.1f}" if math.isfinite(self.se) and abs(z) < 1e6 else UNKNOWN

    def interval(self) -> tuple[float, float]:
        """The 95 % confidence interval of a difference; NaN if the standard error is."""
        return self.value - INTERVAL_Z * self.se, self.value + INTERVAL_Z * self.se

    def share_interval(self) -> tuple[float, float]:
        """The 95 % confidence interval of a value from 0 to 1, such as an AUC, inside [0, 1].

        It is symmetric on the logit scale: logit(value) ± 1.96 se / (value (1 - value)). NaN if
        the standard error is; a value of 0 or 1 has no width.

        >>> [round(end, 4) for end in Estimate(0.98, 0.015, 50).share_interval()]
        [0.9162, 0.9955]
        """
        if math.isnan(self.se):
            return math.nan, math.nan
        if self.value in (0.0, 1.0):
            return self.value, self.value
        logit = math.log(self.value / (1 - self.value))
        reach = INTERVAL_Z * self.se / (self.value * (1 - self.value))
        low, high = (0.5 + 0.5 * math.tanh((logit + side * reach) / 2) for side in (-1, 1))
        return low, high

    def __str__(self) -> str:
        """Text like ``0.9306 ± 0.0024``: four decimals, more if the standard error needs them.

        That of an AUC or a share of 0 or 1 is 0 by its formula, since its rows show no scatter.

        >>> str(Estimate(0.7, math.nan, 10)), str(Estimate(1.0, 0.0, 10)), str(Estimate(0.5, 0, 10))
        ('0.7000 ± n/a', '1.0000 ± n/a', '0.5000 ± 0')
        """
        return self._text("")

    def signed(self) -> str:
        """Text like ``+0.0012 ± 0.0004``, for differences."""
        return self._text("+")

    def compact(self, signed: bool = False) -> str:
        """Text like ``0.9306 ±.0024``, for narrow tables."""
        return self._text("+" if signed else "").replace("± 0.", "±.")

    def percent(self) -> str:
        """Text like ``93.1 ± 0.2 %``, for shares."""
        se = math.nan if self._without_scatter else 100 * self.se
        return f"{Estimate(100 * self.value, se, self.n)._text('+', least=1).lstrip('+')} %"

    @property
    def _without_scatter(self) -> bool:
        return self.value in (0.0, 1.0) and self.se <= _ROUNDING

    def to_json(self) -> dict[str, Any]:
        """{value, error, n}, as run folders store it; a number that is not finite is null."""
        value, se = (x if math.isfinite(x) else None for x in (self.value, self.se))
        return {"value": value, "error": se, "n": self.n}

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> Self:
        """The estimate that :meth:`to_json` stored; RunError if it is none."""
        try:
            value, se = (math.nan if stored[k] is None else float(stored[k]) for k in _STORED)
            return cls(value, se, int(stored["n"]))
        except (KeyError, TypeError, ValueError, OverflowError) as e:
            found = f"{stored!r:.80}"
            raise RunError(f"expected a score as {{value, error, n}}; found {found}") from e

    @classmethod
    def find(cls, stored: Mapping[str, Any], name: str) -> Self | None:
        """The estimate ``name`` of a JSON object such as metrics.json; None if absent or null."""
        return cls.from_json(stored[name]) if stored.get(name) is not None else None

    def _text(self, sign: str, least: int = 4) -> str:
        exact = self.se <= _ROUNDING and (sign == "+" or not self._without_scatter)
        decimals, se = least, "0" if exact else UNKNOWN
        if _ROUNDING < self.se < math.inf:
            decimals = min(max(least, -math.floor(math.log10(self.se))), 9)
            se = f"{self.se:.{decimals}f}"
        return f"{self.value:{sign}.{decimals}f} ± {se}"


def mean_estimate(each: Sequence[Estimate]) -> Estimate:
    """Mean of estimates on the same rows; their standard errors count as fully correlated."""
    value, se = (float(np.mean(x)) for x in zip(*((e.value, e.se) for e in each), strict=True))
    return Estimate(value, se, each[0].n)


def recipe_estimate(per_seed: Sequence[Estimate]) -> Estimate:
    """A recipe's mean over seeds, with SE sqrt(mean SE**2 + variance between seeds / seeds).

    The SE of a single seed is NaN: how far seeds differ is then unknown, and as no comparison with
    NaN holds, such a result never counts as better.
    """
    mean = mean_estimate(per_seed)
    if len(per_seed) < 2:
        return replace(mean, se=math.nan)
    between = float(np.var([e.value for e in per_seed], ddof=1))
    return replace(mean, se=math.sqrt(mean.se**2 + between / len(per_seed)))


def required_z(comparisons: int) -> float:
    """How many standard errors the best of several comparisons must win by (Bonferroni).

    The chance of a false alarm stays that of one comparison at `MIN_Z`.

    >>> [round(required_z(n), 2) for n in (1, 8)]
    [2.0, 2.77]
    """
    return NormalDist().inv_cdf(1.0 - false_alarm(MIN_Z) / comparisons)


def false_alarm(z: float) -> float:
    """The chance that one comparison of equals wins by more than ``z`` standard errors."""
    return 1.0 - NormalDist().cdf(z)
