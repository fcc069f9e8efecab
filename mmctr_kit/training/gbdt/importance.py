"""What a fitted boosted model predicts if one of its features loses its meaning.

:mod:`mmctr_kit.runs.importance` makes a run's feature importance of it.
"""

from collections.abc import Callable

import numpy as np

from mmctr_kit.data.folds import user_uniform
from mmctr_kit.items import Bools, Floats32, Floats64, Ints
from mmctr_kit.training.learner import derive_seed

MOST_ROWS = 10_000
"""As many valid rows as the challenge has. Of more, the rows of some users are taken, since each
feature costs a prediction of all of them."""
_CHUNK_VALUES = 1 << 24
_SEED = 0x1F0


def measured_rows(user_id: Ints) -> Ints:
    """The valid rows that importance is measured on: about ``MOST_ROWS``, all of a user or none."""
    if len(user_id) <= MOST_ROWS:
        return np.arange(len(user_id))
    return np.flatnonzero(user_uniform(user_id, _SEED) < MOST_ROWS / len(user_id))


def permuted_logits(
    matrix: Floats32, used: Bools, predict: Callable[[Floats32], Floats64]
) -> Floats32:
    """The logits (features, rows) with each feature's values permuted among the rows.

    ``matrix`` (rows, features); ``used`` (features,) says which the model looks at: permuting any
    other changes nothing. The permutations depend on the feature's number and on how many rows
    there are, so that all models of a run see the same ones.
    """
    rows, features = matrix.shape
    logits = np.tile(predict(matrix).astype(np.float32), (features, 1))
    chosen = np.flatnonzero(used)
    size = max(1, _CHUNK_VALUES // max(1, matrix.size))
    for begin in range(0, len(chosen), size):
        some = chosen[begin : begin + size]
        changed = np.tile(matrix, (len(some), 1))
        for number, feature in enumerate(some.tolist()):
            order = np.random.default_rng(derive_seed(_SEED, feature)).permutation(rows)
            changed[number * rows : (number + 1) * rows, feature] = matrix[order, feature]
        logits[some] = predict(changed).reshape(len(some), rows)
    return logits
