"""mmctr_kit.training.device: which device a run gets."""

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
    with pytest.raises(UsageError, match="'cuda:3' does not exist; choose from auto, cpu, cuda,"):
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
