"""Cheap sanity checks on loaded data, shown before training starts."""

import numpy as np

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
