"""Settings of glibc's memory allocator for training on a CPU.

glibc returns every large block to the system and faults it in again at the next step, in pages of
4 kB. A heap that keeps its memory, in pages of 2 MB if the system has them, made a DIN's step 0.6
times as long. The settings are made through ctypes, since GLIBC_TUNABLES is read only when a
process starts, and a command with one worker trains in its own process.
"""

import ctypes
import platform
from pathlib import Path

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_MMAP_MAX = -1, -3, -4
_MMAP_MAX = 65536
"""glibc's default."""
_MADV_HUGEPAGE = 14
_HUGE = 2 << 20
_HEAP = 8 << 30
"""Bytes of the heap that may use huge pages; no memory is taken until they are used."""


def keep_freed_memory() -> None:
    """Let the heap of this process keep freed memory, in huge pages if possible; glibc only."""
    if platform.libc_ver()[0] != "glibc":
        return
    libc = ctypes.CDLL("libc.so.6")
    # Older glibc takes no more than 32 MB; without a threshold, not trimming does harm.
    if any(libc.mallopt(_M_MMAP_THRESHOLD, size) for size in (1 << 30, 32 << 20)):
        libc.mallopt(_M_TRIM_THRESHOLD, -1)
        if not _unused_memory_counts():
            _request_huge_pages(libc)


def _unused_memory_counts() -> bool:
    """Whether a limit, or the machine's memory, is charged for memory that is not used yet."""
    import resource  # Windows has neither this module nor glibc

    limits = (resource.getrlimit(kind)[0] for kind in (resource.RLIMIT_AS, resource.RLIMIT_DATA))
    try:
        strict = Path("/proc/sys/vm/overcommit_memory").read_text().strip() == "2"
    except OSError:
        strict = False
    return strict or any(limit != resource.RLIM_INFINITY for limit in limits)


def _request_huge_pages(libc: ctypes.CDLL) -> None:
    """Let the heap grow, mark the new part for huge pages, and free it, untouched."""
    libc.malloc.argtypes, libc.malloc.restype = [ctypes.c_size_t], ctypes.c_void_p
    libc.free.argtypes = [ctypes.c_void_p]
    libc.madvise.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
    libc.mallopt(_M_MMAP_MAX, 0)  # so that the block is part of the heap
    block = libc.malloc(_HEAP)
    libc.mallopt(_M_MMAP_MAX, _MMAP_MAX)
    if block is not None:  # else a limit forbids it, and pages stay small
        begin = -(-block // _HUGE) * _HUGE
        libc.madvise(begin, (block + _HEAP - begin) // _HUGE * _HUGE, _MADV_HUGEPAGE)
        libc.free(block)
