"""The roofline of a device, measured: its best matrix throughput and memory bandwidth."""

import time
from collections.abc import Callable
from dataclasses import dataclass

import torch

_SIZES = {"cpu": (1024, 2048), "cuda": (4096, 8192)}
_COPY_BYTES = {"cpu": 1 << 28, "cuda": 1 << 30}
_SECONDS = 1.0
_MIN_RUNS = 3


@dataclass(frozen=True)
class Roofline:
    """``flops``: FLOP/s of square matrix products of type ``dtype``. ``bytes``: bytes/s that a
    large copy reads and writes. Both are the best of several runs."""

    dtype: str
    flops: float
    bytes: float


def measure_roofline(device: torch.device, precision: str) -> Roofline:
    """The roofline for networks of ``precision`` ('float32' or 'bf16'), on this process's
    threads."""
    dtype = torch.bfloat16 if precision == "bf16" else torch.float32
    flops = 0.0
    for size in _SIZES[device.type]:
        a = torch.randn(size, size, device=device).to(dtype)
        out = torch.empty_like(a)
        flops = max(flops, 2 * size**3 / _best(lambda a=a, out=out: torch.mm(a, a, out=out)))  # type: ignore[misc]
    source = torch.ones(_COPY_BYTES[device.type] // 4, device=device)
    target = torch.empty_like(source)
    moved = 2 * source.nbytes / _best(lambda: target.copy_(source))
    return Roofline(precision, flops, moved)


def synchronise(device: torch.device) -> None:
    """Wait for all kernels launched on a GPU; on a CPU nothing is to be waited for."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def _best(work: Callable[[], torch.Tensor]) -> float:
    """The shortest time of ``work`` in seconds; it returns a tensor on the device it runs on."""
    device = work().device
    synchronise(device)
    best, spent, runs = float("inf"), 0.0, 0
    while runs < _MIN_RUNS or spent < _SECONDS:
        began = time.perf_counter()
        work()
        synchronise(device)
        taken = time.perf_counter() - began
        best, spent, runs = min(best, taken), spent + taken, runs + 1
    return best
