"""An AUC that needs no sort: good enough to choose by, not to report."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_BINS = 1024
_REACH = 6.0


@dataclass(frozen=True)
class BinnedAuc:
    """Mean fold AUC of scores cut into equal bins, ties one half: it needs no sort.

    The bins reach 6 standard deviations each way; what lies beyond is tied. Good enough to choose
    by, not to report.
    """

    cell: NDArray[np.intp]  # (rows,) where the histogram of the row's fold and class begins
    folds: int

    @classmethod
    def of(cls, label: NDArray[np.bool_], fold: NDArray[np.int16]) -> "BinnedAuc | None":
        """None where no fold holds both classes; folds that lack one are left out."""
        count = np.bincount(fold * 2 + label, minlength=2).astype(np.intp)
        count = np.append(count, np.zeros(len(count) % 2, dtype=np.intp)).reshape(-1, 2)
        if not (count.min(axis=1) > 0).any():
            return None
        return cls((fold * 2 + label).astype(np.intp) * _BINS, len(count))

    def of_scores(self, scores: NDArray[np.float64]) -> float:
        """AUC of scores (rows,)."""
        spread = float(scores.std())
        width = 2.0 * _REACH * (spread if spread > 0.0 else 1.0) / _BINS
        bins = ((scores - scores.mean()) / width + _BINS / 2).astype(np.intp)
        np.clip(bins, 0, _BINS - 1, out=bins)
        bins += self.cell
        counts = np.bincount(bins, minlength=self.folds * 2 * _BINS).astype(np.float64)
        negative, positive = np.moveaxis(counts.reshape(self.folds, 2, _BINS), 1, 0)
        below = np.cumsum(negative, axis=1) - negative / 2.0
        pairs = positive.sum(axis=1) * negative.sum(axis=1)
        full = pairs > 0
        return float(((positive * below).sum(axis=1)[full] / pairs[full]).mean())
