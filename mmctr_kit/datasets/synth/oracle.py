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

import numpy as np

from mmctr_kit.datasets.synth.presets import ROWS_PER_USER
from mmctr_kit.metrics.ranks import Floats


def power_sums(p: Floats, q: Floats) -> Floats:
    """(6, ..., 1): sums of p, p q, p q^2, q, q^2 and q^3 over the last axis of ``p`` and ``q``.

    An item of p = q = 0 counts as absent.
    """
    terms = (p, p * q, p * q * q, q, q * q, q * q * q)
    return np.stack([t.sum(axis=-1, keepdims=True) for t in terms])


def row_log_odds(p: Floats, q: Floats, outside_history: Floats) -> Floats:
    """(users, m) float64: log odds that each row is the positive, no other row being known.

    ``p`` and ``q`` (users, m) float64 of the rows' items; ``outside_history`` (6, users, 1), the
    power sums over the catalogue without the user's history.
    """
    columns = range(p.shape[1])
    alone = [group_log_odds(p[:, [j]], q[:, [j]], outside_history) for j in columns]
    return np.concatenate(alone, axis=1)


def group_log_odds(p: Floats, q: Floats, outside_history: Floats) -> Floats:
    """(users, m) float64: log odds that each row is the positive, given a user's m rows.

    Arguments as in :func:`row_log_odds`; m of the group's 4 rows are seen.
    """
    hidden = ROWS_PER_USER - p.shape[1]
    ratio = p / q
    others = ratio.sum(axis=1, keepdims=True) - ratio
    if hidden:
        others += hidden * _tuple_ratio(outside_history - power_sums(p, q), hidden)
    log_odds: Floats = np.log(ratio) - np.log(others)
    return log_odds


def _tuple_ratio(sums: Floats, length: int) -> Floats:
    """(users, 1) float64: F(length) / E(length) of the set with these power sums."""
    p, pq, pqq, q, qq, qqq = sums
    if length == 1:
        return np.asarray(p / q)
    if length == 2:
        return np.asarray((p * q - pq) / (q**2 - qq))
    mixed = p * q**2 - p * qq - 2 * pq * q + 2 * pqq
    return np.asarray(mixed / (q**3 - 3 * q * qq + 2 * qqq))
