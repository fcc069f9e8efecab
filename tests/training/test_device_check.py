"""mmctr_kit.training.device_check: a device that computes wrongly is found, rounding is not."""

import pytest
import torch
from torch import Tensor, nn

from mmctr_kit.data.dataset import ChallengeData
from mmctr_kit.errors import RunError
from mmctr_kit.models.batch import Batch
from mmctr_kit.models.din import DIN
from mmctr_kit.training.cuda_graph import EagerSteps
from mmctr_kit.training.data.batches import DeviceData, to_device
from mmctr_kit.training.device_check import require_like_cpu
from mmctr_kit.training.step_modes import Modes
from tests.training.test_cuda_graph import PACES, batches, run
from tests.training.test_fit import CPU, small_din
from tests.training.test_step_check import step_of


@pytest.fixture(scope="module")
def device_data(tiny: ChallengeData) -> DeviceData:
    return to_device(tiny, CPU, 64)


class WrongInTurn(DIN):
    """As a card that computes wrongly would: its turn is before the CPU's, which has two then."""

    calls, at_most = 0, 9

    def forward(self, batch: Batch) -> Tensor:
        self.calls += 1
        its_turn = self.calls % 3 == 1 and self.calls < self.at_most
        return super().forward(batch) * (1.01 if its_turn else 1.0)


def test_a_device_that_computes_other_steps_than_the_cpu_is_an_error(
    device_data: DeviceData, tiny: ChallengeData
) -> None:
    model, index = small_din(tiny), torch.arange(256)
    step = step_of(model, device_data)
    before = {name: value.clone() for name, value in step.state().items()}
    torch.manual_seed(1)
    drawn = torch.get_rng_state()
    require_like_cpu(step, index)
    assert torch.equal(torch.get_rng_state(), drawn)
    assert all(torch.equal(v, before[k]) for k, v in step.state().items())
    model.__class__ = WrongInTurn
    said = r"computes another step than the CPU from the same rows: the loss by .*--devices cpu"
    with pytest.raises(RunError, match=said):
        require_like_cpu(step, index)
    model.calls = 0
    with pytest.raises(RunError, match=said):
        run(EagerSteps(step, Modes(check="always")), batches(device_data), PACES)
    noisy = small_din(tiny)
    noisy.mlp.append(nn.Dropout(0.3))
    require_like_cpu(step_of(noisy, device_data), index)


@pytest.mark.parametrize("rows", [256, 1000])
def test_what_other_rows_do_not_show_is_rounding_at_a_kink(
    rows: int, device_data: DeviceData, tiny: ChallengeData
) -> None:
    model, index = small_din(tiny), torch.arange(rows)
    step = step_of(model, device_data)
    model.__class__ = WrongInTurn
    model.at_most = 6  # wrong for the first two of three sets of rows
    require_like_cpu(step, index)
    assert model.calls == 8
    model.calls, model.at_most = 0, 9
    with pytest.raises(RunError, match="the loss by"):
        require_like_cpu(step, index)
