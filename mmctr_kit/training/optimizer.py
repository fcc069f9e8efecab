"""Adam whose state stays in one place, its learning rate, and which regulariser a weight gets."""

import math
from collections.abc import Iterable, Sequence
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn
from torch.optim.adam import adam

from mmctr_kit.models.layers.blocks import IdEmbedding
from mmctr_kit.models.layers.fusion import ModalityFusion
from mmctr_kit.recipe import Training
from mmctr_kit.training.device import fast_bf16

BF16_WEIGHTS = {"cpu": 1 << 16, "cuda": 0}
"""Least weights of the largest matrix for bf16 to pay. On a Zen 5 core a step took 1.2 to 1.4 times
as long in bf16 with 2,000 to 33,000 of them, and 0.5 times as long with 655,000."""


class Adam:
    """Adam, or AdamW, whose state stays at its address, where a replayed step finds it.

    It calls the function that ``torch.optim.Adam`` calls, fused. Making a ``torch.optim.Adam``
    imports torch's compiler: 2.3 s of CPU time in each process that trains, with torch 2.13.

    ``parameters`` are those that :meth:`step` updates. ``rate`` () is the learning rate, on their
    device. ``state`` holds each parameter's ``step`` (), ``exp_avg`` and ``exp_avg_sq``; it exists
    from the beginning, as zeros. ``eps`` is added to the root of the second moment.
    """

    eps = 1e-8
    betas = (0.9, 0.999)

    def __init__(self, parameters: Iterable[nn.Parameter], options: Training, rate: Tensor) -> None:
        self.parameters = list(parameters)
        self.decoupled = options.optimizer == "adamw"
        self.weight_decay = options.weight_decay if self.decoupled else 0.0
        self.rate = rate
        self.state: dict[Tensor, dict[str, Tensor]] = {
            parameter: {
                "step": torch.zeros((), device=rate.device),
                "exp_avg": torch.zeros_like(parameter),
                "exp_avg_sq": torch.zeros_like(parameter),
            }
            for parameter in self.parameters
        }

    def zero_grad(self) -> None:
        """Drop all gradients."""
        for parameter in self.parameters:
            parameter.grad = None

    @torch.no_grad()
    def step(self) -> None:
        """Update the parameters that have a gradient."""
        pairs = [(p, p.grad) for p in self.parameters if p.grad is not None]
        slots = [self.state[p] for p, _ in pairs]
        adam(
            [p for p, _ in pairs],
            [gradient for _, gradient in pairs],
            [slot["exp_avg"] for slot in slots],
            [slot["exp_avg_sq"] for slot in slots],
            [],
            [slot["step"] for slot in slots],
            fused=True,
            capturable=self.rate.is_cuda,
            decoupled_weight_decay=self.decoupled,
            amsgrad=False,
            beta1=self.betas[0],
            beta2=self.betas[1],
            lr=self.rate,
            weight_decay=self.weight_decay,
            eps=self.eps,
            maximize=False,
        )


def restart_embeddings(model: nn.Module, optimizer: Adam, which: Literal["ids", "all"]) -> None:
    """Draw embedding tables anew, in place, with zero for the optimizer's state of them.

    ``ids``: the tables with a row for each item or user; ``all``: every table of the model.
    """
    kinds = IdEmbedding if which == "ids" else (nn.Embedding, nn.EmbeddingBag)
    for module in model.modules():
        if isinstance(module, kinds):
            module.reset_parameters()
            for slot in optimizer.state[module.weight].values():
                slot.zero_()


def learning_rate(step: int, total: int, options: Training) -> float:
    """The rate of a step: linear warm-up over the first steps, then the schedule down to zero."""
    warm = options.warmup * total
    if step + 1 < warm:
        return options.learning_rate * (step + 1) / warm
    left = 1 - (step - warm) / max(total - warm, 1) if step > warm else 1.0
    shape = {
        "constant": 1.0,
        "linear": left,
        "cosine": 0.5 * (1 + math.cos(math.pi * (1 - left))),
    }[options.schedule]
    return options.learning_rate * shape


class Regularised(NamedTuple):
    """A model's regularised weights, each in one of the two lists.

    ``embedding`` (``embedding_regularizer``): embedding tables and the modalities' projections.
    ``net`` (``net_regularizer``): all others, of a module of any type, but for biases, vectors
    (slopes and gains) and norms.
    """

    embedding: list[Tensor]
    net: list[Tensor]


def regularised(model: nn.Module) -> Regularised:
    """Divide the model's weights by the type of the module that holds them."""
    tables: list[Tensor] = []
    for module in model.modules():
        if isinstance(module, nn.Embedding | nn.EmbeddingBag):
            tables.append(module.weight)
        elif isinstance(module, ModalityFusion):
            tables += module.projections()
    seen = {id(weight) for weight in tables}
    net: list[Tensor] = []
    for module in model.modules():
        norm = isinstance(module, nn.LayerNorm | nn.RMSNorm)  # others hold vectors alone
        for name, parameter in module.named_parameters(recurse=False):
            if not (id(parameter) in seen or norm or "bias" in name or parameter.dim() < 2):
                seen.add(id(parameter))
                net.append(parameter)
    return Regularised(tables, net)


def resolve_precision(
    wanted: Literal["auto", "float32", "bf16"], dense: Sequence[Tensor], device: torch.device
) -> Literal["float32", "bf16"]:
    """The precision in which a model of these ``dense`` weights is trained.

    ``auto`` is bf16 if the device is fast at it and, on a CPU, the largest matrix is large enough
    to pay for the conversions.
    """
    if wanted != "auto":
        return wanted
    least = BF16_WEIGHTS[device.type]
    large = max((w.numel() for w in dense), default=0) >= least
    return "bf16" if large and fast_bf16(device.type) else "float32"
