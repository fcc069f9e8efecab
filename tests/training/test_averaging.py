"""mmctr_kit.training.averaging: the averages are the ones that their formulas name."""

import pytest
import torch
from torch import nn

from mmctr_kit.recipe import Training
from mmctr_kit.training.averaging import WeightAverage, average_share


def averaged(values: list[float], options: Training) -> float:
    """The average after weights took these values, one a step."""
    model = nn.Linear(1, 1, bias=False)
    share = torch.ones(())
    average = WeightAverage(model, share, on=True)
    for step, value in enumerate(values):
        nn.init.constant_(model.weight, value)
        share.fill_(average_share(step, len(values), options))
        average.update()
    with average.swapped_in():
        return model.weight.item()


VALUES = [4.0, -2.0, 1.0, 7.0, 3.0, 5.0, 0.0, 2.0]


@pytest.mark.parametrize(("tail", "last"), [(1.0, 8), (0.5, 4), (0.25, 2), (0.01, 1)])
def test_tail_is_the_plain_mean_of_the_last_share_of_the_steps(tail: float, last: int) -> None:
    options = Training(average="tail", tail=tail)
    assert averaged(VALUES, options) == pytest.approx(sum(VALUES[-last:]) / last, abs=1e-5)


def test_ema_is_the_plain_mean_until_its_decay_takes_over() -> None:
    options = Training(average="ema", ema_decay=0.75)
    expected = sum(VALUES[:4]) / 4  # 1 / 4 is the first share that is not above 1 - decay
    assert averaged(VALUES[:4], options) == pytest.approx(expected, abs=1e-5)
    for value in VALUES[4:]:
        expected = 0.75 * expected + 0.25 * value
    assert averaged(VALUES, options) == pytest.approx(expected, abs=1e-5)


def test_the_weights_come_back_after_the_average_was_swapped_in_even_after_an_error() -> None:
    model = nn.BatchNorm1d(2)
    average = WeightAverage(model, torch.tensor(0.5), on=True)
    nn.init.constant_(model.weight, 3.0)
    average.update()
    address = model.weight.data_ptr()
    seen: list[list[float]] = []

    def fail() -> None:
        with average.swapped_in():
            seen.append(model.weight.tolist())
            raise RuntimeError("on the way")

    with pytest.raises(RuntimeError, match="on the way"):
        fail()
    assert seen == [[2.0, 2.0]]  # half way from 1 to 3
    assert model.weight.tolist() == [3.0, 3.0]
    assert model.weight.data_ptr() == address  # where a captured step reads it


def test_tied_weights_are_averaged_once() -> None:
    model = nn.Sequential(nn.Linear(1, 1, bias=False), nn.Linear(1, 1, bias=False))
    model[1].weight = model[0].weight
    average = WeightAverage(model, torch.tensor(0.5), on=True)
    before = model[0].weight.item()
    nn.init.constant_(model[0].weight, before + 2)
    average.update()
    assert list(average.state()) == ["0.weight"]
    with average.swapped_in():
        assert model[1].weight.item() == pytest.approx(before + 1)
    assert model[1].weight.item() == pytest.approx(before + 2)


def test_running_statistics_are_averaged_and_counters_are_not() -> None:
    model = nn.BatchNorm1d(2)
    average = WeightAverage(model, torch.ones(()), on=True)
    assert {"running_mean", "running_var"} <= average.state().keys()
    assert "num_batches_tracked" not in average.state()


def test_no_average_costs_nothing() -> None:
    average = WeightAverage(nn.Linear(1, 1), torch.ones(()), on=False)
    assert average.state() == {}
