"""Power means of probabilities: with exponent 1 the plain mean of probabilities.

Hardy, Littlewood & Polya, Inequalities (1934), chapter 2: (mean of p^r)^(1/r). A mean of logits
lets one confident run decide; these lean towards the highest probabilities (r > 1) or the lowest.
"""

from dataclasses import dataclass

import numpy as np

from mmctr_kit.data.folds import held_out
from mmctr_kit.ensemble.stack import OofRows
from mmctr_kit.metrics.binned_auc import BinnedAuc
from mmctr_kit.metrics.ranks import Floats

EXPONENTS = (-2.0, -1.0, 0.5, 2.0, 4.0)
"""The exponents that `PowerMean.choose` tries; 1 is a separate method, "probability"."""
CHOOSE_ROWS = 200_000
"""Rows (of whole users) that an exponent is chosen on."""
_HIGHEST = 700.0  # above it a float64 probability is 1
_BLOCK = 1 << 14


@dataclass(frozen=True)
class PowerMean:
    """(mean over runs of probability ** exponent) ** (1 / exponent), as a logit; exponent not 0."""

    exponent: float

    @classmethod
    def choose(cls, oof: OofRows, seed: int) -> "PowerMean":
        """The mean whose exponent of `EXPONENTS` has the best mean fold AUC on logits (m, rows)."""
        inside = np.flatnonzero(held_out(oof.user, CHOOSE_ROWS / len(oof.label), seed ^ 0x90_3E2))
        auc = BinnedAuc.of(oof.label[inside], oof.fold[inside])
        if auc is None:
            return cls(EXPONENTS[-1])
        sample = np.ascontiguousarray(oof.logits[:, inside])
        return max(map(cls, EXPONENTS), key=lambda mean: auc.of_scores(mean.apply(sample)))

    def apply(self, logits: Floats) -> Floats:
        """(rows,) logits from logits (m, rows), as exact near 0 and 1 as between them."""
        out = np.empty(logits.shape[1])
        for start in range(0, len(out), _BLOCK):  # intermediates stay in the CPU cache
            block = slice(start, start + _BLOCK)
            out[block] = self._block(logits[:, block])
        return out

    def _block(self, logits: Floats) -> Floats:
        # log p, and everything relative to its largest term: nothing over- or underflows.
        below = np.minimum(logits, _HIGHEST)
        log_p = np.minimum(below, 0.0) - np.log1p(np.exp(-np.abs(below)))
        end = log_p.max(axis=0) if self.exponent > 0.0 else log_p.min(axis=0)
        terms = np.expm1(self.exponent * (log_p - end))
        log_mean = end + np.log1p(terms.mean(axis=0)) / self.exponent
        return np.asarray(log_mean - np.log(-np.expm1(log_mean)))
