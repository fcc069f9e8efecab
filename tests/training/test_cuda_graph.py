"""mmctr_kit.training.cuda_graph: an epoch's steps, plainly and at fixed sizes."""

import warnings
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from mmctr_kit.data.dataset import ChallengeData
from mmctr_kit.models.batch import Batch
from mmctr_kit.models.transformer_dcn import TransformerDCN
from mmctr_kit.recipe import Training
from mmctr_kit.training.cuda_graph import EagerSteps, StaticSteps
from mmctr_kit.training.data.batches import DeviceData, make_batch, to_device
from mmctr_kit.training.data.sampler import RowSampler
from mmctr_kit.training.data.source import Chunk, OnDevice
from mmctr_kit.training.step import Forward, Step, compiled, compiled_batches, eager
from tests.training.test_fit import CPU, small_din

PACES = torch.tensor([[1e-3, 1.0], [2e-3, 0.5], [3e-3, 0.25], [1e-3, 0.25]])


@pytest.fixture(scope="module")
def device_data(tiny: ChallengeData) -> DeviceData:
    return to_device(tiny, CPU, 64)


def small_transformer(tiny: ChallengeData) -> TransformerDCN:
    torch.manual_seed(0)
    model = TransformerDCN(
        item_tags=torch.from_numpy(tiny.item_tags.astype(np.int64)),
        item_emb=torch.from_numpy(np.array(tiny.item_emb[:, :8])),
        n_tags=tiny.n_tags,
        embedding_dim=4,
        transformer_layers=1,
        dim_feedforward=8,
        first_k_cols=3,
        cross_layers=1,
        dcn_hidden=(8,),
        mlp_hidden=(8,),
    )
    for module in model.modules():
        if isinstance(module, nn.Embedding):  # else histories would hardly matter
            nn.init.normal_(module.weight, std=0.5)
    return model


def step_of(model: nn.Module, data: DeviceData, forward: Forward = eager) -> Step:
    known = torch.ones(data.n_users + 1, dtype=torch.bool)
    return Step(model.eval(), data, Training(average="ema"), known, forward)


def stream(data: DeviceData, size: int = 64) -> RowSampler:
    rows = data.rows["train"]
    return RowSampler(torch.arange(len(rows)), rows.lengths, size, 0)


def batches(data: DeviceData, size: int = 64, steps: int = 4) -> Tensor:
    return stream(data, size).batches(0, steps)


def chunk_of(data: DeviceData, index: Tensor) -> Chunk:
    """One chunk of batches (S, B)."""
    [found] = OnDevice(data).chunks("train", index.flatten(), [index.shape[1]] * len(index))
    return found


def run(
    steps: EagerSteps | StaticSteps, index: Tensor, paces: Tensor, known: bool = False
) -> Tensor:
    """``known``: the batches are the stream's; of others it is not known how long histories are."""
    data = steps.step.data
    total = torch.zeros((), device=data.device)
    sizes = stream(data, index.shape[1]).shapes
    sizes = sizes if known else replace(sizes, buckets=())
    steps.run(chunk_of(data, index), paces, total, sizes)
    return total


def logits(step: Step, rows: Tensor) -> Tensor:
    """(B,) of the train rows (B,)."""
    with torch.no_grad():
        return eager(step.model, step.batch(rows))


def test_plain_steps_train_as_steps_without_dummies_do(
    device_data: DeviceData, tiny: ChallengeData
) -> None:
    index = batches(device_data)
    first, second = (step_of(small_din(tiny), device_data) for _ in range(2))
    total = run(EagerSteps(first), index, PACES)
    losses = []
    for rows, pace in zip(index, PACES, strict=True):
        second.pace.copy_(pace)
        losses.append(second(rows))
    assert torch.allclose(total, torch.stack(losses).sum(), atol=1e-5)
    for name, tensor in first.state().items():
        assert torch.allclose(second.state()[name], tensor, atol=1e-5), name


@pytest.mark.slow
@pytest.mark.parametrize("forward", [eager, compiled("aot_eager")], ids=["plain", "compiled"])
def test_steps_of_fixed_size_train_the_model_that_plain_ones_train(
    device_data: DeviceData, tiny: ChallengeData, forward: Forward
) -> None:
    index = batches(device_data)
    first, second = step_of(small_din(tiny), device_data), None
    expected = run(EagerSteps(first), index, PACES)
    second = step_of(small_din(tiny), device_data, forward)
    steps = StaticSteps(second)
    found = run(steps, index, PACES)
    assert second.forward is forward  # and nothing fell back
    assert torch.allclose(found, expected, atol=1e-5)
    assert steps.compile_seconds > 0
    for name, tensor in first.state().items():
        assert torch.allclose(second.state()[name], tensor, atol=1e-5), name


