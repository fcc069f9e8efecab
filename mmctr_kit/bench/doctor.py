"""The checks of ``doctor``: what this machine and this installation mean for a run.

Each takes what was found, and writes to the log what it means; finding it out is a function apart.
"""

import math
import os
import platform
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

import torch

from mmctr_kit import __version__
from mmctr_kit.activity import doing
from mmctr_kit.audit.findings import CheckInfo, Finding, Level, Log, catalogue
from mmctr_kit.bench.self_test import STEPS, difference, short_training
from mmctr_kit.cv.executors.local import available_cores, capped, free_memory
from mmctr_kit.data.cache import cache_contents, cache_folder
from mmctr_kit.errors import MmctrKitError, plural
from mmctr_kit.files import is_locked, locked
from mmctr_kit.models.ops.triton_probe import PACKAGES, python_header, triton_gap
from mmctr_kit.training.device import fast_bf16, gpu_faults, gpu_gaps, missing_gpu, prepare
from mmctr_kit.training.gpu_probe import driver_cuda

CHECKS = catalogue(
    CheckInfo("versions", "Python and every library that the kit needs are there."),
    CheckInfo("cores", "The process may use this machine's cores.", worst=Level.WARN),
    CheckInfo("memory", "The memory has room for a model.", worst=Level.WARN),
    CheckInfo("gpu", "Every GPU can be used by the installed torch.", worst=Level.WARN),
    CheckInfo("gpu-memory", "The memory of every GPU is free and large.", worst=Level.WARN),
    CheckInfo("gpu-precision", "Every GPU has bf16 arithmetic.", worst=Level.WARN),
    CheckInfo("triton", "Triton can build kernels for the GPU.", worst=Level.WARN),
    CheckInfo("cache", "The cache can be written."),
    CheckInfo("disk", "The disks of the cache and of the runs have room."),
    CheckInfo("locks", "Locks keep two commands from writing one run."),
    CheckInfo("self-test", "A short training ends the same on every device."),
)
"""The checks of ``doctor``, in the order of its report."""

_LIBRARIES = ("torch", "lightgbm", "pandas", "numpy", "scipy", "scikit-learn", "pyarrow", "optuna")
_SMALL_MEMORY, _SMALL_GPU, _SMALL_DISK, _NO_DISK = 4e9, 4e9, 5e9, 0.2e9
_HELD = 0.5
"""Share of a GPU's memory that others may hold before it is worth a word."""
_BUSY = "end the other processes on it (nvidia-smi lists them), or name another GPU"


@dataclass(frozen=True)
class Card:
    """A GPU: its memory in bytes, and why the installed torch cannot use it, or ""."""

    device: str
    name: str
    capability: tuple[int, int]
    total: int
    free: int
    bf16: bool
    gap: str


def diagnose(runs: Path, self_test: bool = True) -> list[Finding]:
    """Every check of :data:`CHECKS`; ``runs`` is where runs would be written.

    With ``self_test`` it trains for a moment on every device, in processes of their own.
    """
    log = Log(CHECKS)
    doing("looking at the libraries")
    versions = {name: _version(name) for name in (*_LIBRARIES, "triton")}
    check_versions({**versions, "torch": torch.__version__}, log)
    check_machine(available_cores(), os.cpu_count(), free_memory(), log)
    doing("looking at the GPUs")
    cards = find_cards()
    check_cards(cards, missing_gpu(), log)
    usable = [card for card in cards if not card.gap]
    if usable:
        doing("building a kernel")
        with gpu_faults():
            prepare(usable[0].device, torch.get_num_threads())
            check_triton(triton_gap(), log)
    else:
        log.skip("triton", "it is for GPUs alone")
    doing("looking at the disks")
    check_folders(runs, log)
    if self_test:
        check_training(["cpu", *(card.device for card in usable)], log)
    else:
        log.skip("self-test", "it was not asked for")
    return log.findings()


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def check_versions(versions: dict[str, str | None], log: Log) -> None:
    """The version of each library, None for one that is not there; triton may be absent."""
    missing = [name for name, found in versions.items() if found is None and name != "triton"]
    for name in missing:
        log.fail("versions", f"{name} is not installed", f"pip install {name}")
    there = ", ".join(f"{name} {found}" for name, found in versions.items() if found is not None)
    log.passed("versions", f"mmctr-kit {__version__}, Python {platform.python_version()}, {there}")


