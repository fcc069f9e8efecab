"""Counts the steps of an epoch as the device finishes them."""

from collections import deque
from typing import Any

import torch

from mmctr_kit.activity import Counter

AHEAD = 32
"""How many steps the host may launch before it waits for an earlier one to end: enough that a GPU
never waits for the host."""


class StepCounter:
    """Counts training steps without ever making the device wait.

    On a CPU a step that was called is finished. On a GPU the host runs far ahead of the device, so
    an event follows each step, and the host waits for that of the step :data:`AHEAD` steps ago
    before it goes on. Nothing is read from the device. If nobody listens, nothing happens.
    """

    def __init__(self, counter: Counter, device: torch.device) -> None:
        self._counter, self._device = counter, device
        self._gpu = device.type == "cuda" and counter.heard
        self._launched: deque[Any] = deque()

    def __call__(self) -> None:
        """Say that a step was launched on the current stream."""
        if not self._gpu:
            self._counter.add()
            return
        self._launched.append(torch.cuda.current_stream(self._device).record_event())
        if len(self._launched) > AHEAD:
            self._finish_one()

    def finish(self) -> None:
        """Wait for the steps that are not finished yet, as reading their loss does too."""
        while self._launched:
            self._finish_one()

    def _finish_one(self) -> None:
        self._launched.popleft().synchronize()
        self._counter.add()
