"""Dropout for which a CPU draws four values at a time and a GPU stores no mask."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mmctr_kit.models.ops.gather import applied, eager_on_cpu

_STEPS = 1 << 16


def dropout(values: Tensor, rate: float, training: bool) -> Tensor:
    """Inverted dropout (Srivastava et al. 2014) if ``training``, else the values unchanged.

    Each value is 0 with probability ``rate``, else divided by 1 - ``rate``. torch draws one random
    number a value, which on a CPU took a twentieth of a DIN's step. Here, on a CPU, one of 64 bits
    serves four, so ``rate`` is rounded to a multiple of 2^-16.
    """
    if not training or rate == 0.0:
        return values
    if not eager_on_cpu(values):
        return F.dropout(values, rate)
    dropped = min(round(rate * _STEPS), _STEPS - 1)
    drawn = torch.empty(-(-values.numel() // 4), dtype=torch.int64).random_(-(2**63), None)
    mask = torch.empty_like(values)  # written as what it is multiplied with: a bool takes as long
    bits = drawn.view(torch.int16)[: values.numel()].view(values.shape)
    torch.ge(bits, dropped - _STEPS // 2, out=mask)
    return values * mask.mul_(_STEPS / (_STEPS - dropped))


def relu_dropout(values: Tensor, rate: float) -> Tensor:
    """``dropout(relu(values), rate)`` in training, as one operation.

    The gradient needs only the output: neither the mask nor the input is stored.
    """
    return applied(_ReLUDropout, values, rate)


class _ReLUDropout(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, values: Tensor, rate: float) -> Tensor:
        output = F.dropout(torch.relu(values), rate)
        ctx.save_for_backward(output)
        ctx.rate = rate
        return output

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        (output,) = ctx.saved_tensors
        return torch.where(output > 0, gradient / (1 - ctx.rate), 0.0), None


class Dropout(nn.Dropout):
    """torch's dropout layer, computed by :func:`dropout`."""

    def forward(self, input: Tensor) -> Tensor:
        return dropout(input, self.p, self.training)
