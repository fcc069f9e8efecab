"""Padded layouts of histories, no longer than they must be, for layers that need one length.

Where a batch knows how long its histories can be (:attr:`mmctr_kit.models.batch.Batch.buckets`),
each bucket's rows are padded to the bucket's length. Most histories are short, so in four buckets
the challenge's take a fifth of the places that they take at 64 each.

Shapes: B rows in parts of n_i rows of length L_i; S places in all, the sum of n_i * L_i; T tokens.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from mmctr_kit.models.batch import Batch
from mmctr_kit.models.ops.gather import gather
from mmctr_kit.models.ops.segments import with_zeros


@dataclass(frozen=True)
class Padding:
    """The layout: ``parts`` of (rows, length), one after another.

    A row is left-padded, the most recent item last, as in the challenge's ``item_seq``.
    """

    parts: tuple[tuple[int, int], ...]

    @classmethod
    def of(cls, batch: Batch, longest: int) -> "Padding":
        """The least that holds the ``longest`` most recent positions of each row, and one place
        for a row without any."""
        parts: list[tuple[int, int]] = []
        for rows, length in batch.buckets or ((len(batch.item), longest),):
            padded = min(max(length, 1), longest)
            if parts and parts[-1][1] == padded:
                rows += parts.pop()[0]
            parts.append((rows, padded))
        return cls(tuple(parts))

    @property
    def places(self) -> int:
        """S."""
        return sum(rows * length for rows, length in self.parts)

    def ends(self, device: torch.device) -> Tensor:
        """(B,) int64 the place behind each row's last."""
        found, begin = [], 0
        for rows, length in self.parts:
            found.append(begin + length * torch.arange(1, rows + 1, device=device))
            begin += rows * length
        return torch.cat(found)

    def slots(self, row: Tensor, offsets: Tensor) -> Tensor:
        """(P,) int64 the place of each position; ``row`` and ``offsets`` as in Batch.

        A dummy position and one older than its row is long have none: S.
        """
        device = row.device
        lengths = torch.cat([torch.full((n,), length, device=device) for n, length in self.parts])
        # One row more, of no length, which is the dummies'.
        ends, lengths, last = (
            torch.nn.functional.pad(v, (0, 1)).index_select(0, row)
            for v in (self.ends(device), lengths, offsets[1:].long())
        )
        age = last - torch.arange(len(row), device=device)  # 1 = the most recent
        return torch.where((age >= 1) & (age <= lengths), ends - age, self.places)

    def split(self, flat: Tensor) -> list[Tensor]:
        """(S, ...) -> (n_i, L_i, ...) of each part."""
        parts = torch.split(flat, [rows * length for rows, length in self.parts])
        return [
            part.view(rows, length, *flat.shape[1:])
            for part, (rows, length) in zip(parts, self.parts, strict=True)
        ]


@dataclass(frozen=True)
class Slots:
    """Tokens that are laid out: ``slot`` (T,) int64 is the place of each, S if it has none.

    ``attended`` (n_i, L_i) bool of each part marks the places that layers may look at.
    """

    padding: Padding
    slot: Tensor
    attended: Sequence[Tensor]

    @classmethod
    def of(cls, padding: Padding, slot: Tensor) -> "Slots":
        """Every place that a token has is attended."""
        flat = slot.new_zeros(padding.places + 1, dtype=torch.bool).index_fill(0, slot, True)
        return cls(padding, slot, padding.split(flat[:-1]))

    def laid_out(self, values: Tensor) -> list[Tensor]:
        """(T, d) values of the tokens -> (n_i, L_i, d) of each part, zeros at places of none."""
        places = self.padding.places
        flat = values.new_zeros(places + 1, values.shape[1]).index_copy_(0, self.slot, values)
        return self.padding.split(flat[:-1])

    def taken(self, parts: Sequence[Tensor]) -> Tensor:
        """(n_i, L_i, d) of each part -> (T, d); zeros for a token without a place."""
        return gather(with_zeros(torch.cat([part.flatten(0, 1) for part in parts])), self.slot)