def check_machine(cores: int, all_cores: int | None, free: int | None, log: Log) -> None:
    """The cores that this process may use, of all, and the bytes of free memory, if known."""
    kept = f" of {all_cores}" if all_cores and all_cores > cores else ""
    bf16 = "bf16 for wide networks" if fast_bf16("cpu") else "float32, since it has no fast bf16"
    what = f"{plural(cores, 'core')}{kept}: on the CPU, cv trains as many fold models at once"
    what += f"; the CPU trains in {bf16}"
    limit = os.environ.get("OMP_NUM_THREADS", "")
    limited = capped(cores) < cores
    log.warn_if(
        limited,
        "cores",
        f"{what}; OMP_NUM_THREADS={limit} keeps a model to {plural(capped(cores), 'thread')}"
        if limited
        else what,
        "unset OMP_NUM_THREADS to let one model use more cores",
    )
    if free is None:
        log.skip("memory", "how much is free is not known on this system")
        return
    log.warn_if(
        free < _SMALL_MEMORY,
        "memory",
        f"{free / 1e9:.1f} GB are free; data check says what your data take",
        "close other programs, or train with --jobs 1",
    )


def find_cards() -> list[Card]:
    """The GPUs that torch sees, usable or not."""
    cards = []
    for device, gap in gpu_gaps().items():
        of = torch.cuda.get_device_properties(device)
        free = total = of.total_memory
        try:
            free, total = (free, total) if gap else torch.cuda.mem_get_info(device)
        except RuntimeError as e:  # even that needs some memory of it
            gap = f"it cannot be used now ({str(e).strip().splitlines()[0]}); {_BUSY}"
        bf16 = not gap and torch.cuda.get_device_capability(device) >= (8, 0)
        cards.append(Card(device, of.name, (of.major, of.minor), total, free, bf16, gap))
    return cards


def check_cards(cards: Sequence[Card], missing: str, log: Log) -> None:
    """The GPUs that torch sees, and why it sees ``missing`` ones not."""
    driver = driver_cuda()
    if not cards:
        todo = "pip install torch, a build for CUDA, to train on the GPU"
        if missing:
            log.warn("gpu", f"no GPU is used: {missing}", "networks train on the CPU until then")
        elif driver is not None and torch.version.cuda is None:
            log.warn(
                "gpu", f"there is an NVIDIA driver; torch {torch.__version__} is for CPUs", todo
            )
        else:
            log.skip("gpu", "torch sees no GPU: networks train on the CPU")
        for check in ("gpu-memory", "gpu-precision"):
            log.skip(check, "torch sees no GPU")
    for card in cards:
        _check_card(card, log)
    if cards and driver is not None:
        log.passed("gpu", f"the driver supports CUDA {driver[0]}.{driver[1]}")


def _check_card(card: Card, log: Log) -> None:
    major, minor = card.capability
    if card.gap:
        what, _, todo = card.gap.rpartition("; ")
        log.warn("gpu", f"{card.device} is left out: {what}", todo)
        return
    log.passed("gpu", f"{card.device}: {card.name}, compute capability {major}.{minor}")
    sizes = f"{card.device}: {card.free / 1e9:.1f} of {card.total / 1e9:.1f} GB are free"
    if card.free < _HELD * card.total:
        log.warn("gpu-memory", f"{sizes}: a run may find it full", _BUSY)
    elif card.total < _SMALL_GPU:
        todo = "expect a smaller training.batch_size, and data on the host (training.data_on)"
        log.warn("gpu-memory", sizes, todo)
    else:
        log.passed("gpu-memory", sizes)
    if card.bf16:
        log.passed("gpu-precision", f"{card.device}: networks train in bf16")
    else:
        log.passed("gpu-precision", f"{card.device} has no bf16: networks train in float32 there")


