"""mmctr_kit.models.layers.users: the table of a model that knows its users."""

import torch

from mmctr_kit.models.layers.users import UserEmbedding


def test_an_unseen_user_has_the_zero_vector_and_no_gradient() -> None:
    table = UserEmbedding(5, 3)
    assert table.weight.shape == (6, 3)
    assert not table.weight[0].any()
    assert table.weight[1:].all()
    table(torch.tensor([0, 2, 0])).sum().backward()
    assert table.weight.grad is not None
    assert table.weight.grad[:, 0].tolist() == [0, 0, 1, 0, 0, 0]
