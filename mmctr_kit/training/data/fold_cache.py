"""A cache that learners of one data set and device share.

The trials of a study differ in their networks and seldom in the rows and signals that they read, so
rows are copied to the device, and a fold's signals are counted, only once.
"""

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray

from mmctr_kit.data.dataset import ChallengeData
from mmctr_kit.training.data.batches import DeviceData, to_device
from mmctr_kit.training.data.source import Source

PreparedFold = tuple[Source, NDArray[np.int64]]
"""The data of a fold, with its signals and extra rows, and the rows to train on."""

_HOST = torch.device("cpu")


class FoldCache:
    """Rows for the last ``max_history``, and the prepared data of the last ``folds`` folds."""

    def __init__(self, folds: int = 1) -> None:
        self._size = folds
        self._rows: tuple[int, DeviceData] | None = None
        self._folds: dict[str, PreparedFold] = {}

    def rows(self, data: ChallengeData, max_history: int) -> DeviceData:
        """The rows of ``data``, on the host; every call must pass the same data set."""
        if self._rows is None or self._rows[0] != max_history:
            self._rows = None  # first, so that both are never held at once
            self._rows = (max_history, to_device(data, _HOST, max_history))
        return self._rows[1]

    def fold(self, key: str, make: Callable[[], PreparedFold]) -> PreparedFold:
        """The prepared fold stored under ``key``; if there is none, ``make`` prepares it."""
        if key not in self._folds:
            while len(self._folds) >= self._size:
                del self._folds[next(iter(self._folds))]
            self._folds[key] = make()
        return self._folds[key]
