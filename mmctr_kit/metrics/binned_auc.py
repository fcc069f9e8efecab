"""A binned AUC that needs no sort: good enough to choose by, not to report."""

from dataclasses import dataclass

import numpy as np

from mmctr_kit.metrics.ranks import Flags, Floats, Ints, Ints16

_BINS = 1024
_REACH = 6.0


@dataclass(frozen=True)
class BinnedAuc:
    """Mean fold AUC of scores in equal bins, ties one half.

    The bins reach 6 standard deviations each way; scores beyond are tied.
    """

    cell: Ints  # (rows,) the first bin of the row's fold and class
    folds: int

    @classmethod
    def of(cls, label: Flags, fold: Ints16) -> "BinnedAuc | None":
        """None if no fold holds both classes; folds that lack one are left out."""
        count = np.bincount(fold * 2 + label, minlength=2).astype(np.intp)
        count = np.append(count, np.zeros(len(count) % 2, dtype=np.intp)).reshape(-1, 2)
        if not (count.min(axis=1) > 0).any():
            return None
        return cls((fold * 2 + label).astype(np.intp) * _BINS, len(count))

    def of_scores(self, scores: Floats) -> float:
        """AUC of scores (rows,)."""
        return float(self.of_sums(np.zeros(len(scores)), scores[None])[0])

    def of_sums(self, base: Floats, added: Floats) -> Floats:
        """(m,) AUCs of base (rows,) plus each of added (m, rows), in a few passes over each."""
        rows = len(base)
        centre = added.mean(axis=1) + base.mean()
        # From joint moments: they only set the width of the bins.
        square = np.einsum("mr,mr->m", added, added) + 2.0 * (added @ base) + base @ base
        spread = np.sqrt(np.maximum(square / rows - centre**2, 0.0))
        spread[spread <= 1e-9 * np.abs(centre)] = 1.0
        spread[spread == 0.0] = 1.0
        scale = _BINS / (2.0 * _REACH * spread)
        position, bins = np.empty(rows), np.empty(rows, np.intp)
        aucs = np.empty(len(added))
        for i, x in enumerate(added):
            np.add(base, x, out=position)
            position *= scale[i]
            position += _BINS / 2 - centre[i] * scale[i]
            np.clip(position, 0.0, _BINS - 1.0, out=position)
            np.copyto(bins, position, casting="unsafe")
            bins += self.cell
            counts = np.bincount(bins, minlength=self.folds * 2 * _BINS).astype(np.float64)
            negative, positive = np.moveaxis(counts.reshape(self.folds, 2, _BINS), 1, 0)
            below = np.cumsum(negative, axis=1) - negative / 2.0
            pairs = positive.sum(axis=1) * negative.sum(axis=1)
            full = pairs > 0
            aucs[i] = ((positive * below).sum(axis=1)[full] / pairs[full]).mean()
        return aucs
