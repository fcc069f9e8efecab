"""Whether there can be a GPU here, told without the seconds that importing torch takes."""

import ctypes
import sys
from importlib import metadata

from mmctr_kit.errors import UsageError

_DRIVER = "libcuda.so.1"
"""What torch opens for any card of NVIDIA's."""


def require_gpu(wanted: str) -> None:
    """UsageError where ``wanted`` ('auto', 'cpu', 'cuda', 'cuda:0') insists on a GPU and there is
    certainly none; :func:`mmctr_kit.training.device.resolve_device` finds out the rest."""
    if wanted.startswith("cuda") and not may_have_gpu():
        raise UsageError(f"device {wanted}: torch sees no GPU here; use cpu, or auto")


def may_have_gpu() -> bool:
    """False where torch can't see one: its build is for CPUs, or no NVIDIA driver answers."""
    build = metadata.version("torch").partition("+")[2]
    if build == "cpu":
        return False
    if sys.platform != "linux" or build.startswith("rocm"):
        return True  # whoever knows those finds out by importing torch
    try:
        return int(ctypes.CDLL(_DRIVER).cuInit(0)) == 0
    except (OSError, AttributeError):
        return False
