"""mmctr_kit.training.optimizer: rates, precision, and an Adam whose state stays in place."""

from itertools import chain
from typing import Literal

import pytest
import torch
from torch import nn

from mmctr_kit.recipe import Training
from mmctr_kit.testing import build_model
from mmctr_kit.training import optimizer
from mmctr_kit.training.optimizer import (
    Adam,
    learning_rate,
    regularised,
    resolve_precision,
    restart_embeddings,
)
from tests.models.test_contract import NEURAL

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
            used = Adam(model.parameters(), chosen, torch.tensor(0.01))
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


@pytest.mark.parametrize(
    ("which", "tables"),
    [
        ("ids", {"item_id", "user"}),
        ("all", {"item_id", "user", "item_tags", "likes_level", "views_level"}),
    ],
)
def test_a_restart_draws_tables_anew_in_place_and_leaves_all_else(
    which: Literal["ids", "all"], tables: set[str]
) -> None:
    model = build_model("din_target_encoder")
    used = Adam(model.parameters(), Training(), torch.tensor(0.1))
    for parameter in model.parameters():
        parameter.grad = torch.ones_like(parameter)
    used.step()
    before = {n: (p.data_ptr(), p.detach().clone()) for n, p in model.named_parameters()}
    restart_embeddings(model, used, which)
    for name, parameter in model.named_parameters():
        address, value = before[name]
        slots = used.state[parameter]
        assert parameter.data_ptr() == address
        if name.removeprefix("items.").removesuffix(".weight") in tables:
            assert parameter.abs().max() < 1e-2  # a step had moved all by 0.1
            assert not any(slot.any() for slot in slots.values())
        else:
            assert torch.equal(parameter, value)
            assert all(slot.any() for slot in slots.values())
    assert not dict(model.named_parameters())["user.weight"][0].any()  # of unseen users


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


def names_of(model: nn.Module) -> dict[str, set[str]]:
    """The names of the model's parameters in each part of :func:`regularised`, or in neither."""
    names = {id(p): n for n, p in model.named_parameters()}
    weights = regularised(model)._asdict().items()
    parts = {k: [names[id(p)] for p in parameters] for k, parameters in weights}
    assert len({*chain(*parts.values())}) == sum(map(len, parts.values())), "a weight is in twice"
    exempt = set(names.values()).difference(*parts.values())
    return {k: set(found) for k, found in parts.items()} | {"exempt": exempt}


@pytest.mark.parametrize("name", NEURAL)
def test_every_parameter_of_a_model_has_one_regulariser_or_none(name: str) -> None:
    model = build_model(name)
    parts = names_of(model)
    every = [n for n, _ in model.named_parameters()]
    tables = {n for n, m in model.named_modules() if isinstance(m, nn.Embedding)}
    assert parts["embedding"] == {n for n in every if n.rpartition(".")[0] in tables} | {
        n for n in every if n.startswith(("items.project.weight", "items.project.modality"))
    }
    shapes = {n: p.shape for n, p in model.named_parameters()}
    assert all(len(shapes[n]) < 2 for n in parts["exempt"])
    assert all(len(shapes[n]) == 2 for n in parts["net"])


@pytest.mark.parametrize(
    ("module", "net"),
    [
        (nn.GRU(3, 4), {"weight_ih_l0", "weight_hh_l0"}),
        (
            nn.LSTM(3, 4, bidirectional=True, proj_size=2),
            {f"weight_{kind}_l0{way}" for kind in ("ih", "hh", "hr") for way in ("", "_reverse")},
        ),
        (
            nn.MultiheadAttention(4, 2, add_bias_kv=True, kdim=3),
            {"q_proj_weight", "k_proj_weight", "v_proj_weight", "out_proj.weight"},
        ),
        (nn.MultiheadAttention(4, 2), {"in_proj_weight", "out_proj.weight"}),
        (nn.Conv1d(3, 4, 2), {"weight"}),
        (nn.Sequential(nn.LayerNorm([3, 4]), nn.BatchNorm1d(3), nn.PReLU(3)), set()),
    ],
)
def test_weights_of_any_type_of_module_are_the_nets(module: nn.Module, net: set[str]) -> None:
    parts = names_of(module)
    every = {n for n, _ in module.named_parameters()}
    assert parts == {"embedding": set(), "net": net, "exempt": every - net}


def test_a_weight_that_a_module_shares_with_an_embedding_is_a_table() -> None:
    layer, table = nn.Linear(3, 5), nn.Embedding(5, 3)
    layer.weight = table.weight
    parts = regularised(nn.Sequential(layer, table))
    assert [id(p) for p in parts.embedding] == [id(table.weight)]
    assert parts.net == []
