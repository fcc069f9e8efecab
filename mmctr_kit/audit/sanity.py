"""Cheap sanity checks on loaded data, shown before training starts."""

import numpy as np

from mmctr_kit.data.contract import FoldsBy
from mmctr_kit.data.dataset import ChallengeData

MOSTLY_EMPTY = 0.5
"""Share of a split's histories from which empty ones are no new users any more."""


def training_warnings(data: ChallengeData) -> list[str]:
    """One line for each thing in the loaded data that makes hours of training vain."""
    empty = data.histories.lengths == 0
    shares = {split: float(np.mean(empty[rows.history])) for split, rows in data.rows.items()}
    mostly_empty = [f"{share:.1%} in {s}" for s, share in shares.items() if share > MOSTLY_EMPTY]
    if not mostly_empty:
        return []
    return [
        f"most histories are empty: {', '.join(mostly_empty)}; cut at the left end, which is "
        f"padding? ('mmctr-kit data check {data.folder}')"
    ]


def fold_warning(data: ChallengeData, by: FoldsBy) -> str | None:
    """One line if fold models are to be judged otherwise than valid and test judge them, in time.

    Folds by user on data that is split by time train on weeks in which they predict.
    """
    if by != "user" or not data.split_by_time:
        return None
    return (
        "valid and test come after train in time, but folds.by is user: fold models learn from the "
        "weeks that they predict, and OOF is too easy; use --set folds.by=time"
    )
