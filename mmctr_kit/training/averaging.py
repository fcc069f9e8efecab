"""Averaging of a model's weights over the steps of its training: one network, of less noise.

``ema`` is Polyak's average with exponential weights (Polyak and Juditsky 1992), ``tail`` the plain
mean over the last steps (stochastic weight averaging, arXiv 1803.05407).
"""

import math
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from mmctr_kit.recipe import Training


def average_share(step: int, total: int, options: Training) -> float:
    """The share in (0, 1] that the weights after a step get in the average; 1 begins it anew.

    ``total``: how many steps the whole training has. Equal shares make a plain mean: the n-th of
    its steps gets 1 / n.
    """
    if options.average == "ema":
        return max(1 - options.ema_decay, 1 / (step + 1))
    first = math.floor(total * (1 - options.tail))
    return 1 / (max(step - first, 0) + 1)


class WeightAverage:
    """The average of a model's weights, and of the running statistics of its norms.

    :meth:`update` gives the present weights the :attr:`share` (), a tensor on their device. It
    waits for nothing and writes in place, so it can be part of a captured step. If not ``on``,
    nothing is done.
    """

    def __init__(self, model: nn.Module, share: Tensor, on: bool) -> None:
        state = model.state_dict() if on else {}
        # Of tied weights the first name stands for all.
        tensors = {v.data_ptr(): k for k, v in reversed(state.items()) if v.is_floating_point()}
        self.share = share
        self._live = {k: v for k, v in state.items() if tensors.get(v.data_ptr()) == k}
        self._average = {k: v.clone() for k, v in self._live.items()}

    def update(self) -> None:
        with torch.no_grad():
            for name, average in self._average.items():
                average.lerp_(self._live[name], self.share.to(average.dtype))

    def state(self) -> dict[str, Tensor]:
        """The average by the weights' names, not copied."""
        return self._average

    @contextmanager
    def swapped_in(self) -> Iterator[None]:
        """The model has the average for its weights, and afterwards its weights again."""
        self._swap()
        try:
            yield
        finally:
            self._swap()

    def _swap(self) -> None:
        with torch.no_grad():
            for name, average in self._average.items():
                live = self._live[name].clone()
                self._live[name].copy_(average)
                average.copy_(live)
