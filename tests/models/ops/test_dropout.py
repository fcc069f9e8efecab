"""mmctr_kit.models.ops.dropout: which values are dropped, and what becomes of the others."""

import math

import pytest
import torch
from torch import Tensor, nn

from mmctr_kit.models.ops.dropout import Dropout, dropout, nothing_dropped, relu_dropout


def rate_of(rate: float) -> Tensor:
    return torch.tensor(rate)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("rate", [0.1, 0.5, 0.97])
def test_the_rate_is_dropped_and_the_rest_keeps_the_mean(rate: float, dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    n = 400_003
    found = dropout(torch.ones(n, dtype=dtype), rate_of(rate))
    assert found.dtype == dtype
    error = math.sqrt(rate * (1 - rate) / n)
    assert abs(float((found == 0).double().mean()) - rate) < 4 * error
    kept = found[found != 0].double()
    assert kept.unique().tolist() == pytest.approx([1 / (1 - rate)], rel=4e-3)


def test_the_four_values_of_one_draw_are_dropped_apart() -> None:
    torch.manual_seed(0)
    gone = (dropout(torch.ones(100_000, 4), rate_of(0.3)) == 0).double()
    correlation = torch.corrcoef(gone.T).fill_diagonal_(0.0)
    assert float(correlation.abs().max()) < 4 / math.sqrt(100_000)
    shifted = torch.corrcoef(torch.stack([gone[:-1, 3], gone[1:, 0]]))
    assert abs(float(shifted[0, 1])) < 4 / math.sqrt(100_000)


def test_the_seed_decides_and_another_call_drops_others() -> None:
    values, layer = torch.ones(7, 33), Dropout(0.5)
    torch.manual_seed(3)
    first, second = layer(values), layer(values)
    torch.manual_seed(3)
    assert torch.equal(layer(values), first)
    assert not torch.equal(first, second)


def test_a_value_and_its_gradient_are_scaled_alike() -> None:
    values = torch.full((3, 5), 2.0, requires_grad=True)
    found = dropout(values, rate_of(0.25))
    found.sum().backward()
    assert values.grad is not None
    torch.testing.assert_close(found.detach(), 2 * values.grad)


def test_nothing_is_dropped_in_evaluation_or_at_rate_0() -> None:
    values = torch.randn(4, 3)
    assert Dropout(0.0)(values) is values
    assert Dropout(0.5).eval()(values) is values
    assert dropout(torch.empty(0, 3), rate_of(0.5)).shape == (0, 3)


def test_a_relu_and_its_dropout_as_one_have_the_gradient_of_both() -> None:
    values = torch.randn(4000, requires_grad=True)
    kept = relu_dropout(values, rate_of(0.25))
    positive = values > 0
    assert not kept[~positive].any()
    there = kept > 0
    assert torch.allclose(kept[there], values[there] / 0.75)
    assert there.sum() / positive.sum() == pytest.approx(0.75, abs=0.05)
    (gradient,) = torch.autograd.grad((kept * 3).sum(), values)
    assert torch.equal(gradient, torch.where(there, 4.0, 0.0))


@pytest.mark.parametrize("compiling", [False, True])
def test_nothing_is_dropped_for_a_while_although_numbers_are_drawn(
    compiling: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.compiler, "is_compiling", lambda: compiling)
    layer, values = nn.Sequential(Dropout(0.4), nn.ReLU()), torch.rand(50, 7)
    with nothing_dropped(layer):
        before = torch.get_rng_state()
        assert torch.equal(layer(values), values)
        assert torch.equal(relu_dropout(values, layer[0].rate), values)
        assert not torch.equal(torch.get_rng_state(), before)
    assert not torch.equal(layer(values), values)
    assert layer[0].rate == torch.tensor(0.4)


def test_the_rate_is_no_part_of_a_checkpoint() -> None:
    assert Dropout(0.4).state_dict() == {}
