"""mmctr_kit.training.device: which device a run gets."""

import warnings

import pytest
import torch

from mmctr_kit.errors import GpuFailureError, MemoryShortageError, UsageError
from mmctr_kit.training import device as module
from mmctr_kit.training.device import (
    describe_device,
    free_bytes,
    gpu_faults,
    has_kernels,
    missing_gpu,
    prepare,
    resolve_device,
    warn_of_slow_bf16,
)


def test_auto_is_the_gpu_where_there_is_one_and_the_cpu_elsewhere() -> None:
    cards = ",".join(f"cuda:{i}" for i in range(torch.cuda.device_count()))
    assert resolve_device("auto") == (cards or "cpu")
    assert resolve_device("cpu") == "cpu"


def test_several_cards_are_taken_and_an_absent_one_is_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "gpu_gaps", lambda: {f"cuda:{i}": "" for i in range(3)})
    assert resolve_device("cuda") == resolve_device("auto") == "cuda:0,cuda:1,cuda:2"
    assert resolve_device("cuda:2,cuda:0") == "cuda:2,cuda:0"
    with pytest.raises(UsageError, match="'cuda:3' does not exist; choose from auto, cpu, cuda,"):
        resolve_device("cuda:1,cuda:3")


def cards(monkeypatch: pytest.MonkeyPatch, *found: tuple[int, int], cuda: str = "13.0") -> None:
    """A torch of PyPI that sees cards of these capabilities."""
    monkeypatch.setattr(module, "_begin_cuda", lambda: None)
    monkeypatch.setattr(module, "missing_gpu", lambda: "")
    monkeypatch.setattr(torch.version, "cuda", cuda)
    monkeypatch.setattr(torch, "__version__", "2.13.0+cu130")
    answers = {
        "is_available": lambda: True,
        "device_count": lambda: len(found),
        "get_device_capability": found.__getitem__,
        "get_device_name": lambda number: f"Card {number}",
        "get_arch_list": lambda: ["sm_75", "sm_80", "sm_90", "sm_120"],
    }
    for name, answer in answers.items():
        monkeypatch.setattr(torch.cuda, name, answer)


def test_a_card_without_kernels_is_left_out_by_auto_and_refused_by_name(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    cards(monkeypatch, (6, 0), (8, 6))
    with pytest.warns(UserWarning, match=r"cuda:0 is left out: .*Card 0 .*6\.0.*/cu126$"):
        assert resolve_device("auto") == "cuda:1"
    assert resolve_device("cuda:1") == "cuda:1"
    for wanted in ("cuda", "cuda:0"):
        with pytest.raises(UsageError, match=r"torch==2\.13\.0 --index-url \S+/cu126; or use cpu"):
            resolve_device(wanted)


def test_with_no_usable_card_auto_is_the_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    cards(monkeypatch, (13, 0))
    with pytest.warns(UserWarning, match=r"cuda:0 is left out: .*/cu130$"):
        assert resolve_device("auto") == "cpu"


@pytest.mark.parametrize(
    ("card", "code", "runs"),
    [
        ((8, 6), "sm_80", True),  # a binary runs on later cards of its major version
        ((8, 0), "sm_86", False),
        ((9, 0), "sm_80", False),
        ((9, 0), "compute_80", True),  # PTX is compiled for any later card
        ((7, 5), "compute_80", False),
        ((9, 0), "sm_90a", True),
        ((10, 3), "sm_100f", True),
        ((10, 3), "sm_100a", False),
        ((12, 0), "sm_100f", False),
    ],
)
def test_code_runs_on_the_cards_that_nvidia_promises(
    card: tuple[int, int], code: str, runs: bool
) -> None:
    assert has_kernels(card, [code]) is runs
    assert has_kernels(card, ["sm_50", code]) is runs


@pytest.mark.parametrize(
    ("driver", "remedy"),
    [((12, 4), "update the driver, or pip install .*/cu126$"), ((11, 4), "update the driver$")],
)
def test_too_old_a_driver_is_named(
    monkeypatch: pytest.MonkeyPatch, driver: tuple[int, int], remedy: str
) -> None:
    def unavailable() -> bool:
        warnings.warn("CUDA initialization: The NVIDIA driver is too old", stacklevel=1)
        return False

    monkeypatch.setattr(torch.cuda, "is_available", unavailable)
    monkeypatch.setattr(torch.version, "cuda", "13.0")
    monkeypatch.setattr(module, "driver_cuda", lambda: driver)
    missing_gpu.cache_clear()
    try:
        with pytest.raises(UsageError, match=f"CUDA {driver[0]}.4, and torch .* needs CUDA 13.0; "):
            resolve_device("cuda")
        with pytest.warns(UserWarning, match=f"^no GPU is used: .*{remedy}"):
            assert resolve_device("auto") == "cpu"
    finally:
        missing_gpu.cache_clear()


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (torch.OutOfMemoryError("CUDA out of memory."), MemoryShortageError),
        (RuntimeError("CUDA error: out of memory\nmore"), MemoryShortageError),
        (RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when"), MemoryShortageError),
        (torch.AcceleratorError("CUDA error: unspecified launch failure\nmore"), GpuFailureError),
        (RuntimeError("Triton Error [CUDA]: an illegal access"), GpuFailureError),
        (RuntimeError("shapes differ"), RuntimeError),
    ],
)
def test_a_full_or_failing_gpu_is_one_line(error: Exception, expected: type[Exception]) -> None:
    with pytest.raises(expected) as caught, gpu_faults(lambda: "take less"):
        raise error
    assert type(caught.value) is expected
    text = str(caught.value)
    assert "\n" not in text
    if expected is MemoryShortageError:
        assert "full; take less, keep the data on the host" in text
    if expected is GpuFailureError:
        assert "it goes on from the last epoch" in text


