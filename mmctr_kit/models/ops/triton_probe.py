"""Whether Triton can build kernels for the GPU of this process, tried once."""

import subprocess
import sysconfig
import warnings
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import torch

PACKAGES = "install a C compiler and Python's headers (Debian, Ubuntu: apt install gcc python3-dev)"
"""What to do if Triton cannot build: it compiles a little C code for each machine."""


@cache
def triton_gap() -> str:
    """Why Triton can build no kernel for the current GPU, in one line; "" if it can.

    The first call in a process builds a kernel of the kit, or finds it in Triton's cache, and runs
    it on two numbers; a process that trains does the same a little later.
    """
    if find_spec("triton") is None:
        return "this build of torch came without Triton"
    from triton.errors import TritonError

    from mmctr_kit.models.ops.segment_kernel import sum_rows

    device = torch.device("cuda", torch.cuda.current_device())
    values, offsets = torch.ones(2, 1, device=device), torch.tensor([0, 2], device=device)
    try:
        sum_rows(values, offsets, None, None, torch.float32)
    except torch.OutOfMemoryError:
        raise
    except (subprocess.SubprocessError, OSError, ImportError, TritonError) as e:
        return _missing() or _first_line(e)
    except (RuntimeError, AssertionError) as e:  # no compiler, no libcuda.so, too old a card
        return _missing(str(e)) or _first_line(e)
    return ""


@cache
def warn_without_triton() -> bool:
    """Whether Triton can build no kernel; the first call in a process then warns of it."""
    if gap := triton_gap():
        warnings.warn(
            f"Triton cannot build kernels here ({gap}); steps are not compiled, and slower; "
            f"{PACKAGES}",
            stacklevel=2,
        )
    return bool(gap)


def python_header() -> Path:
    """Where Python.h of this Python should be."""
    return Path(sysconfig.get_paths()["include"]) / "Python.h"


def _missing(message: str = "C compiler") -> str:
    if "Failed to find C compiler" in message:
        return "there is no C compiler"
    return "" if python_header().is_file() else f"there is no {python_header()}"


def _first_line(error: Exception) -> str:
    return f"{type(error).__name__}: {error}".strip().splitlines()[0][:200]
