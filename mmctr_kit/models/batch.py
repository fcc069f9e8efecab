"""What every model is given: a batch of rows with packed histories."""

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class Batch:
    """B rows and the P history positions of all of them, one after another.

    Per row: ``item`` (B,) the target, ``likes_level`` and ``views_level`` (B,), ``user`` (B,) a
    number in 1..n_users, or 0 for a user the model was not trained on, ``offsets`` (B + 1,) where
    each row's positions begin and end. Per position: ``history`` (P,) the item,
    oldest first within a row, and ``row`` (P,) the row it belongs to, never decreasing. All int32
    or int64. Collaborative signals, float32 of about unit size, of width 0 where the recipe has
    none: ``signals`` (P, S) of each position, ``row_signals`` (B, R) of each row. There is no
    padding; a position whose ``row`` is B (they come last, after
    ``offsets[B]``) is a dummy that only fills a fixed size, and changes nothing.
    """

    item: Tensor
    likes_level: Tensor
    views_level: Tensor
    user: Tensor
    history: Tensor
    row: Tensor
    offsets: Tensor
    signals: Tensor
    row_signals: Tensor
