"""Folds of the train rows, by user, by target item or by time, and what each fold's model may see.

- ``user``: a user's fold is a hash of the user id and a seed, and nothing else. So all rows of a
  user share a fold, the order and number of rows change nothing, and two data sets that share users
  share their folds.
- ``item``: new items to new users. Users are in folds as above, items likewise, and the model of
  fold f is asked for the rows whose user and target item are both in f: one row in ``count``. It is
  trained on no row of a user or target item that it is asked for. A target may occur in histories,
  and in rows that augmentation makes of them, as a new item of the challenge may. Were its users
  not new as well, the fixed share of positives of a user would tell it what is left for them.
- ``time``: the rows are cut into ``count`` + 1 blocks of about equal size, and rows of one time are
  in one block. Fold f is block f + 1, and its model is trained on the blocks before it. Nobody
  predicts the first block.
"""

from itertools import pairwise

import numpy as np

from mmctr_kit.data.contract import TIME, FoldsBy
from mmctr_kit.data.dataset import Rows
from mmctr_kit.data.hashing import among, digest, distinct, splitmix64
from mmctr_kit.errors import DataError, plural
from mmctr_kit.metrics.ranks import Flags, Floats, Ids, Ints16, Uints

WHOLE = -1
"""The fold of a model that is trained on the whole train split: nobody is in it."""

UNPREDICTED = -1
"""The fold of a row that nobody predicts; folds by user have no such rows."""

_ITEM_KEY = 0x17E3


def user_hash(user_id: Ids, seed: int) -> Uints:
    """(rows,) uint64: SplitMix64 (Steele, Lea, Flood 2014) of the user id, keyed by ``seed``."""
    with np.errstate(over="ignore"):
        key = splitmix64(np.array([seed], dtype=np.int64).astype(np.uint64))
        return splitmix64(np.asarray(user_id).astype(np.int64).astype(np.uint64) ^ key)


def user_uniform(user_id: Ids, seed: int) -> Floats:
    """(rows,) float64 in [0, 1]: the user's hash as a draw, the same for all rows of a user."""
    return user_hash(user_id, seed).astype(np.float64) / 2.0**64


def user_folds(user_id: Ids, count: int, seed: int) -> Ints16:
    """(rows,) int16 in [0, count): each row's fold, the same for all rows of a user."""
    if count < 2:
        raise ValueError(f"folds need a count of at least 2, found {count}")
    return (user_hash(user_id, seed) % np.uint64(count)).astype(np.int16)


def assign_folds(rows: Rows, by: FoldsBy, count: int, seed: int) -> Ints16:
    """(rows,) int16: the fold of each train row, in [0, count) or ``UNPREDICTED``.

    ``seed`` does nothing to time folds. Raises DataError if they lack times, or enough of them.
    """
    if by == "user":
        return user_folds(rows.user_id, count, seed)
    if by == "item":
        of_user = user_folds(rows.user_id, count, seed)
        same = of_user == user_folds(rows.item_id, count, seed ^ _ITEM_KEY)
        return np.where(same, of_user, np.int16(UNPREDICTED))
    if rows.time is None:
        raise DataError(
            f"folds.by is time, but the data have no column {TIME}; write it into train, valid and "
            "test (milliseconds since 1970-01-01 UTC), or set folds.by=user"
        )
    ordered, blocks = np.sort(rows.time), count + 1
    begins = ordered[[len(ordered) * block // blocks for block in range(1, blocks)]]
    if len(distinct(np.append(ordered[0], begins))) < blocks:
        times = plural(len(distinct(ordered)), "distinct time")
        raise DataError(
            f"folds.by is time, but the {plural(len(ordered), 'train row')} at {times} cannot be "
            f"cut into {blocks} blocks of about equal size; set folds.count lower, or folds.by=user"
        )
    return (np.searchsorted(begins, rows.time, side="right") - 1).astype(np.int16)


def trained_on(rows: Rows, fold: Ints16, model: int) -> Flags:
    """(rows,) bool: which train rows, of these folds, the model of one fold may be trained on.

    They are those of the other folds; with time folds those of earlier ones; with item folds those
    of neither a user nor a target item that the model predicts.
    """
    predicted = np.asarray(fold == model)
    if (fold != UNPREDICTED).all():
        return ~predicted
    if _follow_in_time(rows, fold):
        return np.asarray(fold < model)
    asked = _among_those(rows.user_id, predicted) | _among_those(rows.item_id, predicted)
    return np.asarray(~asked)


def _among_those(ids: Ids, rows: Flags) -> Flags:
    wide = np.asarray(ids, np.int64)
    return among(wide, distinct(wide[rows]))


def _follow_in_time(rows: Rows, fold: Ints16) -> bool:
    """Whether each fold is later than those before it, and than what nobody predicts."""
    if rows.time is None:
        return False
    times = [rows.time[fold == f] for f in range(UNPREDICTED, int(fold.max()) + 1)]
    ends = [(time.min(), time.max()) for time in times if len(time)]
    return all(before[1] < after[0] for before, after in pairwise(ends))


def held_out(user_id: Ids, share: float, seed: int) -> Flags:
    """(rows,) bool: True for about ``share`` of the users, chosen independently of their fold."""
    cut = np.uint64(min(int(share * 2**64), 2**64 - 1))
    return user_hash(user_id, seed ^ 0x5EED_0F_401D) < cut


def fold_fingerprint(fold: Ints16, by: FoldsBy = "user") -> str:
    """sha256 of a fold assignment (rows,), rows in canonical order."""
    return digest("" if by == "user" else by, fold=fold)