def check_triton(gap: str, log: Log) -> None:
    """Why Triton cannot build a kernel, or ""."""
    compiler = shutil.which(os.environ.get("CC", "gcc")) or shutil.which("clang") or "none found"
    if gap:
        todo = f"{PACKAGES}; until then steps on a GPU are not compiled, and slower"
        log.warn("triton", f"Triton cannot build kernels: {gap}", todo)
    else:
        header = python_header() if python_header().is_file() else "none found"
        log.passed("triton", f"Triton builds kernels; compiler: {compiler}, Python.h: {header}")


def check_folders(runs: Path, log: Log) -> None:
    """The cache's folder, the disks, and whether locks work on them."""
    folders = {"runs": _existing(runs)}
    try:
        folders["the cache"] = cache_folder()
        size = sum(kind.size for kind in cache_contents())
    except MmctrKitError as e:
        log.fail("cache", str(e), "set MMCTR_KIT_CACHE to a folder that can be written")
    else:
        log.passed("cache", f"{folders['the cache']}, {size / 1e9:.2f} GB")
    for name, folder in folders.items():
        free = shutil.disk_usage(folder).free
        what = f"{free / 1e9:.1f} GB are free for {name} ({folder})"
        if free < _NO_DISK:
            log.fail("disk", what, "make room: a run would stop when it writes")
        else:
            todo = "make room before a long run: it stops when the disk is full"
            log.warn_if(free < _SMALL_DISK, "disk", what, todo)
        _check_lock(name, folder, log)


def _check_lock(name: str, folder: Path, log: Log) -> None:
    check = "cache" if name == "the cache" else "disk"
    try:
        with tempfile.TemporaryDirectory(prefix=".doctor-", dir=folder) as made:
            file = Path(made) / "file"
            with locked(file):
                held = is_locked(file)
    except (OSError, MmctrKitError) as e:
        log.fail(
            check,
            f"{folder} cannot be written ({e})",
            f"mend its permissions, or put {name} elsewhere",
        )
        log.skip("locks", f"{folder} cannot be written")
        return
    if held:
        log.passed("locks", f"they work in {folder}")
    else:
        todo = "never let two commands write one run, or use another folder"
        log.fail("locks", f"a lock in {folder} keeps nobody out (a network file system?)", todo)


def _existing(folder: Path) -> Path:
    """The folder, or the nearest above it that exists."""
    return next(each for each in (folder, *folder.resolve().parents) if each.is_dir())


def check_training(devices: Sequence[str], log: Log) -> None:
    """Train for a moment on each device, the CPU first, with which the others are compared."""
    expected: list[float] = []
    again = "report it, with this output, or train with --devices cpu"
    with tempfile.TemporaryDirectory(prefix="mmctr-kit-doctor-") as root:
        for device in devices:
            doing(f"training for a moment on {device}")
            try:
                losses = short_training(Path(root), device, available_cores())
            except (MmctrKitError, RuntimeError) as e:
                why = str(e).strip().splitlines()[-1]
                log.fail("self-test", f"{device}: training fails: {why}", again)
                continue
            falls = f"{device}: the loss falls from {losses[0]:.4f} to {losses[-1]:.4f}"
            falls += f" in {STEPS} steps"
            expected = expected or losses
            apart = "" if device == "cpu" else difference(losses, expected)
            if apart:
                log.fail("self-test", f"{device} computes wrongly: {apart}", again)
            elif losses[-1] < losses[0] and math.isfinite(sum(losses)):
                log.passed("self-test", falls)
            else:
                log.fail("self-test", falls.replace("falls", "does not fall: it goes"), again)
