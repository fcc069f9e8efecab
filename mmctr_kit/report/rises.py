"""How much fold models still gained when their training ended."""

import numpy as np

from mmctr_kit.metrics import Estimate
from mmctr_kit.runs import Run

SURE = 3.0
"""A rise must lie so many errors above 0: of three folds, the error itself is roughly known."""

WORTH = 0.0005
"""A smaller rise of AUC in an epoch is not worth the time of as many epochs again."""


def last_rise(run: Run) -> Estimate | None:
    """The held-out AUC of the last epoch less that of the one before, mean over fold models, with
    the error by which they differ; None where none was trained for two epochs. Of one fold model
    the error is not known, and infinite."""
    rises = [
        lines[-1]["holdout_auc"] - lines[-2]["holdout_auc"]
        for lines in run.epochs().values()
        if len(lines) > 1
    ]
    if not rises:
        return None
    n = len(rises)
    error = float(np.std(rises, ddof=1) / np.sqrt(n)) if n > 1 else float("inf")
    return Estimate(float(np.mean(rises)), error, n)


def still_rising(rise: Estimate) -> bool:
    """Whether more epochs would be likely to help."""
    return rise.value >= WORTH and rise.value > SURE * rise.error
