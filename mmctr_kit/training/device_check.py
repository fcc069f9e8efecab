"""The check that a device computes, in plain steps, what the CPU does."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call

from mmctr_kit.activity import doing
from mmctr_kit.errors import RunError
from mmctr_kit.models.layers.blocks import logloss
from mmctr_kit.models.ops.dropout import nothing_dropped
from mmctr_kit.training.data.batches import make_batch
from mmctr_kit.training.device import describe_device
from mmctr_kit.training.step import Step, eager
from mmctr_kit.training.step_check import (
    Outcome,
    Tolerance,
    forked_random,
    verdict,
    visible_start,
)
from mmctr_kit.training.step_modes import Modes

ON_CPU = Tolerance(1e-5, 1e-3)
ROWS_ON_CPU = 256
"""How many rows are computed on the CPU too."""


def check_device(step: Step, modes: Modes, index: Tensor) -> None:
    """Check plain steps on rows of ``index`` against the CPU; see :func:`require_like_cpu`."""

    def check() -> str:
        doing("checking the device against the CPU")
        require_like_cpu(step, index)
        return ""

    verdict(step, modes, {"mode": "device"}, check)


class _Loss(nn.Module):
    """A model as a module whose output is the loss that it is trained on."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, batch: Any, labels: Tensor) -> Tensor:
        if hasattr(self.model, "loss"):
            return eager(self.model, batch, labels)
        return logloss(eager(self.model, batch), labels)


def require_like_cpu(step: Step, index: Tensor) -> None:
    """Raise RunError if the step's device and the CPU disagree on a plain step in float32.

    It is computed for the first of the train rows ``index``. Rounding that takes the input of a
    ReLU across zero changes a gradient by far more than rounding, but for one row. So others, or
    each half of them, must show a fault too.
    """
    most, device = ROWS_ON_CPU, step.data.device
    first = index[:most]
    enough = len(index) >= 3 * most
    others = torch.split(index[most : 3 * most], most) if enough else first.chunk(2)
    faults = list[str]()
    with forked_random(device), nothing_dropped(step.model):
        for rows in (first, *others):
            fault = _fault_against_cpu(step, rows)
            if fault is None:
                return
            faults.append(fault)
    raise RunError(
        f"{describe_device(str(device))} computes another step than the CPU from the same rows: "
        f"{faults[0]}; the card, its driver or the installed torch is at fault; use --devices "
        "cpu, or training.check=off to go on regardless"
    )


def _fault_against_cpu(step: Step, index: Tensor) -> str | None:
    """How a plain step in float32 on the rows ``index`` differs from one on the CPU; else None."""
    model, start = _Loss(step.model), visible_start(step)
    batch = make_batch(step.data, "train", index, step.known_user)
    labels = step.data.rows["train"].labels[index]
    tensors = {f"model.{n}": t for n, t in step.model.named_buffers()}
    tensors |= {f"model.{n}": start[f"model.{n}"] for n, _ in step.model.named_parameters()}
    of = {f"model.{n}" for n, p in step.model.named_parameters() if p.requires_grad}

    def outcome(device: torch.device | str) -> Outcome:
        mine = {n: t.detach().to(device, copy=True) for n, t in tensors.items()}
        weights = {n: mine[n].requires_grad_() for n in mine if n in of}
        loss = functional_call(model, mine, (batch.to(device), labels.to(device)))
        found = torch.autograd.grad(loss, list(weights.values()), allow_unused=True)
        pairs = zip(weights.items(), found, strict=True)
        gradients = {n: torch.zeros_like(w) if g is None else g for (n, w), g in pairs}
        on_cpu = {n: g.to("cpu") for n, g in gradients.items()}
        return Outcome(loss.detach().to("cpu"), on_cpu, {})

    there, here = outcome(step.data.device), outcome("cpu")
    fault = there.difference(here, ON_CPU)
    # Else there is nothing to compare: it diverges, or draws numbers of its own.
    comparable = fault is None or outcome("cpu").difference(here, ON_CPU) is None
    return fault if comparable else None
