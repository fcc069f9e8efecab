"""What learners of one data set on one device share: its rows, and what a fold adds to them.

A study's trials differ in their networks, seldom in what they see of the rows: copying those to
the device and counting a fold's signals is then done once.
"""

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray

from mmctr_kit.data.dataset import ChallengeData
from mmctr_kit.training.data.batches import DeviceData, to_device
from mmctr_kit.training.data.source import Source

Seen = tuple[Source, NDArray[np.int64]]
"""The data as a fold's models see it, with signals and extra rows, and the rows to train on."""

_HOST = torch.device("cpu")


class Shared:
    """Keeps the rows of the last history length asked for, and of the last ``folds`` folds what
    they add."""

    def __init__(self, folds: int = 1) -> None:
        self._folds = folds
        self._rows: tuple[int, DeviceData] | None = None
        self._seen: dict[str, Seen] = {}

    def rows(self, data: ChallengeData, max_history: int) -> DeviceData:
        """The rows of ``data``, always of the same data set, on the host."""
        if self._rows is None or self._rows[0] != max_history:
            self._rows = None  # first, so that both are never held at once
            self._rows = (max_history, to_device(data, _HOST, max_history))
        return self._rows[1]

    def seen(self, key: str, make: Callable[[], Seen]) -> Seen:
        """What ``make`` made when it was last asked for under this key, or makes now."""
        if key not in self._seen:
            while len(self._seen) >= self._folds:
                del self._seen[next(iter(self._seen))]
            self._seen[key] = make()
        return self._seen[key]
