"""Which device, how many threads, and the settings that make a device's results repeatable."""

import ctypes
import platform

import torch

from mmctr_kit.errors import UsageError

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3


def resolve_device(wanted: str) -> str:
    """'cuda' or 'cpu' for 'auto'; a GPU that was asked for and is absent is an UsageError."""
    if wanted == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    if wanted.startswith("cuda") and not torch.cuda.is_available():
        raise UsageError("--device cuda: torch sees no GPU here; use --device cpu, or auto")
    return wanted


def fast_bf16(device: str) -> bool:
    """Whether the device multiplies bf16 faster than float32: cards from Ampere on (older ones
    emulate it), CPUs with AVX512-BF16 or AMX."""
    if device.startswith("cuda"):
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return bool(torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())


def describe_device(device: str) -> str:
    """The device's name for people and manifests."""
    if device.startswith("cuda"):
        return str(torch.cuda.get_device_name(torch.device(device)))
    return f"CPU ({platform.machine()}{', bf16' if fast_bf16(device) else ''})"


def prepare(device: str, threads: int) -> None:
    """Set up this process: threads, TF32 off, and an allocator that keeps what it frees.

    glibc returns every large block to the system and faults it in again at the next step, which
    slows the steps of small networks.
    """
    torch.set_num_threads(threads)
    torch.set_float32_matmul_precision("highest")
    if device == "cpu" and platform.libc_ver()[0] == "glibc":
        libc = ctypes.CDLL("libc.so.6")
        # Older glibc takes no more than 32 MB; without the first, the second does harm.
        if any(libc.mallopt(_M_MMAP_THRESHOLD, size) for size in (1 << 30, 32 << 20)):
            libc.mallopt(_M_TRIM_THRESHOLD, -1)


def peak_gpu_bytes() -> int:
    """The most that this process has ever had in tensors on the GPU, the data included."""
    return torch.cuda.max_memory_allocated()
