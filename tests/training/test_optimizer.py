"""mmctr_kit.training.optimizer: rates, precision, and an Adam whose state stays in place."""

import pytest
import torch
from torch import nn

from mmctr_kit.recipe import Training
from mmctr_kit.training import optimizer
from mmctr_kit.training.optimizer import adam, learning_rate, resolve_precision

CPU = torch.device("cpu")


@pytest.mark.parametrize(("name", "middle"), [("constant", 1.0), ("linear", 0.5), ("cosine", 0.5)])
def test_the_learning_rate_warms_up_and_follows_its_schedule(name: str, middle: float) -> None:
    options = Training(schedule=name, warmup=0.1, learning_rate=2.0)
    rates = [learning_rate(step, 1000, options) for step in range(1000)]
    assert rates[0] == pytest.approx(0.02)
    assert rates[99] == pytest.approx(2.0)
    assert rates[550] == pytest.approx(2.0 * middle)
    assert max(rates) == pytest.approx(2.0)
    assert min(rates[100:]) >= 0


@pytest.mark.parametrize("options", [{}, {"optimizer": "adamw", "weight_decay": 0.1}])
def test_adam_steps_as_torchs_does_and_its_state_never_moves(options: dict[str, str]) -> None:
    def trained(own: bool) -> tuple[nn.Module, list[int], list[int]]:
        torch.manual_seed(0)
        model = nn.Linear(3, 2)
        chosen = Training.model_validate({"learning_rate": 0.01, **options})
        if own:
            used = adam(model, chosen, torch.tensor(0.01))
        elif chosen.optimizer == "adam":
            used = torch.optim.Adam(model.parameters(), lr=0.01)
        else:
            used = torch.optim.AdamW(model.parameters(), lr=0.01, weight_decay=0.1)

        def places() -> list[int]:
            return [t.data_ptr() for slots in used.state.values() for t in slots.values()]

        before = places()
        for i in range(4):
            used.zero_grad()
            model(torch.full((5, 3), float(i))).square().sum().backward()
            used.step()
        return model, before, places()

    (ours, before, after), (theirs, _, _) = trained(own=True), trained(own=False)
    assert len(before) == 6
    assert before == after
    for mine, other in zip(ours.parameters(), theirs.parameters(), strict=True):
        assert torch.allclose(mine, other, atol=1e-6)


@pytest.mark.parametrize("fast", [True, False])
def test_large_networks_train_in_bf16_where_the_cpu_is_fast_at_it(
    fast: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(optimizer, "fast_bf16", lambda _device: fast)
    small, large = [torch.zeros(10, 10)], [torch.zeros(10, 10), torch.zeros(256, 256)]
    assert resolve_precision("auto", small, CPU) == "float32"
    assert resolve_precision("auto", [], CPU) == "float32"
    assert resolve_precision("auto", large, CPU) == ("bf16" if fast else "float32")
    assert resolve_precision("bf16", small, CPU) == "bf16"
    assert resolve_precision("float32", large, CPU) == "float32"
