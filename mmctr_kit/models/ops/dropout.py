"""Dropout for which a CPU draws four values at a time, and whose rate is a tensor.

Compiled code and captured steps read the rate at each run, so :func:`nothing_dropped` needs neither
to be made again.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from mmctr_kit.models.ops.gather import applied, eager_on_cpu

_STEPS = 1 << 16


def dropout(values: Tensor, rate: Tensor) -> Tensor:
    """Inverted dropout (Srivastava et al. 2014).

    Each value is 0 with probability ``rate`` (), float32, on its device, else divided by 1 -
    ``rate``. torch draws one random number a value, which on a CPU took a twentieth of a DIN's
    step. Here, on a CPU, one of 64 bits serves four, so the rate is rounded to a multiple of 2^-16.
    """
    if not eager_on_cpu(values):
        kept = torch.rand_like(values, dtype=torch.float32) >= rate
        return torch.where(kept, values / (1 - rate), 0.0)
    dropped = min(round(float(rate) * _STEPS), _STEPS - 1)
    drawn = torch.empty(-(-values.numel() // 4), dtype=torch.int64).random_(-(2**63), None)
    mask = torch.empty_like(values)  # written as what it is multiplied with: a bool takes as long
    bits = drawn.view(torch.int16)[: values.numel()].view(values.shape)
    torch.ge(bits, dropped - _STEPS // 2, out=mask)
    return values * mask.mul_(_STEPS / (_STEPS - dropped))


def relu_dropout(values: Tensor, rate: Tensor) -> Tensor:
    """``dropout(relu(values), rate)``, as one operation.

    The gradient needs only the output: neither the mask nor the input is stored.
    """
    return applied(_ReLUDropout, values, rate)


class _ReLUDropout(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, values: Tensor, rate: Tensor) -> Tensor:
        output = dropout(torch.relu(values), rate)
        ctx.save_for_backward(output, rate)
        return output

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        output, rate = ctx.saved_tensors
        return torch.where(output > 0, gradient / (1 - rate), 0.0), None


class Dropout(nn.Dropout):
    """torch's dropout layer, computed by :func:`dropout` at the ``rate`` () in a buffer.

    With the rate 0 from the beginning it does nothing.
    """

    rate: Tensor

    def __init__(self, p: float) -> None:
        super().__init__(p)
        self.register_buffer("rate", torch.tensor(p, dtype=torch.float32), persistent=False)

    @property
    def acts(self) -> bool:
        """Whether it may drop anything: in training, with a rate above 0."""
        return self.training and self.p > 0

    def forward(self, input: Tensor) -> Tensor:
        return dropout(input, self.rate) if self.acts else input


@contextmanager
def nothing_dropped(model: nn.Module) -> Iterator[None]:
    """In the ``with`` block the model's :class:`Dropout` layers draw numbers, but drop nothing."""
    layers = [module for module in model.modules() if isinstance(module, Dropout)]
    try:
        for layer in layers:
            layer.rate.zero_()
        yield
    finally:
        for layer in layers:
            layer.rate.fill_(layer.p)
