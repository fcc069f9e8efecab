"""When to give a trial up: by fold and epoch, against the other trials at the same place.

A fold's schedule is cut into quarters, so that trials of different epochs meet: what they are
compared by is the AUC of the held-out users when a quarter ends, and at a fold's end the mean AUC
of the folds so far, each of its own rows. All trials share folds and held-out users, so what these
few rows say is compared on the same rows.
"""

from collections.abc import Sequence

import numpy as np
import optuna

QUARTERS = 4
PEERS = 5
"""So many other trials must have come as far before one is given up."""

_SHARE = {False: 0.25, True: 0.5}
"""The share of its peers that a trial must not lie below: within a fold, and at its end."""


def step_of(fold: int, epoch: int, epochs: int) -> int | None:
    """The step that ends with this epoch (from 1); None within a quarter.

    The last quarter is the fold's end, step ``(fold + 1) * QUARTERS``, which comes when its own
    rows are predicted.
    """
    before, now = (QUARTERS * e // epochs for e in (epoch - 1, epoch))
    return fold * QUARTERS + now if before < now < QUARTERS else None


def fold_end(fold: int) -> int:
    """The step of a finished fold."""
    return (fold + 1) * QUARTERS


def why_give_up(study: optuna.Study, number: int, step: int, value: float) -> str | None:
    """Why the trial ``number`` with ``value`` at ``step`` is not worth going on with, or None."""
    trials = study.get_trials(deepcopy=False)
    peers = [
        t.intermediate_values[step]
        for t in trials
        if t.number != number and step in t.intermediate_values
    ]
    return below_peers(value, peers, ended=step % QUARTERS == 0)


def below_peers(value: float, peers: Sequence[float], ended: bool) -> str | None:
    """The reason where ``value`` lies too low among its peers: below their lower quartile within a
    fold, below their median at its end."""
    if len(peers) < PEERS:
        return None
    bound = float(np.quantile(peers, _SHARE[ended]))
    if value >= bound:
        return None
    kind = "the median" if ended else "the lower quartile"
    return f"AUC {value:.4f}, below {kind} {bound:.4f} of {len(peers)} trials there"
