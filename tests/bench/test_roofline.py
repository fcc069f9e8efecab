"""mmctr_kit.bench.roofline: the best throughput and bandwidth of this machine."""

import pytest
import torch

from mmctr_kit.bench import roofline
from mmctr_kit.bench.roofline import measure_roofline


def test_the_roofline_is_measured_in_plausible_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(roofline, "_SIZES", {"cpu": (256,)})
    monkeypatch.setattr(roofline, "_COPY_BYTES", {"cpu": 1 << 22})
    monkeypatch.setattr(roofline, "_SECONDS", 0.0)
    measured = measure_roofline(torch.device("cpu"), "float32")
    assert measured.dtype == "float32"
    assert 1e8 < measured.flops < 1e15
    assert 1e7 < measured.bytes < 1e13
