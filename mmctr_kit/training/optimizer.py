"""Adam whose state stays in one place, its learning rate, and which regulariser a weight gets."""

import math
from collections.abc import Sequence
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn

from mmctr_kit.models.layers.blocks import IdEmbedding
from mmctr_kit.models.layers.fusion import ModalityFusion
from mmctr_kit.recipe import Training
from mmctr_kit.training.device import fast_bf16

BF16_WEIGHTS = {"cpu": 1 << 16, "cuda": 0}
"""Least weights of the largest matrix for bf16 to pay. On a Zen 5 core a step took 1.2 to 1.4 times
as long in bf16 with 2,000 to 33,000 of them, and 0.5 times as long with 655,000."""


def adam(model: nn.Module, options: Training, rate: Tensor) -> torch.optim.Optimizer:
    """Fused Adam or AdamW whose learning rate is ``rate`` (), on the model's device.

    Its state exists from the beginning, as zeros, and stays at its address, where a replayed step
    reads and writes it.
    """
    parameters, decoupled = list(model.parameters()), options.optimizer == "adamw"
    optimizer = (torch.optim.AdamW if decoupled else torch.optim.Adam)(
        parameters,
        lr=options.learning_rate,
        weight_decay=options.weight_decay if decoupled else 0.0,
        fused=True,
        capturable=rate.device.type == "cuda",
    )
    for group in optimizer.param_groups:
        group["lr"] = rate
    # Otherwise torch warns of uncaptured steps, as those before a capture are.
    vars(optimizer)["_warned_capturable_if_run_uncaptured"] = True
    for parameter in parameters:
        # As the optimizer's first step would make it.
        optimizer.state[parameter] = {
            "step": torch.zeros((), device=rate.device),
            "exp_avg": torch.zeros_like(parameter),
            "exp_avg_sq": torch.zeros_like(parameter),
        }
    return optimizer


def restart_embeddings(
    model: nn.Module, optimizer: torch.optim.Optimizer, which: Literal["ids", "all"]
) -> None:
    """Draw embedding tables anew, in place, with zero for the state of :func:`adam` on them.

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
