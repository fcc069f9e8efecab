"""Logistic regression whose weights vary with a row's context: a linear gate for each run.

Feature-weighted linear stacking: Sill, Takacs, Mackey & Lin, arXiv 0911.0460 (2009).
"""

from dataclasses import dataclass, replace

import numpy as np

from mmctr_kit.data.folds import held_out
from mmctr_kit.ensemble.methods.average import WeightedMean
from mmctr_kit.ensemble.methods.logistic import least_logloss
from mmctr_kit.ensemble.methods.scale import PlattScaling
from mmctr_kit.ensemble.stack import OofRows
from mmctr_kit.metrics.ranks import Floats, Floats32

FIT_CELLS = 20_000_000
"""Rows times coefficients that are fitted on; if there are more, whole users are drawn."""
PRIOR_ROWS = 100.0
"""How many rows, for each run, the pull towards fixed weights is worth: copies do not loosen it."""
_FURTHEST = 3.0  # standard deviations: an outlying context moves the weights no further
_ROUNDING = 1e-6
_BLOCK = 1 << 15


@dataclass(frozen=True, eq=False)
class GatedMean:
    """The runs' logits weighed by ``mean``, and corrected by what context says of each run.

    With h (c,) the standardised context and x (m,) the centred logits of a row, its blended logit
    is slope * mean(x) + h @ gates @ x + h @ offsets + intercept. ``at`` holds these coefficients in
    this order. centre (m,) is of the logits, place and spread (c,) are of the context. A weight may
    be negative for some contexts: there the run is contrasted with the others.
    """

    mean: WeightedMean
    centre: Floats
    place: Floats
    spread: Floats
    at: Floats

    @classmethod
    def fit(cls, oof: OofRows, mean: WeightedMean, seed: int) -> "GatedMean":
        """Fit the gates around ``mean`` on OOF rows with context."""
        assert oof.context is not None
        runs, context, rows = len(oof.logits), len(oof.context), len(oof.label)
        size = 2 + context * (runs + 1)
        if size * rows > FIT_CELLS:
            share = FIT_CELLS / (size * rows)
            oof = oof.take(np.flatnonzero(held_out(oof.user, share, seed ^ 0x6A7E)))
        logits, features = oof.logits, np.asarray(oof.context, np.float64)
        place, spread = features.mean(axis=1), features.std(axis=1)
        spread[spread <= _ROUNDING * np.abs(place)] = np.inf  # a constant tells nothing
        gate = cls(mean, logits.mean(axis=1), place, spread, np.zeros(size))
        line = PlattScaling.fit(oof.label, mean.apply(logits - gate.centre[:, None]))
        gate.at[[0, -1]] = line.slope, line.intercept
        pull = np.diag(np.full(size, PRIOR_ROWS * runs))
        pull[[0, -1], [0, -1]] = 0.0
        lower = np.append(line.slope, np.full(size - 1, -np.inf))  # it may not turn around
        at = least_logloss(
            lambda block: gate._columns(logits[:, block], features[:, block]),
            oof.label,
            gate.at,
            pull,
            lower,
        )
        return replace(gate, at=at)

    def apply(self, logits: Floats, context: Floats32) -> Floats:
        """(rows,) blended logits from logits (m, rows) and context (c, rows)."""
        out = np.empty(logits.shape[1])
        for start in range(0, len(out), _BLOCK):
            block = slice(start, start + _BLOCK)
            out[block] = self.at @ self._columns(logits[:, block], context[:, block])
        return out

    def _columns(self, logits: Floats, context: Floats | Floats32) -> Floats:
        """(2 + c (m + 1), rows) the regressors."""
        x = logits - self.centre[:, None]
        h = np.clip((context - self.place[:, None]) / self.spread[:, None], -_FURTHEST, _FURTHEST)
        gates = (h[:, None] * x[None]).reshape(-1, x.shape[1])
        return np.vstack([self.mean.apply(x), gates, h, np.ones(x.shape[1])])
