"""The input of every neural model: a batch of rows with packed histories."""

from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor


@dataclass(frozen=True)
class Batch:
    """B rows and their P history positions, one row's positions after another's.

    Integers (int32 or int64) of a row: ``item`` (B,) the target; ``likes_level`` and
    ``views_level`` (B,); ``user`` (B,) in 1..n_users, 0 for a user the model was not trained on;
    ``offsets`` (B + 1,), row r's positions being ``offsets[r]`` to ``offsets[r + 1]``. Integers of
    a position: ``history`` (P,) the item, oldest first within a row; ``row`` (P,) its row, never
    decreasing. Collaborative signals, float32 of about unit size: ``signals`` (P, S),
    ``row_signals`` (B, R), of width 0 if the recipe has none.

    There is no padding. Positions from ``offsets[B]`` on, whose ``row`` is B, are dummies: they
    only fill a fixed size and must change nothing. ``buckets`` bounds the lengths of the histories,
    to save work: pairs (rows, length), in order, so that the next ``rows`` rows have at most
    ``length`` items each; empty if nothing is known. No output may depend on it.
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
        """The fields that are tensors, by name."""
        return {k: v for k, v in vars(self).items() if isinstance(v, Tensor)}

    def to(self, device: torch.device | str) -> "Batch":
        """Copy the batch to another device."""
        moved: dict[str, Any] = {k: v.to(device) for k, v in self.tensors.items()}
        return replace(self, **moved)
