"""mmctr_kit.training.step: one training step."""

import pytest
import torch
from torch import Tensor, nn

from mmctr_kit.data.dataset import ChallengeData
from mmctr_kit.models.batch import Batch
from mmctr_kit.models.din import DIN
from mmctr_kit.models.layers.blocks import logloss
from mmctr_kit.recipe import Training
from mmctr_kit.training.data.batches import DeviceData, to_device
from mmctr_kit.training.step import Forward, Step, compiled, eager
from tests.training.test_fit import CPU, small_din


@pytest.fixture(scope="module")
def device_data(tiny: ChallengeData) -> DeviceData:
    return to_device(tiny, CPU, 64)


def step_of(model: nn.Module, data: DeviceData, options: Training) -> Step:
    return Step(model, data, options, torch.ones(data.n_users + 1, dtype=torch.bool))


def test_the_embedding_regulariser_adds_lambda_times_the_table_to_its_gradient(
    device_data: DeviceData, tiny: ChallengeData
) -> None:
    def gradients(strength: float) -> dict[str, torch.Tensor]:
        options = Training(embedding_regularizer=strength, clip_norm=None, batch_size=64)
        model = small_din(tiny).eval()  # no dropout, so that both see the same network
        step_of(model, device_data, options)(torch.arange(64))
        return {n: p.grad.clone() for n, p in model.named_parameters() if p.grad is not None}

    plain, decayed = gradients(0.0), gradients(0.5)
    weights = dict(small_din(tiny).named_parameters())
    tables = {
        "items.item_id.weight",
        "items.item_tags.weight",
        "items.project.weight",
        "likes_level.weight",
        "views_level.weight",
    }
    for name, gradient in decayed.items():
        extra = 0.5 * weights[name] if name in tables else torch.zeros(())
        assert torch.allclose(gradient, plain[name] + extra, atol=1e-6), name


def test_clipping_bounds_the_size_of_a_step(device_data: DeviceData, tiny: ChallengeData) -> None:
    model = small_din(tiny)
    step_of(model, device_data, Training(clip_norm=1e-3))(torch.arange(64))
    norm = torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None])
    assert norm.norm().item() == pytest.approx(1e-3, rel=1e-3)


def test_a_step_with_dummies_is_the_step_without(
    device_data: DeviceData, tiny: ChallengeData
) -> None:
    states = []
    for positions in (None, 64 * 64):
        step = step_of(small_din(tiny).eval(), device_data, Training())
        loss = step(torch.arange(64), positions)
        states.append({"loss": loss, **step.state()})
    for name, tensor in states[0].items():
        assert torch.allclose(tensor, states[1][name], atol=1e-6), name


def test_filling_in_a_state_goes_back_to_it_without_moving_anything(
    device_data: DeviceData, tiny: ChallengeData
) -> None:
    step = step_of(small_din(tiny), device_data, Training())
    step(torch.arange(64))
    before = {k: v.clone() for k, v in step.state().items()}
    places = {k: v.data_ptr() for k, v in step.state().items()}
    step(torch.arange(64, 128))
    assert not all(torch.equal(v, before[k]) for k, v in step.state().items())
    step.fill(before)
    assert all(torch.equal(v, before[k]) for k, v in step.state().items())
    assert {k: v.data_ptr() for k, v in step.state().items()} == places


class WithLoss(DIN):
    """A DIN that is trained on its logloss and a penalty on its logits."""

    def loss(self, batch: Batch, labels: Tensor) -> Tensor:
        logit = self(batch)
        return logloss(logit, labels) + 0.1 * logit.square().mean()


@pytest.mark.parametrize(
    "forward",
    [
        pytest.param(eager, id="eager"),
        pytest.param(compiled("aot_eager"), id="compiled", marks=pytest.mark.slow),
    ],
)
def test_a_model_is_trained_on_its_own_loss(
    forward: Forward, device_data: DeviceData, tiny: ChallengeData
) -> None:
    model = small_din(tiny).eval()
    model.__class__ = WithLoss
    options = Training(clip_norm=None, embedding_regularizer=0.0)
    step = step_of(model, device_data, options)
    step.forward = forward
    index = torch.arange(64)
    batch, labels = step.batch(index), step.data.rows["train"].labels[index]
    logit = model(batch)
    expected = nn.functional.binary_cross_entropy_with_logits(logit, labels)
    expected = expected + 0.1 * logit.square().mean()
    gradients = torch.autograd.grad(expected, step.trained(), allow_unused=True)
    loss = step(index)
    assert torch.allclose(loss, expected)
    for parameter, gradient in zip(step.trained(), gradients, strict=True):
        assert parameter.grad is not None
        assert gradient is not None
        assert torch.allclose(parameter.grad, gradient, atol=1e-6)
