"""Where batches come from: chunks of consecutive batches, whose rows are on the device.

Rows that all lie on the device are one chunk. Those of the host come chunk by chunk; see
:mod:`mmctr_kit.training.data.host_stream`.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import torch
from torch import Tensor

from mmctr_kit.data.contract import Split
from mmctr_kit.training.data.batches import DeviceData

Place = Literal["device", "host"]


@dataclass(frozen=True)
class Chunk:
    """Consecutive batches of a split, on the device.

    ``index`` (rows,) int64 are the numbers that their rows have in ``data``, one batch after
    another, and ``sizes`` the rows of each batch; ``counted`` is :attr:`positions`, where the host
    knows it already.
    """

    data: DeviceData
    split: Split
    index: Tensor
    sizes: Sequence[int]
    counted: Sequence[int] | None = None

    @property
    def positions(self) -> Sequence[int]:
        """The history positions of each batch. Where the host has to count them, it waits for the
        device."""
        if self.counted is not None:
            return self.counted
        return batch_positions(self.data.rows[self.split].lengths_of(self.index), self.sizes)

    def batches(self) -> Sequence[Tensor]:
        """The ``index`` of each batch."""
        return torch.split(self.index, list(self.sizes))


class Source(Protocol):
    """All rows of a data set, of which batches are trained on or predicted on a ``device``.

    ``whole`` holds them, in the ``place`` where they lie; its device may be another. ``data`` is
    what chunks are in, until one is in another.
    """

    whole: DeviceData
    data: DeviceData
    device: torch.device
    place: Place

    def chunks(self, split: Split, index: Tensor, sizes: Sequence[int]) -> Iterator[Chunk]:
        """The rows ``index`` (rows,) of a split, numbered as in ``whole`` and on any device, in
        batches of these sizes.

        A chunk holds until the next is asked for, here or of another call.
        """
        ...


class OnDevice:
    """Rows that lie on the device: one chunk, and nothing is copied."""

    place: Place = "device"

    def __init__(self, data: DeviceData) -> None:
        self.whole = self.data = data
        self.device = data.device

    def chunks(self, split: Split, index: Tensor, sizes: Sequence[int]) -> Iterator[Chunk]:
        """See :class:`Source`."""
        if sizes:
            yield Chunk(self.data, split, index.to(self.device), sizes)


def batch_positions(lengths: Tensor, sizes: Sequence[int]) -> list[int]:
    """The sum of the ``lengths`` (rows,) of each of consecutive batches of these sizes."""
    ends = torch.cumsum(torch.tensor(sizes, device=lengths.device), 0)
    sums = torch.nn.functional.pad(torch.cumsum(lengths, 0), (1, 0))[ends]
    return torch.diff(sums, prepend=sums.new_zeros(1)).tolist()
