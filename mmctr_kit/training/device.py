"""The device and its threads, the settings that make its results repeatable, and its faults."""

import platform
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache

import torch

from mmctr_kit.errors import GpuFailureError, MemoryShortageError, UsageError
from mmctr_kit.training.allocator import keep_freed_memory
from mmctr_kit.training.gpu_probe import driver_cuda

_WHEELS = "https://download.pytorch.org/whl"
_OLD_CARDS, _OLD_WHEEL, _NEW_WHEEL = (7, 5), "cu126", "cu130"
"""The oldest cards of torch's wheels for CUDA 13, and the wheels for older and newer ones."""


def resolve_device(wanted: str) -> str:
    """Resolve a user's wish to 'cpu', 'cuda:0' or, with several GPUs, 'cuda:0,cuda:1'.

    ``auto`` is every GPU that the installed torch can use, or else the CPU, and a warning names
    each GPU that it cannot; ``cuda`` is every GPU. Raises UsageError for a GPU that is absent or
    cannot be used, and for an unknown device.
    """
    if wanted == "cpu":
        return wanted
    missing, gaps = missing_gpu(), gpu_gaps()
    if wanted == "auto":
        for device, gap in gaps.items():
            if gap:
                warnings.warn(f"{device} is left out: {gap}", stacklevel=2)
        if missing:
            warnings.warn(f"no GPU is used: {missing}", stacklevel=2)
        return ",".join(device for device, gap in gaps.items() if not gap) or "cpu"
    if wanted.startswith("cuda") and not gaps:
        raise UsageError(
            f"device {wanted}: {missing or 'torch sees no GPU here'}; use cpu, or auto"
        )
    devices = list(gaps) if wanted == "cuda" else wanted.split(",")
    for device in devices:
        if device not in gaps:
            known = ", ".join(["auto", "cpu", *(["cuda"] if gaps else []), *gaps])
            raise UsageError(f"device {device!r} does not exist; choose from {known}")
        if gaps[device]:
            raise UsageError(f"device {device}: {gaps[device]}; or use cpu, or auto")
    return ",".join(devices)


@cache
def missing_gpu() -> str:
    """Why torch sees no GPU although there is a driver, and what to do; "" if nothing is wrong."""
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        if torch.cuda.is_available():
            return ""
    needs, has = torch.version.cuda, driver_cuda()
    if needs is None or has is None:
        return ""
    if has[0] < int(needs.partition(".")[0]):
        remedy = "update the driver"
        if has[0] >= int(_OLD_WHEEL[2:4]):
            remedy += f", or {_install(_OLD_WHEEL)}"
        return (
            f"the NVIDIA driver is too old: it supports CUDA {has[0]}.{has[1]}, and torch "
            f"{torch.__version__} needs CUDA {needs}; {remedy}"
        )
    text = str(said[0].message).partition("(Triggered")[0] if said else ""
    return " ".join(text.split()).rstrip(".")


def gpu_gaps() -> dict[str, str]:
    """Why the installed torch cannot use each GPU that it sees, and what to do; "" if it can."""
    if missing_gpu() or not torch.cuda.is_available():
        return {}
    _begin_cuda()
    architectures = torch.cuda.get_arch_list() if torch.version.cuda else []
    gaps = {}
    for number in range(torch.cuda.device_count()):
        card = torch.cuda.get_device_capability(number) if architectures else (0, 0)
        gap = ""
        if architectures and not has_kernels(card, architectures):
            wheel = _OLD_WHEEL if card < _OLD_CARDS else _NEW_WHEEL
            name = f"{torch.cuda.get_device_name(number)} (compute capability {card[0]}.{card[1]})"
            has = " ".join(architectures)
            gap = f"torch {torch.__version__} has no kernels for {name}, only for {has}"
            gap += f"; {_install(wheel)}"
        gaps[f"cuda:{number}"] = gap
    return gaps


def has_kernels(card: tuple[int, int], architectures: Sequence[str]) -> bool:
    """Whether code for these architectures, such as sm_80, sm_90a and compute_90, runs on the card.

    A binary (sm) runs on cards of its major version that are not older, PTX (compute) is compiled
    for any card that is not older; with the suffix a, both are for that very card alone.
    """
    for architecture in architectures:
        kind, _, number = architecture.partition("_")
        code = divmod(int(number.rstrip("af")), 10)
        if number.endswith("a"):
            runs = card == code
        elif kind == "sm" or number.endswith("f"):
            runs = card[0] == code[0] and card >= code
        else:
            runs = card >= code
        if runs:
            return True
    return False