def test_bf16_on_a_card_without_it_is_warned_of(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "describe_device", lambda _: "Tesla T4")
    monkeypatch.setattr(module, "fast_bf16", lambda device: device == "cuda:1")
    with pytest.warns(UserWarning, match="Tesla T4 has no bf16 arithmetic"):
        assert warn_of_slow_bf16("bf16", "cuda:0") == "Tesla T4 has no bf16 arithmetic"
    for quiet in (("auto", "cuda:0"), ("bf16", "cuda:1"), ("bf16", "cpu")):
        assert warn_of_slow_bf16(*quiet) == ""


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU here")
def test_an_absent_gpu_that_was_asked_for_is_an_error_not_a_silent_cpu_run() -> None:
    with pytest.raises(UsageError, match="torch sees no GPU here; use cpu, or auto"):
        resolve_device("cuda")


def test_what_torch_keeps_of_freed_tensors_is_free_for_more(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda _: (1_000, 9_000))
    monkeypatch.setattr(torch.cuda, "memory_reserved", lambda _: 500)
    monkeypatch.setattr(torch.cuda, "memory_allocated", lambda _: 200)
    assert free_bytes(torch.device("cuda:0")) == 1_300
    assert free_bytes(torch.device("cpu")) is None


def test_preparing_makes_the_card_the_current_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """Streams and graphs are the current card's, whatever card the tensors are on."""
    found: list[torch.device] = []
    monkeypatch.setattr(module, "_begin_cuda", lambda: None)
    monkeypatch.setattr(torch.cuda, "set_device", found.append)
    prepare("cuda:1", torch.get_num_threads())
    prepare("cpu", torch.get_num_threads())
    assert found == [torch.device("cuda:1")]


def test_sums_of_products_in_bf16_stay_in_float32() -> None:
    torch.backends.cuda.matmul.allow_bf16_reduced_precision_reduction = True
    prepare("cpu", torch.get_num_threads())
    assert not torch.backends.cuda.matmul.allow_bf16_reduced_precision_reduction


def test_preparing_sets_the_threads() -> None:
    before = torch.get_num_threads()
    try:
        prepare("cpu", 1)
        assert torch.get_num_threads() == 1
    finally:
        torch.set_num_threads(before)
    assert describe_device("cpu").startswith("CPU")


@pytest.mark.cuda
def test_a_gpu_without_room_is_told_in_one_line_and_goes_on() -> None:
    full = pytest.raises(MemoryShortageError, match=r"^the GPU's memory is full; free what")
    with full, gpu_faults():
        torch.empty(1 << 50, device="cuda")
    assert float(torch.ones(2, device="cuda").sum()) == 2
