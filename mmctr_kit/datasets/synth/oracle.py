"""The best possible score of a row, in closed form.

A user's group has 4 slots: one positive drawn from p, three negatives from q, drawn again as a
whole until the four are distinct and none is in the history; then the slots are shuffled. Let S be
the catalogue without the history, and A the items of the m slots that are seen. Then

    P(j is the positive, A seen)      ~  p_j prod(q_k, k in A other than j) E(4 - m)
    P(positive is not in A, A seen)   ~  (4 - m) prod(q_k, k in A) F(4 - m)

where E(h) sums q...q (h factors) and F(h) sums p q...q over all ordered h-tuples of distinct items
of S without A. Power sums give both by inclusion and exclusion. m = 1 is the row oracle (a row
scored alone), m = 4 the group oracle, which is a softmax of log p/q. p need not be normalised.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mmctr_kit.datasets.synth.presets import ROWS_PER_USER


@dataclass(frozen=True)
class PowerSums:
    """Sums over a set of items, one set an entry; float64 arrays of one shape (..., 1).

    ``p`` sum of p, ``pq`` of p q, ``pqq`` of p q^2, ``q`` of q, ``qq`` of q^2, ``qqq`` of q^3.
    """

    p: NDArray[np.float64]
    pq: NDArray[np.float64]
    pqq: NDArray[np.float64]
    q: NDArray[np.float64]
    qq: NDArray[np.float64]
    qqq: NDArray[np.float64]

    def __sub__(self, other: "PowerSums") -> "PowerSums":
        pairs = zip(vars(self).values(), vars(other).values(), strict=True)
        return PowerSums(*(a - b for a, b in pairs))

    def of(self, sets: slice) -> "PowerSums":
        """The sums over some of the sets."""
        return PowerSums(*(sums[sets] for sums in vars(self).values()))


def power_sums(p: NDArray[np.float64], q: NDArray[np.float64]) -> PowerSums:
    """Sums over the last axis, kept with length 1; an item of p = q = 0 counts as absent."""
    terms = (p, p * q, p * q * q, q, q * q, q * q * q)
    return PowerSums(*(t.sum(axis=-1, keepdims=True) for t in terms))


def row_log_odds(
    p: NDArray[np.float64], q: NDArray[np.float64], outside_history: PowerSums
) -> NDArray[np.float64]:
    """(users, m) float64: log odds that each row is the positive, no other row being known.

    ``p`` and ``q`` (users, m) float64 of the rows' items; ``outside_history`` (users, 1) sums over
    the catalogue without the user's history.
    """
    columns = range(p.shape[1])
    alone = [group_log_odds(p[:, [j]], q[:, [j]], outside_history) for j in columns]
    return np.concatenate(alone, axis=1)


def group_log_odds(
    p: NDArray[np.float64], q: NDArray[np.float64], outside_history: PowerSums
) -> NDArray[np.float64]:
    """(users, m) float64: log odds that each row is the positive, given a user's m rows.

    Arguments as in :func:`row_log_odds`; m of the group's 4 rows are seen.
    """
    hidden = ROWS_PER_USER - p.shape[1]
    ratio = p / q
    others = ratio.sum(axis=1, keepdims=True) - ratio
    if hidden:
        others += hidden * _tuple_ratio(outside_history - power_sums(p, q), hidden)
    log_odds: NDArray[np.float64] = np.log(ratio) - np.log(others)
    return log_odds


def _tuple_ratio(s: PowerSums, length: int) -> NDArray[np.float64]:
    """(users, 1) float64: F(length) / E(length) of the set that ``s`` sums over."""
    if length == 1:
        return s.p / s.q
    if length == 2:
        return (s.p * s.q - s.pq) / (s.q**2 - s.qq)
    mixed = s.p * s.q**2 - s.p * s.qq - 2 * s.pq * s.q + 2 * s.pqq
    return mixed / (s.q**3 - 3 * s.q * s.qq + 2 * s.qqq)
