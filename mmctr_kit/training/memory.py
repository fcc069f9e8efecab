"""How much of a GPU's memory a training step takes, and how many rows a batch may have."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor

from mmctr_kit.training.data.static_shapes import StaticShapes
from mmctr_kit.training.step import Step
from mmctr_kit.training.step_check import as_plain, forked_random

TRIED = (512, 1024)
"""The rows of the two small batches that are tried; a batch of no more rows is taken to fit."""

SHARE = 0.8
"""Share of a GPU's memory that a step of ``batch_size: auto`` may take. The rest is for the CUDA
context, libraries, predictions and what the allocator cannot use."""

_LEAST = 256
_USABLE = 0.9
"""Share of the free memory that a step can use: the rest is lost between blocks, or a library's."""


@dataclass(frozen=True)
class StepMemory:
    """The bytes of a step: ``fixed`` ones, and ``per_row`` for each row of the batch.

    ``fixed`` holds data, weights, gradients, moments and the best snapshot. ``room`` are the bytes
    that this process can have in all.
    """

    fixed: float
    per_row: float
    room: float

    def of(self, rows: int) -> float:
        """The bytes of a step on ``rows`` rows."""
        return self.fixed + rows * self.per_row

    def most_rows(self, room: float) -> int:
        """The largest power of two of rows whose step fits ``room`` bytes; 0 if 256 do not."""
        rows = int(max(room - self.fixed, 0) / max(self.per_row, 1.0))
        most = 1 << (rows.bit_length() - 1) if rows else 0
        return most if most >= _LEAST else 0

    def smaller_batch(self, now: int) -> str:
        """What to do if a step of ``now`` rows has found the memory full."""
        size = min(self.most_rows(_USABLE * self.room), now // 2)
        fits = (
            f"set training.batch_size={size}" if size else f"no batch of {_LEAST} rows fits either"
        )
        return (
            f"a step of {now:,} rows takes about {self.of(now) / 1e9:.1f} GB, and "
            f"{self.room / 1e9:.1f} GB were free: {fits}"
        )


def measure_step(
    step: Step, draw: Callable[[int], tuple[Tensor, StaticShapes]], room: float
) -> StepMemory:
    """The memory of a step, eager, from two small batches; the step stays as it was.

    ``draw(rows)`` gives a batch's row numbers and static shapes. Only gradients of dense weights
    are computed: a table's is as large for a small batch as for a large one, and would hide what
    the rows take. It is counted in ``fixed``.
    """
    device = step.data.device
    taken, before = list[int](), _requested(device, "current")
    with forked_random(device), _untouched(step):
        for rows in TRIED:
            torch.cuda.reset_peak_memory_stats(device)
            index, shapes = draw(rows)
            loss = step.loss(step.batch(index, shapes.positions, shapes.buckets), index)
            weights = step.regularised.net or list(step.model.parameters())
            torch.autograd.grad(loss, weights, allow_unused=True)
            del loss
            taken.append(_requested(device, "peak") - before)
    per_row = max((taken[1] - taken[0]) / (TRIED[1] - TRIED[0]), 0.0)
    beside = max(taken[1] - per_row * TRIED[1], 0.0)
    gradient = sum(p.nbytes for p in step.model.parameters())
    snapshot = sum(v.nbytes for v in step.model.state_dict().values())
    return StepMemory(before + beside + gradient + snapshot, per_row, room)


@contextmanager
def _untouched(step: Step) -> Iterator[None]:
    """A step that is plain, its model in training mode; a norm's statistics are then as before."""
    parameters = dict(step.model.named_parameters())
    state = step.model.state_dict()
    before = {k: v.clone() for k, v in state.items() if k not in parameters}
    step.model.train()
    with as_plain(step):
        yield
    for name, value in before.items():
        state[name].copy_(value)


def _requested(device: torch.device, which: str) -> int:
    """The bytes of tensors on the GPU, not rounded up: the same in every run."""
    return int(torch.cuda.memory_stats(device)[f"requested_bytes.all.{which}"])
