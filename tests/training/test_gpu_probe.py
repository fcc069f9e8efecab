"""mmctr_kit.training.gpu_probe: what can be told of a GPU before torch is imported."""

import ctypes
import sys
from importlib import metadata
from types import SimpleNamespace
from typing import Any

import pytest

from mmctr_kit.errors import UsageError
from mmctr_kit.training.device import resolve_device
from mmctr_kit.training.gpu_probe import driver_cuda, may_have_gpu, require_gpu


def pretend(monkeypatch: pytest.MonkeyPatch, build: str, answer: int | None) -> None:
    """A torch of this build on Linux, and a driver that answers so (None: there is no driver)."""

    def open_driver(name: str) -> SimpleNamespace:
        assert name.startswith("libcuda")
        if answer is None:
            raise OSError(f"{name}: cannot open shared object file")
        return SimpleNamespace(cuInit=lambda _: answer)

    monkeypatch.setattr(metadata, "version", lambda _: build)
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(ctypes, "CDLL", open_driver)


@pytest.mark.parametrize(
    ("build", "answer", "may"),
    [
        ("2.13.0+cpu", 0, False),
        ("2.13.0", 0, True),
        ("2.13.0+cu128", None, False),
        ("2.13.0", 100, False),  # a driver that sees no card
        ("2.13.0+rocm6.4", None, True),
    ],
)
def test_only_a_gpu_that_certainly_is_not_there_is_ruled_out(
    monkeypatch: pytest.MonkeyPatch, build: str, answer: int | None, may: bool
) -> None:
    pretend(monkeypatch, build, answer)
    assert may_have_gpu() is may


def test_what_is_ruled_out_is_refused_in_the_words_that_torch_would_bring(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import torch

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    pretend(monkeypatch, "2.13.0+cpu", None)
    for wanted in ("cuda", "cuda:0", "cuda:0,cuda:1"):
        said = []
        for refuse in (require_gpu, resolve_device):
            with pytest.raises(UsageError) as caught:
                refuse(wanted)
            said.append(str(caught.value))
        assert said[0] == said[1]
    for wanted in ("auto", "cpu"):
        require_gpu(wanted)


def test_the_driver_says_which_cuda_it_supports(monkeypatch: pytest.MonkeyPatch) -> None:
    def version(target: Any) -> int:
        target._obj.value = 12040
        return 0

    driver = SimpleNamespace(cuDriverGetVersion=version)
    monkeypatch.setattr(ctypes, "CDLL", lambda _: driver)
    assert driver_cuda() == (12, 4)
    pretend(monkeypatch, "2.13.0", None)
    assert driver_cuda() is None


def test_it_never_rules_out_a_gpu_that_torch_sees() -> None:
    import torch

    assert may_have_gpu() or not torch.cuda.is_available()
