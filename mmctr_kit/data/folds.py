"""User-grouped folds: a user's fold is a hash of the user id and a seed, and nothing else.

So all rows of a user share a fold, the order and number of rows change nothing, and two data
sets that share users share their folds.
"""

import numpy as np

from mmctr_kit.data.hashing import digest, splitmix64
from mmctr_kit.metrics.ranks import Flags, Floats, Ids, Ints16, Uints

WHOLE = -1
"""The fold of a model that is trained on the whole train split: nobody is in it."""


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


def held_out(user_id: Ids, share: float, seed: int) -> Flags:
    """(rows,) bool: True for about ``share`` of the users, chosen independently of their fold."""
    cut = np.uint64(min(int(share * 2**64), 2**64 - 1))
    return user_hash(user_id, seed ^ 0x5EED_0F_401D) < cut


def fold_fingerprint(fold: Ints16) -> str:
    """sha256 of a fold assignment (rows,), rows in canonical order."""
    return digest("", fold=fold)
