"""What a fitted boosted model predicts if one of its features loses its meaning.

:mod:`mmctr_kit.runs.importance` makes a run's feature importance of it.
"""

from collections.abc import Callable

import numpy as np

from mmctr_kit.data.folds import user_uniform
from mmctr_kit.items import Bools, Floats32, Floats64, Ints
from mmctr_kit.training.learner import derive_seed

MOST_ROWS = 10_000
"""About how many valid rows are used at most: the challenge has as many. If there are more, only
the rows of some users are used, since each feature costs a prediction of every row."""
_SEED = 0x1F0

AddedBy = Callable[[int, Floats32], Floats64]
"""What the trees that split by a feature add to the logits of a matrix: (rows,)."""


def measured_rows(user_id: Ints) -> Ints:
    """The valid rows that importance is measured on: about ``MOST_ROWS``, all of a user or none."""
    if len(user_id) <= MOST_ROWS:
        return np.arange(len(user_id))
    return np.flatnonzero(user_uniform(user_id, _SEED) < MOST_ROWS / len(user_id))


def permuted_logits(matrix: Floats32, intact: Floats64, used: Bools, added_by: AddedBy) -> Floats64:
    """The logits (features, rows) with each feature's values permuted among the rows.

    ``matrix`` (rows, features), and its logits ``intact`` (rows,); ``used`` (features,) says which
    features the model looks at. A tree without the feature adds what it did, so only the others are
    asked again. The permutations depend on the feature's number and on how many rows there are, so
    that all models of a run see the same ones.
    """
    rows, features = matrix.shape
    logits = np.tile(intact, (features, 1))
    for feature in np.flatnonzero(used).tolist():
        order = np.random.default_rng(derive_seed(_SEED, feature)).permutation(rows)
        changed = matrix.copy()
        changed[:, feature] = matrix[order, feature]
        logits[feature] = intact - added_by(feature, matrix) + added_by(feature, changed)
    return logits
