"""The device and its threads, and the settings that make its results repeatable."""

import platform

import torch

from mmctr_kit.errors import UsageError
from mmctr_kit.training.allocator import keep_freed_memory


def resolve_device(wanted: str) -> str:
    """Resolve a user's wish to 'cpu', 'cuda:0' or, with several GPUs, 'cuda:0,cuda:1'.

    ``auto`` is every GPU that torch sees, or else the CPU; ``cuda`` is every GPU. Raises
    UsageError for a GPU that is absent and for an unknown device.
    """
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    gpus = [f"cuda:{i}" for i in range(count)]
    if wanted == "cpu" or (wanted == "auto" and not gpus):
        return "cpu"
    if wanted.startswith("cuda") and not gpus:
        raise UsageError(f"device {wanted}: torch sees no GPU here; use cpu, or auto")
    devices = gpus if wanted in ("auto", "cuda") else wanted.split(",")
    unknown = [device for device in devices if device not in gpus]
    if unknown:
        known = ", ".join(["auto", "cpu", *(["cuda"] if gpus else []), *gpus])
        raise UsageError(f"device {unknown[0]!r} does not exist; choose from {known}")
    return ",".join(devices)


def fast_bf16(device: str) -> bool:
    """Whether bf16 is faster: GPUs from Ampere on (not emulated), CPUs with AVX512-BF16 or AMX."""
    if device.startswith("cuda"):
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return bool(torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())


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
        torch.cuda.set_device(torch.device(device))  # streams, graphs and random states use it
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
