"""What the device can do at best, measured: matrix products and memory traffic."""

import time
from collections.abc import Callable
from dataclasses import dataclass

import torch

_SIZES = {"cpu": (1024, 2048), "cuda": (4096, 8192)}
_COPY_BYTES = {"cpu": 1 << 28, "cuda": 1 << 30}
_SECONDS = 1.0
_LEAST = 3


@dataclass(frozen=True)
class Ceiling:
    """``flops`` of square matrix products of type ``dtype`` a second, and ``bytes`` a second that
    a large copy reads and writes. Both the best of several."""

    dtype: str
    flops: float
    bytes: float


def measure_ceiling(device: torch.device, precision: str) -> Ceiling:
    """The ceiling for networks of this ``precision`` ('float32' or 'bf16'), on the threads that
    this process has."""
    dtype = torch.bfloat16 if precision == "bf16" else torch.float32
    flops = 0.0
    for size in _SIZES[device.type]:
        a = torch.randn(size, size, device=device).to(dtype)
        out = torch.empty_like(a)
        flops = max(flops, 2 * size**3 / _best(lambda a=a, out=out: torch.mm(a, a, out=out)))  # type: ignore[misc]
    source = torch.ones(_COPY_BYTES[device.type] // 4, device=device)
    target = torch.empty_like(source)
    moved = 2 * source.nbytes / _best(lambda: target.copy_(source))
    return Ceiling(precision, flops, moved)


def synchronise(device: torch.device) -> None:
    """Wait for what was launched."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def _best(work: Callable[[], torch.Tensor]) -> float:
    """The least seconds of ``work``, which returns a tensor on the device that it ran on."""
    device = work().device
    synchronise(device)
    least, spent, runs = float("inf"), 0.0, 0
    while runs < _LEAST or spent < _SECONDS:
        began = time.perf_counter()
        work()
        synchronise(device)
        taken = time.perf_counter() - began
        least, spent, runs = min(least, taken), spent + taken, runs + 1
    return least