@pytest.mark.slow
@pytest.mark.parametrize("forward", [eager, compiled("aot_eager")], ids=["plain", "compiled"])
def test_a_model_that_pads_is_trained_in_buckets_as_without(
    device_data: DeviceData, tiny: ChallengeData, forward: Forward
) -> None:
    index = batches(device_data)
    assert len(stream(device_data).shapes.buckets) > 1
    first = step_of(small_transformer(tiny), device_data)
    expected = run(EagerSteps(first), index, PACES)
    for kind, way in ((EagerSteps, eager), (StaticSteps, forward)):
        second = step_of(small_transformer(tiny), device_data, way)
        found = run(kind(second), index, PACES, known=True)
        assert second.forward is way  # and nothing fell back
        assert torch.allclose(found, expected, atol=1e-5)
        assert torch.allclose(*(logits(s, index[0]) for s in (second, first)), atol=1e-4)


@pytest.mark.slow
def test_preparing_changes_neither_weights_nor_random_state(
    device_data: DeviceData, tiny: ChallengeData
) -> None:
    """So that a fit that compiles and one resumed without it are the same."""

    def trained(prepared: bool) -> dict[str, Tensor]:
        step = step_of(small_din(tiny), device_data, compiled("aot_eager"))
        step.model.train()  # with dropout
        steps = StaticSteps(step)
        if prepared:
            state = {k: v.clone() for k, v in step.state().items()}
            run(steps, batches(device_data), PACES)
            step.fill(state)
        torch.manual_seed(5)
        run(steps, batches(device_data), PACES)
        return step.state()

    before, after = trained(True), trained(False)
    assert all(torch.equal(v, after[k]) for k, v in before.items())


def test_a_batch_beyond_the_static_total_enlarges_it(
    device_data: DeviceData, tiny: ChallengeData
) -> None:
    lengths = device_data.rows["train"].lengths
    longest = lengths.argsort(descending=True)[:64]
    index = torch.stack([longest, torch.arange(64)])
    assert lengths[longest].sum() > stream(device_data).shapes.positions
    first, second = (step_of(small_din(tiny), device_data) for _ in range(2))
    expected = run(EagerSteps(first), index, PACES[:2])
    assert torch.allclose(run(StaticSteps(second), index, PACES[:2]), expected, atol=1e-5)


def test_a_chunk_after_a_larger_one_has_dummies_as_if_it_were_the_first(
    device_data: DeviceData, tiny: ChallengeData
) -> None:
    """Dropout draws for dummies too, and a resumed fit has not seen the larger one."""
    longest = device_data.rows["train"].lengths.argsort(descending=True)[:64]
    steps = StaticSteps(step_of(small_din(tiny), device_data))
    run(steps, batches(device_data), PACES)
    first = steps._positions
    run(steps, longest[None], PACES[:1])
    assert steps._positions > first
    run(steps, batches(device_data), PACES)
    assert steps._positions == first


@pytest.mark.parametrize("kind", [EagerSteps, StaticSteps])
def test_steps_tell_the_model_what_is_known_of_its_batches(
    device_data: DeviceData, tiny: ChallengeData, kind: type[EagerSteps | StaticSteps]
) -> None:
    told: list[Batch] = []

    def listening(model: nn.Module, batch: Batch) -> Tensor:
        told.append(batch)
        return eager(model, batch)

    known, total = stream(device_data), torch.zeros(())
    steps = kind(step_of(small_din(tiny), device_data, listening))
    steps.run(chunk_of(device_data, known.batches(0, 4)), PACES, total, known.shapes)
    assert len(told) >= 4
    for batch in told:
        assert batch.buckets == known.shapes.buckets
        within = [n for rows, n in batch.buckets for _ in range(rows)]
        assert (batch.offsets.diff() <= torch.tensor(within)).all()


def test_a_model_that_cannot_be_compiled_is_trained_without_and_a_warning_says_so(
    device_data: DeviceData, tiny: ChallengeData
) -> None:
    def broken(_model: nn.Module, _batch: Batch) -> Tensor:
        raise RuntimeError("no compiler found\nmore")

    first, second = step_of(small_din(tiny), device_data), None
    expected = run(EagerSteps(first), batches(device_data), PACES)
    second = step_of(small_din(tiny), device_data, broken)
    with pytest.warns(
        UserWarning, match="without torch.compile, slower: RuntimeError: no compiler found \\("
    ):
        found = run(StaticSteps(second), batches(device_data), PACES)
    assert torch.allclose(found, expected, atol=1e-5)


