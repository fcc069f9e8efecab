"""What is known of a row besides the runs' logits, and a stacker may trust a run by."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mmctr_kit.challenge.data import ChallengeData, Rows

FEATURES = ("likes_level", "views_level", "log history length", "log item popularity")


@dataclass(frozen=True, eq=False)
class Context:
    """c features of the rows: ``oof`` (c, n), ``valid`` (k, c, n_valid), ``test`` (k, c, n_test),
    float32, a row of valid or test once for each fold."""

    oof: NDArray[np.float32]
    valid: NDArray[np.float32]
    test: NDArray[np.float32]


def context_of(data: ChallengeData, fold: NDArray[np.int16]) -> Context:
    """`FEATURES` of the data's rows in canonical order; ``fold`` (n,) is that of its train rows.

    An item's popularity is that among the targets of the *other* folds' train rows, whatever their
    labels: a row of OOF does not count itself, and valid and test see in each fold's model what
    that fold's OOF rows saw.
    """
    folds = int(fold.max()) + 1
    item = data.train.item_id
    counts = np.stack(
        [np.bincount(item[fold != f], minlength=data.n_items + 1) for f in range(folds)]
    )
    popularity = np.log1p(counts * (folds / max(folds - 1, 1))).astype(np.float32)
    train = np.vstack([_plain(data, data.train), popularity[fold, item]])
    return Context(
        train, _all_folds(data, data.valid, popularity), _all_folds(data, data.test, popularity)
    )


def _plain(data: ChallengeData, rows: Rows) -> NDArray[np.float32]:
    length = np.log1p(data.histories.lengths[rows.history])
    return np.stack([rows.likes_level, rows.views_level, length]).astype(np.float32)


def _all_folds(
    data: ChallengeData, rows: Rows, popularity: NDArray[np.float32]
) -> NDArray[np.float32]:
    plain = _plain(data, rows)
    return np.stack([np.vstack([plain, counted[rows.item_id]]) for counted in popularity])
