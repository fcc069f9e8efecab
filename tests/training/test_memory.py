"""mmctr_kit.training.memory: which batch fits a GPU's memory."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from mmctr_kit.data.dataset import ChallengeData
from mmctr_kit.recipe import Training
from mmctr_kit.training import memory
from mmctr_kit.training.data.batches import to_device
from mmctr_kit.training.data.sampler import RowSampler
from mmctr_kit.training.data.static_shapes import StaticShapes
from mmctr_kit.training.memory import StepMemory, measure_step
from mmctr_kit.training.step import Step
from tests.training.test_fit import CPU, small_din


@given(
    fixed=st.floats(0, 1e11), per_row=st.floats(0, 1e7), room=st.floats(0, 1e11), size=st.just(256)
)
def test_the_largest_power_of_two_that_fits(
    fixed: float, per_row: float, room: float, size: int
) -> None:
    step = StepMemory(fixed, per_row, room)
    most = step.most_rows(room)
    if most:
        assert most >= size
        assert most & (most - 1) == 0
        assert step.of(most) <= room + 1
        assert per_row < 1 or step.of(2 * most) > room - 1e-3 * room
    else:
        assert fixed + size * max(per_row, 1.0) > room - 1


def test_what_rows_take_is_told_from_what_weights_take(
    tiny: ChallengeData, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The tensors of a device are counted; here a host's saved activations stand for them."""
    data = to_device(tiny, CPU, 64)
    model: nn.Module = small_din(tiny)
    model.train()
    known = torch.ones(data.n_users + 1, dtype=torch.bool)
    step = Step(model, data, Training(precision="float32"), known)
    counted = {"current": 7_000, "peak": 7_000}
    lengths = data.rows["train"].lengths

    def draw(rows: int) -> tuple[Tensor, StaticShapes]:
        sampler = RowSampler(torch.arange(len(lengths)), lengths, rows, 0)
        counted["peak"] = 7_000 + 1_000 + 30 * rows
        return sampler.batches(0, 1)[0], sampler.shapes

    monkeypatch.setattr(memory, "_requested", lambda _, which: counted[which])
    monkeypatch.setattr(torch.cuda, "reset_peak_memory_stats", lambda _: None)
    before = {k: v.clone() for k, v in step.state().items()}
    found = measure_step(step, draw, 1e6)
    weights = sum(p.nbytes for p in model.parameters())
    state = sum(v.nbytes for v in model.state_dict().values())
    assert found == StepMemory(7_000 + 1_000 + weights + state, 30.0, 1e6)
    for name, tensor in step.state().items():
        assert np.array_equal(tensor.detach(), before[name]), name
    assert all(p.grad is None for p in model.parameters())


def test_a_full_card_names_a_batch_that_fits() -> None:
    step = StepMemory(fixed=2e9, per_row=3e6, room=16e9)
    said = step.smaller_batch(8192)
    assert said.startswith("a step of 8,192 rows takes about 26.6 GB, and 16.0 GB were free: ")
    assert said.endswith("set training.batch_size=4096")
    assert step.smaller_batch(4096).endswith("set training.batch_size=2048")  # others took memory
    assert StepMemory(15e9, 3e6, 16e9).smaller_batch(512).endswith("256 rows fits either")


@pytest.mark.cuda
def test_a_step_takes_about_what_two_small_batches_say(tiny: ChallengeData) -> None:
    gpu = torch.device("cuda")
    data, size = to_device(tiny, gpu, 64), 2048
    lengths = data.rows["train"].lengths
    known = torch.ones(data.n_users + 1, dtype=torch.bool, device=gpu)
    step = Step(small_din(tiny).to(gpu).train(), data, Training(precision="float32"), known)

    def draw(rows: int) -> tuple[Tensor, StaticShapes]:
        sampler = RowSampler(torch.arange(len(lengths), device=gpu), lengths, rows, 0)
        return sampler.batches(0, 1)[0], sampler.shapes

    before = {k: v.clone() for k, v in step.state().items()}
    found = measure_step(step, draw, 1e9)
    assert all(torch.equal(v, before[k]) for k, v in step.state().items())
    index, shapes = draw(size)
    torch.cuda.reset_peak_memory_stats(gpu)
    step(index, shapes.positions, shapes.buckets)
    taken = torch.cuda.memory_stats(gpu)["requested_bytes.all.peak"]
    del before
    # It counts a snapshot too, and no step may take more than it says.
    assert taken <= 1.1 * found.of(size)
    assert found.of(size) <= 2 * taken
