"""Sources of batches: chunks of consecutive batches, whose rows are on the device.

Rows that are all stored on the device are one chunk. Rows stored on the host come chunk by chunk;
see :mod:`mmctr_kit.training.data.host_stream`.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from mmctr_kit.data.contract import Split
from mmctr_kit.data.dataset import ChallengeData
from mmctr_kit.items import Ints
from mmctr_kit.training.data.batches import DeviceData, to_device
from mmctr_kit.training.learner import Location


@dataclass(frozen=True)
class Chunk:
    """Consecutive batches of a split, on the device.

    ``index`` (rows,) int64 are the row numbers in ``data``, one batch after another, and ``sizes``
    the rows of each batch; ``counted`` is :attr:`positions` if the host knows it already.
    """

    data: DeviceData
    split: Split
    index: Tensor
    sizes: Sequence[int]
    counted: Sequence[int] | None = None

    @property
    def positions(self) -> Sequence[int]:
        """The number of history positions of each batch; the host may wait for the device."""
        if self.counted is not None:
            return self.counted
        return batch_positions(self.data.rows[self.split].lengths_of(self.index), self.sizes)

    def batches(self) -> Sequence[Tensor]:
        """The part of ``index`` of each batch."""
        return torch.split(self.index, list(self.sizes))


class Source(Protocol):
    """All rows of a data set, and batches of them on a ``device``, to train on or to predict.

    ``whole`` holds all rows and is stored at ``location``, perhaps on another device. ``data`` is
    the memory of the current chunk.
    """

    whole: DeviceData
    data: DeviceData
    device: torch.device
    location: Location

    def chunks(self, split: Split, index: Tensor, sizes: Sequence[int]) -> Iterator[Chunk]:
        """Yield the rows ``index`` (rows,) of a split, in batches of these sizes.

        They are numbered as in ``whole``, on any device. A chunk is valid until the next one is
        asked for, by this call or another.
        """


class OnDevice:
    """Rows stored on the device: one chunk, and nothing is copied."""

    location: Location = "device"

    def __init__(self, data: DeviceData) -> None:
        self.whole = self.data = data
        self.device = data.device

    def chunks(self, split: Split, index: Tensor, sizes: Sequence[int]) -> Iterator[Chunk]:
        """See :class:`Source`."""
        if sizes:
            yield Chunk(self.data, split, index.to(self.device), sizes)


def batch_positions(lengths: Tensor, sizes: Sequence[int]) -> list[int]:
    """The sum of ``lengths`` (rows,) over each of the consecutive batches of these sizes."""
    ends = torch.cumsum(torch.tensor(sizes, device=lengths.device), 0)
    sums = torch.nn.functional.pad(torch.cumsum(lengths, 0), (1, 0))[ends]
    return torch.diff(sums, prepend=sums.new_zeros(1)).tolist()


PreparedFold = tuple[Source, Ints]
"""The data of a fold, with its signals and extra rows, and the rows to train on."""


class FoldCache:
    """Rows for the last ``max_history``, and the prepared data of the last ``folds`` folds.

    Learners of one data set and device share it. The trials of a study differ in their networks and
    seldom in the rows and signals that they read, so these are prepared only once.
    """

    def __init__(self, folds: int = 1) -> None:
        self._size = folds
        self._rows: tuple[int, DeviceData] | None = None
        self._folds: dict[str, PreparedFold] = {}

    def rows(self, data: ChallengeData, max_history: int) -> DeviceData:
        """The rows of ``data``, on the host; every call must pass the same data set."""
        if self._rows is None or self._rows[0] != max_history:
            self._rows = None  # first, so that both are never held at once
            self._rows = (max_history, to_device(data, torch.device("cpu"), max_history))
        return self._rows[1]

    def fold(self, key: str, make: Callable[[], PreparedFold]) -> PreparedFold:
        """The prepared fold stored under ``key``; if there is none, ``make`` prepares it."""
        if key not in self._folds:
            while len(self._folds) >= self._size:
                del self._folds[next(iter(self._folds))]
            self._folds[key] = make()
        return self._folds[key]
