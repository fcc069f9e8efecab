"""mmctr_kit.bench.self_test: a short training, and how two devices' losses are compared."""

import math
from pathlib import Path

import pytest
import torch

from mmctr_kit.bench.self_test import STEPS, _losses, difference, short_training

LOSSES = [0.7 - 0.01 * step for step in range(STEPS)]


def test_a_short_training_learns_and_is_the_same_again(
    tiny_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "world").symlink_to(tiny_root)
    monkeypatch.setenv("MMCTR_KIT_CACHE", "set anew and put back")
    threads = torch.get_num_threads()
    try:
        first, second = (_losses(tmp_path, "cpu", 1) for _ in range(2))
    finally:
        torch.set_num_threads(threads)
    assert first == second
    assert len(first) == STEPS
    assert first[-1] < first[0]
    assert difference(first, second) == ""


@pytest.mark.parametrize(
    ("step", "factor", "found"),
    [
        (0, 1 + 5e-6, False),
        (0, 1 + 5e-5, True),  # nothing but the first forward pass lies behind it
        (3, 1 + 5e-4, False),
        (3, 1 + 5e-3, True),
        (5, math.nan, True),
        (0, 0.0, True),
    ],
)
def test_losses_that_rounding_does_not_explain_are_named(
    step: int, factor: float, found: bool
) -> None:
    other = list(LOSSES)
    other[step] *= factor
    said = difference(other, LOSSES)
    assert bool(said) is found
    if found:
        assert said.startswith(f"the loss of step {step + 1} is ")


@pytest.mark.cuda
def test_a_gpu_trains_as_the_cpu_does(tiny_root: Path, tmp_path: Path) -> None:
    (tmp_path / "world").symlink_to(tiny_root)
    on_cpu, on_gpu = (short_training(tmp_path, device, 1) for device in ("cpu", "cuda:0"))
    assert difference(on_gpu, on_cpu) == ""