@pytest.mark.slow
def test_batches_that_cannot_be_compiled_are_cut_without_and_the_model_is_compiled_still(
    device_data: DeviceData, tiny: ChallengeData
) -> None:
    def broken(*_arguments: object) -> Batch:
        raise RuntimeError("no such kernel")

    step, forward = step_of(small_din(tiny), device_data), compiled("aot_eager")
    step.forward, step.batches = forward, broken
    with pytest.warns(
        UserWarning, match="without compiled batches, slower: RuntimeError: no such kernel \\("
    ):
        run(StaticSteps(step), batches(device_data), PACES)
    assert step.forward is forward


def test_advice_against_float32_is_not_passed_on(
    device_data: DeviceData, tiny: ChallengeData
) -> None:
    advice = ["TensorFloat32 tensor cores available but not enabled"]

    def advising(model: nn.Module, batch: Batch) -> Tensor:
        while advice:  # once, as torch does when it compiles
            warnings.warn(advice.pop(), stacklevel=1)
        return eager(model, batch)

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        steps = StaticSteps(step_of(small_din(tiny), device_data, advising))
        run(steps, batches(device_data), PACES)
    assert steps.step.forward is advising
    assert not advice


@pytest.mark.slow
def test_another_model_in_the_same_module_is_not_compiled_again(
    device_data: DeviceData, tiny: ChallengeData
) -> None:
    model, forward = small_din(tiny), compiled("aot_eager")
    index = batches(device_data)
    run(StaticSteps(step_of(model, device_data, forward)), index, PACES)
    model.load_state_dict(small_din(tiny, seed=1).state_dict())
    model.train()
    with torch._dynamo.config.patch(error_on_recompile=True), warnings.catch_warnings():
        warnings.simplefilter("error")
        run(StaticSteps(step_of(model, device_data, forward)), index, PACES)


def test_a_chunk_of_fewer_steps_finds_the_step_prepared_and_one_elsewhere_has_it_prepared_again(
    device_data: DeviceData, tiny: ChallengeData, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepared: list[DeviceData] = []
    prepare = StaticSteps._prepare

    def counted(steps: StaticSteps) -> None:
        prepared.append(steps.step.data)
        prepare(steps)

    monkeypatch.setattr(StaticSteps, "_prepare", counted)
    first, second = (step_of(small_din(tiny), device_data) for _ in range(2))
    one, other = StaticSteps(first), StaticSteps(second)
    index = batches(device_data, steps=9)
    elsewhere = replace(device_data, rows=dict(device_data.rows))
    paces = torch.stack([torch.linspace(1e-3, 3e-3, 9), torch.linspace(1.0, 0.2, 9)], 1)
    total, sizes = torch.zeros(()), replace(stream(device_data).shapes, buckets=())
    for begin, end, data in ((0, 5, device_data), (5, 7, device_data), (7, 9, elsewhere)):
        one.run(chunk_of(data, index[begin:end]), paces[begin:end], total, sizes)
    assert len(prepared) == 2
    assert prepared[1] is elsewhere
    assert torch.equal(total, run(other, index, paces))
    assert all(torch.equal(v, second.state()[k]) for k, v in first.state().items())


@pytest.mark.cuda
@pytest.mark.parametrize("small", [small_din, small_transformer])
@pytest.mark.parametrize("how", ["plain", "compiled"])
def test_replayed_steps_train_the_model_that_plain_ones_train(
    tiny: ChallengeData, how: str, small: Callable[[ChallengeData], nn.Module]
) -> None:
    data = to_device(tiny, torch.device("cuda"), 64)
    options = Training(precision="float32")
    ways = {"plain": (eager, make_batch), "compiled": (compiled(), compiled_batches())}
    known = torch.ones(data.n_users + 1, dtype=torch.bool, device="cuda")
    index, paces = batches(data).cuda(), PACES.cuda()
    first = Step(small(tiny).cuda().eval(), data, options, known)
    expected = run(EagerSteps(first), index, paces)
    second = Step(small(tiny).cuda().eval(), data, options, known, *ways[how])
    steps = StaticSteps(second)
    found = run(steps, index, paces, known=True)
    assert steps._replay is not None
    assert (second.forward is not eager, second.batches is not make_batch) == (how != "plain",) * 2
    assert torch.allclose(found, expected, rtol=1e-4)
    # Not the weights: Adam makes as much of a gradient that is rounding alone as of any other.
    assert torch.allclose(*(logits(s, index[0]) for s in (second, first)), atol=1e-3)
