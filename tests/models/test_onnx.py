"""mmctr_kit.models.onnx: networks on padded histories, without a runtime of ONNX."""

import numpy as np
import pytest
import torch

from mmctr_kit.models.onnx import _DECOMPOSED as DECOMPOSED
from mmctr_kit.models.onnx import Input, PaddedRows, inputs_of, padded_inputs
from mmctr_kit.models.registry import NEURAL, SHIPPED, model_supplies
from mmctr_kit.testing import (
    ROW_SIGNALS,
    SIGNALS,
    USERS,
    build_model,
    example_batch,
    predict,
)

NETWORKS = [name for name, entry in SHIPPED.items() if entry.learner == NEURAL]
SLOTS = 14


def inputs_for(name: str) -> tuple[Input, ...]:
    supplied = model_supplies(name)
    users = USERS if "n_users" in supplied else 0
    signals = (SIGNALS, ROW_SIGNALS) if "n_signals" in supplied else (0, 0)
    return inputs_of(SLOTS, users, *signals)


@pytest.mark.parametrize("name", NETWORKS)
def test_a_network_gives_the_logits_of_packed_rows_from_padded_ones(name: str) -> None:
    model, batch = build_model(name).eval(), example_batch(rows=9, least=0)
    inputs = padded_inputs(batch, SLOTS, inputs_for(name))
    assert inputs["item_seq"].shape == (9, SLOTS)
    assert (inputs["item_seq"][:, :-1] * (inputs["item_seq"][:, 1:] == 0) == 0).all()
    known = torch.ones(USERS + 1, dtype=torch.bool)
    with torch.no_grad():
        arguments = {k: torch.from_numpy(v) for k, v in inputs.items()}
        logits = PaddedRows([model], [known])(**arguments)
    assert torch.allclose(logits, predict(model, batch), rtol=1e-5, atol=1e-5)


def test_several_networks_give_their_mean_each_with_the_users_it_knows() -> None:
    models = [build_model("din_target_encoder", seed).eval() for seed in (0, 1)]
    batch = example_batch(rows=9)
    inputs = padded_inputs(batch, SLOTS, inputs_for("din_target_encoder"))
    known = [torch.arange(USERS + 1) % 2 == half for half in (0, 1)]
    with torch.no_grad():
        whole = PaddedRows(models, known)(**{k: torch.from_numpy(v) for k, v in inputs.items()})
    each = []
    for model, users in zip(models, known, strict=True):
        of_model = torch.where(users[batch.user], batch.user, 0)
        each.append(predict(model, type(batch)(**{**vars(batch), "user": of_model})))
    assert torch.allclose(whole, torch.stack(each).mean(0), rtol=1e-5, atol=1e-5)


def test_operations_that_onnx_lacks_are_made_of_others() -> None:
    generator = torch.Generator().manual_seed(0)
    values = torch.randn(11, 6, generator=generator)
    weight = torch.randn(11, 2, generator=generator)
    other = torch.randn(11, 6, generator=generator)
    offsets = torch.tensor([0, 0, 3, 3, 7, 9])  # empty rows, and two dummies
    edges = torch.tensor([0, 1, 4, 9])
    cases = {
        torch.ops.mmctr_kit.segment_sum.default: [
            (values, offsets, None, None, torch.float32),
            (values, offsets, weight, other, torch.float64),
        ],
        torch.ops.aten.bucketize.Tensor: [(torch.arange(12), edges)],
        torch.ops.aten.cumprod.default: [(torch.arange(1, 13).view(3, 4), 1), (values, 0)],
    }
    assert set(cases) == set(DECOMPOSED)
    for operation, calls in cases.items():
        for arguments in calls:
            found, expected = DECOMPOSED[operation](*arguments), operation(*arguments)
            assert found.dtype == expected.dtype
            np.testing.assert_allclose(found.numpy(), expected.numpy(), rtol=1e-6, atol=1e-6)
