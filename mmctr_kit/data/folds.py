"""Folds of the train rows, by user, by target item or by time, and what each fold's model may see.

- ``user``: a user's fold is a hash of the user id and a seed, and nothing else. So all rows of a
  user share a fold, the order and number of rows change nothing, and two data sets that share users
  share their folds.
- ``item``: the same with the target item. A predicted target is no target of a training row; it may
  occur in histories, and in rows that augmentation makes of them, as a new item of the challenge
  may. A user's rows are in several folds: :func:`shows_predicted` says what that forbids. If each
  user has a fixed share of positives, a model that memorises users by their histories expects what
  they have had already, and comes out a little below chance on noise.
- ``time``: the rows are cut into ``count`` + 1 blocks of about equal size, and rows of one time are
  in one block. Fold f is block f + 1, and its model is trained on the blocks before it. Nobody
  predicts the first block.
"""

from typing import Literal

import numpy as np

from mmctr_kit.data.contexts import cut_by_sum
from mmctr_kit.data.contract import TIME
from mmctr_kit.data.dataset import ChallengeData, Rows
from mmctr_kit.data.hashing import among, digest, distinct, splitmix64
from mmctr_kit.data.ragged import expand_ranges
from mmctr_kit.errors import DataError, plural
from mmctr_kit.metrics.ranks import Flags, Floats, Ids, Ints16, Uints

FoldsBy = Literal["user", "item", "time"]

WHOLE = -1
"""The fold of a model that is trained on the whole train split: nobody is in it."""

UNPREDICTED = -1
"""The fold of a row that nobody predicts. Only time folds have such rows."""

_ITEM_KEY = 0x17E3
_CHUNK_POSITIONS = 1 << 24


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
        return user_folds(rows.item_id, count, seed ^ _ITEM_KEY)
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


def trained_on(fold: Ints16, model: int) -> Flags:
    """(rows,) bool: which train rows, of these folds, the model of one fold may be trained on.

    They are those of the other folds. With time folds, which leave the first rows ``UNPREDICTED``,
    they are those of earlier folds.
    """
    return fold < model if (fold == UNPREDICTED).any() else fold != model


def shows_predicted(data: ChallengeData, predicted: Flags) -> Flags:
    """(train rows,) bool: whether a row's history shows a target of its user's ``predicted`` rows.

    If histories grow from row to row, such a row comes after a predicted row and gives away that
    its label is 1. No model of item folds is trained on it.
    """
    train, size = data.train, data.n_items + 1
    user = np.unique(train.user_id, return_inverse=True)[1]
    asked = distinct(user[predicted] * size + train.item_id[predicted])
    # Each history once for each user who has it.
    pairs, of_row = np.unique(user * len(data.histories) + train.history, return_inverse=True)
    owner, history = np.divmod(pairs, len(data.histories))
    begin, length = data.histories.offsets[history], data.histories.lengths[history]
    shows = np.zeros(len(pairs), np.bool_)
    for chunk in cut_by_sum(length, _CHUNK_POSITIONS):
        position, at = expand_ranges(begin[chunk], length[chunk])
        held = owner[chunk][at] * size + data.histories.values[position]
        shows[chunk.start + at[among(held, asked)]] = True
    return shows[of_row]


def held_out(user_id: Ids, share: float, seed: int) -> Flags:
    """(rows,) bool: True for about ``share`` of the users, chosen independently of their fold."""
    cut = np.uint64(min(int(share * 2**64), 2**64 - 1))
    return user_hash(user_id, seed ^ 0x5EED_0F_401D) < cut


def fold_fingerprint(fold: Ints16, by: FoldsBy = "user") -> str:
    """sha256 of a fold assignment (rows,), rows in canonical order."""
    return digest("" if by == "user" else by, fold=fold)
