"""mmctr_kit.models.ops.triton_probe: without Triton torch sums, and one warning says so."""

import subprocess
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch

from mmctr_kit.models.ops import triton_probe
from mmctr_kit.models.ops.triton_probe import triton_gap, warn_without_triton


class _TritonError(Exception):
    pass


@pytest.fixture(autouse=True)
def fresh() -> Iterator[None]:
    for probe in (triton_gap, warn_without_triton):
        probe.cache_clear()
    yield
    for probe in (triton_gap, warn_without_triton):
        probe.cache_clear()


def pretend(monkeypatch: pytest.MonkeyPatch, fault: Exception | None, header: bool = True) -> None:
    """A torch with Triton whose kernel fails so (None: it works), with or without Python.h."""

    def sum_rows(*_: Any) -> None:
        if fault is not None:
            raise fault

    kernel, errors = ModuleType("segment_kernel"), ModuleType("triton.errors")
    kernel.sum_rows, errors.TritonError = sum_rows, _TritonError  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "mmctr_kit.models.ops.segment_kernel", kernel)
    monkeypatch.setitem(sys.modules, "triton", ModuleType("triton"))
    monkeypatch.setitem(sys.modules, "triton.errors", errors)
    monkeypatch.setattr(triton_probe, "find_spec", lambda _: object())
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 0)
    monkeypatch.setattr(torch, "ones", lambda *_, **__: None)
    monkeypatch.setattr(torch, "tensor", lambda *_, **__: None)
    here = Path(__file__) if header else Path("nowhere/Python.h")
    monkeypatch.setattr(triton_probe, "python_header", lambda: here)


COMPILER = subprocess.CalledProcessError(1, ["gcc", "x.c"])


@pytest.mark.parametrize(
    ("fault", "header", "said"),
    [
        (RuntimeError("Failed to find C compiler. Please"), True, "there is no C compiler"),
        (COMPILER, False, "there is no nowhere/Python.h"),
        (COMPILER, True, "CalledProcessError: Command"),
        (_TritonError("sm_60 is too old\nmore"), True, "_TritonError: sm_60 is too old"),
        (AssertionError("libcuda.so cannot found!"), True, "AssertionError: libcuda"),
    ],
)
def test_what_triton_lacks_is_named_in_one_warning(
    monkeypatch: pytest.MonkeyPatch, fault: Exception, header: bool, said: str
) -> None:
    pretend(monkeypatch, fault, header)
    with pytest.warns(UserWarning, match="apt install gcc python3-dev") as caught:
        assert warn_without_triton()
    assert said in str(caught[0].message)
    assert "\n" not in triton_gap()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert warn_without_triton()


def test_nothing_is_said_if_triton_builds(monkeypatch: pytest.MonkeyPatch) -> None:
    pretend(monkeypatch, None)
    assert triton_gap() == ""
    assert not warn_without_triton()


def test_a_full_gpu_is_no_fault_of_triton(monkeypatch: pytest.MonkeyPatch) -> None:
    pretend(monkeypatch, torch.OutOfMemoryError("CUDA out of memory."))
    with pytest.raises(torch.OutOfMemoryError):
        triton_gap()


def test_a_torch_without_triton_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(triton_probe, "find_spec", lambda _: None)
    assert triton_gap() == "this build of torch came without Triton"