def _install(wheel: str) -> str:
    version = torch.__version__.partition("+")[0]
    return f"pip install torch=={version} --index-url {_WHEELS}/{wheel}"


def _begin_cuda() -> None:
    """Begin CUDA in this process, without torch's own long warnings of cards it cannot use."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        torch.cuda.init()  # type: ignore[no-untyped-call]


def fast_bf16(device: str) -> bool:
    """Whether bf16 is faster: GPUs from Ampere on (not emulated), CPUs with AVX512-BF16 or AMX."""
    if device.startswith("cuda"):
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return bool(torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())


def warn_of_slow_bf16(wanted: str, device: str) -> str:
    """Warn if a recipe asks for bf16 on a GPU that has no bf16 arithmetic; returns why not, or "".

    Nor does torch.compile build steps in bf16 for such a GPU: it leaves out some of their parts.
    """
    if wanted != "bf16" or not device.startswith("cuda") or fast_bf16(device):
        return ""
    gap = f"{describe_device(device)} has no bf16 arithmetic"
    warnings.warn(
        f"training.precision=bf16: {gap}, which is slower there than float32; leave "
        "training.precision at auto",
        stacklevel=2,
    )
    return gap


def describe_device(device: str) -> str:
    """The device's name for people and manifests."""
    if device.startswith("cuda"):
        return str(torch.cuda.get_device_name(torch.device(device)))
    return f"CPU ({platform.machine()}{', bf16' if fast_bf16(device) else ''})"


def prepare(device: str, threads: int) -> None:
    """Set up this process: its threads, TF32 off, the current GPU, and the CPU's allocator."""
    torch.set_num_threads(threads)
    torch.set_float32_matmul_precision("highest")
    # Partial sums of a product in bf16 stay float32 until their effect on AUC is measured.
    torch.backends.cuda.matmul.allow_bf16_reduced_precision_reduction = False
    if device.startswith("cuda"):
        _begin_cuda()
        with gpu_faults():
            torch.cuda.set_device(torch.device(device))  # streams, graphs, random states use it
    if device == "cpu":
        keep_freed_memory()


def free_bytes(device: torch.device) -> int | None:
    """How many bytes of tensors this process can still have on a GPU; None for a CPU."""
    if device.type != "cuda":
        return None
    # Memory of freed tensors that torch holds on to is free for this process alone.
    cached = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    return int(torch.cuda.mem_get_info(device)[0]) + cached


def peak_gpu_bytes() -> int:
    """The most bytes of tensors that this process has ever had on the GPU, data included."""
    return torch.cuda.max_memory_allocated()


_OF_A_GPU = (
    "CUDA error",
    "CUDA driver error",
    "CUBLAS_STATUS",
    "CUDNN_STATUS",
    "cuDNN error",
    "Triton Error [CUDA]",
)


_FREE_IT = "free what other processes hold of it"


def gpu_failure(error: BaseException) -> bool:
    """Whether torch's or Triton's error says that the GPU, and not the code, has failed."""
    return isinstance(error, torch.AcceleratorError) or (
        isinstance(error, RuntimeError) and any(text in str(error) for text in _OF_A_GPU)
    )


@contextmanager
def gpu_faults(remedy: Callable[[], str] = lambda: _FREE_IT) -> Iterator[None]:
    """Turn a full GPU memory, and a GPU that fails, into an error of one line.

    ``remedy()`` says what to do if its memory is full. Raises MemoryShortageError or
    GpuFailureError.
    """
    try:
        yield
    except RuntimeError as e:
        text = str(e)
        full = "out of memory" in text or "ALLOC_FAILED" in text
        if isinstance(e, torch.OutOfMemoryError) or (full and gpu_failure(e)):
            ways = f"{remedy()}, keep the data on the host (training.data_on=host)"
            message = f"the GPU's memory is full; {ways}, or use --devices cpu"
            raise MemoryShortageError(message) from e
        if not gpu_failure(e):
            raise
        raise GpuFailureError(
            f"the GPU failed ({text.strip().splitlines()[0][:200]}); run the same command again: "
            "it goes on from the last epoch; if that fails too, look at nvidia-smi, or use "
            "--devices cpu"
        ) from e
