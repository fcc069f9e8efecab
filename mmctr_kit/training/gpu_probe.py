"""Whether this machine can have a GPU, answered without importing torch, which takes seconds."""

import ctypes
import sys
from importlib import metadata

from mmctr_kit.errors import UsageError

_DRIVER = "libcuda.so.1"
"""The driver library that torch opens for any NVIDIA GPU."""


def require_gpu(wanted: str) -> None:
    """Raise UsageError if ``wanted`` ('auto', 'cpu', 'cuda:0') needs a GPU and none can exist."""
    if wanted.startswith("cuda") and not may_have_gpu():
        raise UsageError(f"device {wanted}: torch sees no GPU here; use cpu, or auto")


def may_have_gpu() -> bool:
    """False if torch cannot see a GPU: its build is for CPUs, or no NVIDIA driver answers."""
    build = metadata.version("torch").partition("+")[2]
    if build == "cpu":
        return False
    if sys.platform != "linux" or build.startswith("rocm"):
        return True  # only torch itself knows
    try:
        return int(ctypes.CDLL(_DRIVER).cuInit(0)) == 0
    except (OSError, AttributeError):
        return False


def driver_cuda() -> tuple[int, int] | None:
    """The newest CUDA version that the NVIDIA driver supports; None without a driver."""
    version = ctypes.c_int()
    try:
        if ctypes.CDLL(_DRIVER).cuDriverGetVersion(ctypes.byref(version)):
            return None
    except (OSError, AttributeError):
        return None
    return version.value // 1000, version.value % 1000 // 10
