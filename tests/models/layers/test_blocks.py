"""mmctr_kit.models.layers.blocks: the layers of an MLP, and the vectors of users."""

import pytest
import torch

from mmctr_kit.models.layers.blocks import MLP, UserEmbedding


@pytest.mark.parametrize(("dropout", "batch_norm"), [(0.0, False), (0.2, True)])
def test_an_mlp_has_its_layers_in_the_stated_order(dropout: float, batch_norm: bool) -> None:
    mlp = MLP(4, (8, 6), "prelu", dropout, batch_norm)
    kinds = [type(layer).__name__ for layer in mlp]
    one = ["Linear", *(["BatchNorm1d"] if batch_norm else []), "PReLU"]
    one += ["Dropout"] if dropout else []
    assert kinds == [*one, *one, "Linear"]
    assert mlp(torch.randn(3, 4)).shape == (3, 1)


def test_an_mlp_without_an_output_ends_in_its_last_hidden_layer() -> None:
    mlp = MLP(4, (8, 6), "relu", dropout=0.1, last=False)
    assert [type(layer).__name__ for layer in mlp] == ["Linear", "ReLU", "Dropout"] * 2
    assert mlp(torch.randn(3, 4)).shape == (3, 6)


def test_an_unseen_user_has_the_zero_vector_and_no_gradient() -> None:
    table = UserEmbedding(5, 3)
    assert table.weight.shape == (6, 3)
    assert not table.weight[0].any()
    assert table.weight[1:].all()
    table(torch.tensor([0, 2, 0])).sum().backward()
    assert table.weight.grad is not None
    assert table.weight.grad[:, 0].tolist() == [0, 0, 1, 0, 0, 0]
