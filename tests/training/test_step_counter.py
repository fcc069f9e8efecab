"""Counting steps: at once on a CPU, behind the device on a GPU, and never if nobody listens."""

from types import SimpleNamespace
from typing import Any

import pytest
import torch

from mmctr_kit.activity import Activity, Counter, heard_by
from mmctr_kit.training.step_counter import AHEAD, StepCounter


def test_on_a_cpu_a_step_that_was_called_is_finished() -> None:
    with heard_by(lambda _: None):
        inner = Counter("training", 10)
        count = StepCounter(inner, torch.device("cpu"))
        for _ in range(10):
            count()
    assert inner.done == 10
    count.finish()
    assert inner.done == 10


class FakeStream:
    """A stream whose events note, when they are waited for, how many steps were launched."""

    def __init__(self) -> None:
        self.launched = 0
        self.waited: list[tuple[int, int]] = []

    def record_event(self) -> Any:
        self.launched += 1
        number = self.launched
        return SimpleNamespace(synchronize=lambda: self.waited.append((number, self.launched)))


def test_on_a_gpu_the_host_stays_ahead_and_counts_only_what_is_finished(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stream, heard = FakeStream(), list[Activity]()
    monkeypatch.setattr(torch.cuda, "current_stream", lambda _: stream)
    with heard_by(heard.append, every=0.0):
        inner = Counter("training", 100)
        count = StepCounter(inner, torch.device("cuda"))
        for _ in range(100):
            count()
        assert inner.done == 100 - AHEAD
        count.finish()
    assert inner.done == 100
    assert [number for number, _ in stream.waited] == list(range(1, 101))
    # Until the end, a step is waited for when that many others are launched behind it.
    assert {launched - number for number, launched in stream.waited[: 100 - AHEAD]} == {AHEAD}


def test_on_a_gpu_nothing_is_waited_for_if_nobody_listens(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = FakeStream()
    monkeypatch.setattr(torch.cuda, "current_stream", lambda _: stream)
    count = StepCounter(Counter("training", 100), torch.device("cuda"))
    for _ in range(100):
        count()
    count.finish()
    assert (stream.launched, stream.waited) == (0, [])
