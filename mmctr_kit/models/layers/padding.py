"""Padded layouts of packed histories, as short as possible, for layers that need one length.

The rows of each bucket of a batch (:attr:`mmctr_kit.models.batch.Batch.buckets`) are padded to the
bucket's length. Most histories are short: in four buckets the challenge's need a fifth of the slots
that they need at 64 each.

Shapes: B rows in parts of n_i rows of length L_i; S slots in all, the sum of n_i * L_i; T tokens.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from mmctr_kit.models.batch import Batch
from mmctr_kit.models.ops.gather import gather
from mmctr_kit.models.ops.segments import with_zeros


@dataclass(frozen=True)
class Padding:
    """A layout of rows in ``parts`` of (rows, length), one after another.

    Rows are left-padded, the most recent item last, as in the challenge's ``item_seq``.
    """

    parts: tuple[tuple[int, int], ...]

    @classmethod
    def of(cls, batch: Batch, longest: int) -> "Padding":
        """The smallest layout for each row's last ``longest`` positions, with at least one slot."""
        parts: list[tuple[int, int]] = []
        for rows, length in batch.buckets or ((len(batch.item), longest),):
            padded = min(max(length, 1), longest)
            if parts and parts[-1][1] == padded:
                rows += parts.pop()[0]
            parts.append((rows, padded))
        return cls(tuple(parts))

    @property
    def size(self) -> int:
        """The number S of slots."""
        return sum(rows * length for rows, length in self.parts)

    def ends(self, device: torch.device) -> Tensor:
        """The slot after each row's last, (B,) int64."""
        return self._lengths(device).cumsum(0)

    def _lengths(self, device: torch.device) -> Tensor:
        """The slots of each row, (B,) int64."""
        return torch.cat([torch.full((n,), length, device=device) for n, length in self.parts])

    def slots(self, row: Tensor, offsets: Tensor) -> Tensor:
        """The slot of each position, (P,) int64; ``row`` and ``offsets`` as in Batch.

        It is S, which is none, for a dummy and for a position that its row is too short for.
        """
        device = row.device
        # One more row, of length 0, for dummies.
        ends, lengths, last = (
            F.pad(v, (0, 1)).index_select(0, row)
            for v in (self.ends(device), self._lengths(device), offsets[1:].long())
        )
        age = last - torch.arange(len(row), device=device)  # 1 = the most recent
        return torch.where((age >= 1) & (age <= lengths), ends - age, self.size)

    def split(self, flat: Tensor) -> list[Tensor]:
        """Split (S, ...) into (n_i, L_i, ...) of each part."""
        parts = torch.split(flat, [rows * length for rows, length in self.parts])
        shapes = ((*part, *flat.shape[1:]) for part in self.parts)
        return [part.view(shape) for part, shape in zip(parts, shapes, strict=True)]


@dataclass(frozen=True)
class Slots:
    """The ``slot`` (T,) int64 of each token in a layout, S for a token without one.

    ``attended``, of each part (n_i, L_i) bool, is true for the slots that layers may look at.
    """

    padding: Padding
    slot: Tensor
    attended: Sequence[Tensor]

    @classmethod
    def of(cls, padding: Padding, slot: Tensor) -> "Slots":
        """Slots of which those that hold a token are attended."""
        flat = slot.new_zeros(padding.size + 1, dtype=torch.bool).index_fill(0, slot, True)
        return cls(padding, slot, padding.split(flat[:-1]))

    def scatter(self, values: Tensor) -> list[Tensor]:
        """Lay values (T, d) of tokens out as (n_i, L_i, d) of each part, zeros in empty slots."""
        flat = values.new_zeros(self.padding.size + 1, values.shape[1])
        flat = flat.index_copy_(0, self.slot, values)
        return self.padding.split(flat[:-1])

    def gather(self, parts: Sequence[Tensor]) -> Tensor:
        """Take (T, d) values of tokens from (n_i, L_i, d) of each part; zeros without a slot."""
        return gather(with_zeros(torch.cat([part.flatten(0, 1) for part in parts])), self.slot)
