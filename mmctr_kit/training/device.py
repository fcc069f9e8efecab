"""Which device, how many threads, and the settings that make a device's results repeatable."""

import ctypes
import platform
from pathlib import Path

import torch

from mmctr_kit.errors import UsageError

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_MMAP_MAX = -1, -3, -4
_MMAP_MAX = 65536
"""glibc's own."""
_MADV_HUGEPAGE = 14
_HUGE = 2 << 20
_HEAP = 8 << 30
"""Bytes of the heap that are of huge pages; no memory is taken until they are used."""


def resolve_device(wanted: str) -> str:
    """'cpu', 'cuda:0' or, with several cards, 'cuda:0,cuda:1', for what a user asked for.

    ``auto`` is all the GPUs that torch sees, or the CPU; ``cuda`` insists on them. Raises
    UsageError for a GPU that is absent, and for what names no device.
    """
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    cards = [f"cuda:{i}" for i in range(count)]
    if wanted == "cpu" or (wanted == "auto" and not cards):
        return "cpu"
    if wanted.startswith("cuda") and not cards:
        raise UsageError(f"device {wanted}: torch sees no GPU here; use cpu, or auto")
    asked = cards if wanted in ("auto", "cuda") else wanted.split(",")
    unknown = [card for card in asked if card not in cards]
    if unknown:
        there = ", ".join(["auto", "cpu", *(["cuda"] if cards else []), *cards])
        raise UsageError(f"device {unknown[0]!r} is not there; choose from {there}")
    return ",".join(asked)


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
    """Set up this process: threads, TF32 off, its card, and an allocator that keeps what it frees.

    Streams, graphs and random states are those of the current card where none is named.

    glibc returns every large block to the system and faults it in again at the next step, in pages
    of 4 kB. A heap that is kept, in pages of 2 MB where the system gives them, made a DIN's step
    0.6 times as long.
    """
    torch.set_num_threads(threads)
    torch.set_float32_matmul_precision("highest")
    if device.startswith("cuda"):
        torch.cuda.set_device(torch.device(device))
    if device == "cpu" and platform.libc_ver()[0] == "glibc":
        libc = ctypes.CDLL("libc.so.6")
        # Older glibc takes no more than 32 MB; without the first, the second does harm.
        if any(libc.mallopt(_M_MMAP_THRESHOLD, size) for size in (1 << 30, 32 << 20)):
            libc.mallopt(_M_TRIM_THRESHOLD, -1)
            if not _memory_is_counted():
                _ask_for_huge_pages(libc)


def _memory_is_counted() -> bool:
    """Whether memory counts that is asked for but not used: against a limit, or the machine's."""
    import resource  # there is none on Windows, nor glibc

    limits = (resource.getrlimit(kind)[0] for kind in (resource.RLIMIT_AS, resource.RLIMIT_DATA))
    try:
        strict = Path("/proc/sys/vm/overcommit_memory").read_text().strip() == "2"
    except OSError:
        strict = False
    return strict or any(limit != resource.RLIM_INFINITY for limit in limits)


def _ask_for_huge_pages(libc: ctypes.CDLL) -> None:
    """Have the heap grow, mark what it grew by, and give it back to the heap, untouched."""
    libc.malloc.argtypes, libc.malloc.restype = [ctypes.c_size_t], ctypes.c_void_p
    libc.free.argtypes = [ctypes.c_void_p]
    libc.madvise.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
    libc.mallopt(_M_MMAP_MAX, 0)  # so that it is the heap's
    block = libc.malloc(_HEAP)
    libc.mallopt(_M_MMAP_MAX, _MMAP_MAX)
    if block is not None:  # else the system has a limit, and pages are small
        begin = -(-block // _HUGE) * _HUGE
        libc.madvise(begin, (block + _HEAP - begin) // _HUGE * _HUGE, _MADV_HUGEPAGE)
        libc.free(block)


def free_bytes(device: torch.device) -> int | None:
    """What this process can still have in tensors on a GPU; None for a CPU, which is the host."""
    if device.type != "cuda":
        return None
    # What torch keeps of freed tensors is no longer free for others, but is for the next.
    kept = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    return int(torch.cuda.mem_get_info(device)[0]) + kept


def peak_gpu_bytes() -> int:
    """The most that this process has ever had in tensors on the GPU, the data included."""
    return torch.cuda.max_memory_allocated()
