"""mmctr_kit.training.device: which device a run gets."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from mmctr_kit.errors import UsageError
from mmctr_kit.training.device import describe_device, free_bytes, prepare, resolve_device


def test_auto_is_the_gpu_where_there_is_one_and_the_cpu_elsewhere() -> None:
    cards = ",".join(f"cuda:{i}" for i in range(torch.cuda.device_count()))
    assert resolve_device("auto") == (cards or "cpu")
    assert resolve_device("cpu") == "cpu"


def test_several_cards_are_taken_and_an_absent_one_is_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 3)
    assert resolve_device("cuda") == resolve_device("auto") == "cuda:0,cuda:1,cuda:2"
    assert resolve_device("cuda:2,cuda:0") == "cuda:2,cuda:0"
    with pytest.raises(UsageError, match="'cuda:3' is not there; choose from auto, cpu, cuda,"):
        resolve_device("cuda:1,cuda:3")


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU here")
def test_an_absent_gpu_that_was_asked_for_is_an_error_not_a_silent_cpu_run() -> None:
    with pytest.raises(UsageError, match="no GPU here"):
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
    monkeypatch.setattr(torch.cuda, "set_device", found.append)
    prepare("cuda:1", torch.get_num_threads())
    prepare("cpu", torch.get_num_threads())
    assert found == [torch.device("cuda:1")]


def test_preparing_sets_the_threads() -> None:
    before = torch.get_num_threads()
    try:
        prepare("cpu", 1)
        assert torch.get_num_threads() == 1
    finally:
        torch.set_num_threads(before)
    assert describe_device("cpu").startswith("CPU")


HUGE_PAGES = Path("/sys/kernel/mm/transparent_hugepage/enabled")


@pytest.mark.skipif(
    not HUGE_PAGES.exists() or "[madvise]" not in HUGE_PAGES.read_text(),
    reason="huge pages are not given on request here",
)
def test_on_a_cpu_large_tensors_are_in_huge_pages_which_are_kept_when_they_are_freed() -> None:
    code = """
import torch
from pathlib import Path
from mmctr_kit.training.device import prepare
prepare("cpu", 1)
def huge():
    lines = Path("/proc/self/smaps_rollup").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("AnonHugePages"))
before = huge()
first = torch.zeros(64 << 18)
print(huge() - before)
del first
print(huge() - before)
"""
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    gained, kept = map(int, done.stdout.split())
    assert gained >= 48 << 10
    assert kept >= 48 << 10


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="no /proc here")
def test_where_memory_is_limited_none_is_asked_for_that_may_not_be_used() -> None:
    code = """
import resource
import torch
from pathlib import Path
from mmctr_kit.training.device import prepare
def size():
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmSize"))
resource.setrlimit(resource.RLIMIT_AS, (32 << 30, resource.RLIM_INFINITY))
before = size()
prepare("cpu", 1)
print(size() - before)
"""
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert int(done.stdout) < 1 << 20
