"""What every model is given: a batch of rows with packed histories."""

from dataclasses import dataclass, replace
from typing import Any

import torch
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

    ``buckets`` is what is known beforehand of the histories' lengths: pairs (rows, length), the
    first ``rows`` rows having at most ``length`` items each, and so on to B rows; empty where
    nothing is known. It says nothing about the rows that their histories do not, so a model may
    save work by it, and no output depends on it.
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
    buckets: tuple[tuple[int, int], ...] = ()

    @property
    def tensors(self) -> dict[str, Tensor]:
        """All that is a tensor, by name."""
        return {k: v for k, v in vars(self).items() if isinstance(v, Tensor)}

    def to(self, device: torch.device | str) -> "Batch":
        """The same on another device."""
        there: dict[str, Any] = {k: v.to(device) for k, v in self.tensors.items()}
        return replace(self, **there)
