"""mmctr_kit.training.step_modes: what is tried, what is given up, and what is said of it."""

from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from mmctr_kit.data.dataset import ChallengeData
from mmctr_kit.models.batch import Batch
from mmctr_kit.models.din import DIN
from mmctr_kit.recipe import Training, load_recipe
from mmctr_kit.training.cuda_graph import StaticSteps
from mmctr_kit.training.data.batches import to_device
from mmctr_kit.training.step import Step, compiled_batches, eager
from mmctr_kit.training.step_modes import Modes, capture_on, cuda_graph, first_cause, resolve_steps
from tests.training.learners import learner_of
from tests.training.test_cuda_graph import PACES, batches, run
from tests.training.test_fit import small_din


def other(*arguments: Any) -> Tensor:
    return eager(*arguments)


def test_steps_are_compiled_on_a_gpu_and_plain_on_a_cpu_unless_told() -> None:
    assert resolve_steps("auto", torch.device("cpu")) == "plain"
    assert resolve_steps("auto", torch.device("cuda")) == "compiled"
    assert resolve_steps("captured", torch.device("cpu")) == "captured"


def test_the_fastest_mode_that_is_left_is_taken() -> None:
    assert capture_on(torch.device("cuda")) is cuda_graph
    assert capture_on(torch.device("cpu")) is None
    assert Modes().mode == "plain"
    assert Modes(capture=cuda_graph).mode == "captured"
    assert Modes(other).mode == "compiled"
    both = Modes(other, capture=cuda_graph)
    assert both.mode == "compiled + captured"
    with pytest.warns(UserWarning, match="goes on without torch.compile, slower: it is late$"):
        both.give_up("compiled", "torch.compile", "it is late")
    assert both.mode == "captured"
    with pytest.warns(UserWarning, match="goes on without a CUDA graph"):
        both.give_up("captured", "a CUDA graph", "it is late")
    assert both.mode == "plain"


def failed(text: str) -> Exception:
    """As torch reports a failed compile: its cause hidden, a lookup before the cause."""
    try:
        try:
            try:
                {}["key"]
            except KeyError:
                raise OSError("\nno C compiler found\nset CC")  # noqa: B904
        except OSError as e:
            raise RuntimeError("backend='inductor' raised:") from e
    except RuntimeError:
        try:
            raise ValueError(text) from None
        except ValueError as e:
            return e


def test_a_message_names_the_first_cause_and_the_details_are_the_whole_chain() -> None:
    assert first_cause(failed("compiling failed")) == "OSError: no C compiler found"
    assert first_cause(KeyError("key")) == "KeyError: 'key'"
    assert first_cause(RuntimeError()) == "RuntimeError"
    modes = Modes(other)
    with pytest.warns(UserWarning, match=r"slower: OSError: no C compiler found \(all of it"):
        modes.give_up("compiled", "torch.compile", failed("compiling failed"))
    (line,) = modes.fallbacks
    assert line == "training goes on without torch.compile, slower: OSError: no C compiler found"
    assert modes.details[0] == line
    assert "set CC" in modes.details
    assert "ValueError: compiling failed" in modes.details


def test_what_cannot_be_compiled_is_tried_by_the_first_fit_of_a_learner_alone(
    tiny: ChallengeData, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried: list[int] = []

    def broken(*_arguments: Any) -> Tensor:
        tried.append(1)
        raise RuntimeError("no compiler")

    monkeypatch.setattr("mmctr_kit.training.neural.compiled", lambda: broken)
    monkeypatch.setattr(
        "mmctr_kit.training.neural.compiled_batches", partial(compiled_batches, "eager")
    )
    settings = ("training.steps=compiled", "training.epochs=1", "training.min_steps=0")
    learner = learner_of(load_recipe("din_demo", settings), tiny)
    rows = np.arange(1000)
    with pytest.warns(UserWarning, match="without torch.compile"):
        list(learner.fit(rows[:900], rows[900:], seed=0))
    assert len(tried) == 2  # the second time with batches as they are
    list(learner.fit(rows[:900], rows[900:], seed=1))
    assert len(tried) == 2
    assert learner.trained().steps == "plain"
    assert len(learner.trained().fallbacks) == 1
    assert any("Traceback" in line for line in learner.trained().details)


class Waiting(DIN):
    """Reads a value of the device, which no capture allows."""

    def forward(self, batch: Batch) -> Tensor:
        return super().forward(batch) * (1.0 if float(batch.item[0]) >= 0 else 2.0)


@pytest.mark.cuda
def test_after_a_failed_capture_a_gpu_goes_on_where_plain_steps_would(tiny: ChallengeData) -> None:
    """With dropout, whose random state a capture holds; on the stream that was current before."""
    data, stream = to_device(tiny, torch.device("cuda"), 64), torch.cuda.current_stream()
    known = torch.ones(data.n_users + 1, dtype=torch.bool, device="cuda")
    totals = []
    for kind in (Waiting, DIN):
        model = small_din(tiny)
        model.__class__ = kind
        step = Step(model.cuda().train(), data, Training(precision="float32"), known)
        steps = StaticSteps(step, Modes(capture=cuda_graph if kind is Waiting else None))
        torch.manual_seed(5)
        if kind is Waiting:
            with pytest.warns(UserWarning, match="goes on without a CUDA graph"):
                totals.append(run(steps, batches(data).cuda(), PACES.cuda()))
            assert steps.modes.mode == "plain"
        else:
            totals.append(run(steps, batches(data).cuda(), PACES.cuda()))
        assert torch.cuda.current_stream() == stream
    assert torch.allclose(*totals, rtol=1e-4)
