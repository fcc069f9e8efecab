"""mmctr_kit.models.layers.cross against the paper's formula, and where it begins."""

import torch

from mmctr_kit.models.layers.cross import GatedCross


def test_two_layers_are_the_papers_formula() -> None:
    net, x0 = GatedCross(3, 2), torch.randn(4, 3)
    weights = torch.randn(2, 2, 3, 3)
    with torch.no_grad():
        for layer in range(2):
            net.cross[layer].weight.copy_(weights[layer, 0])
            net.gate[layer].weight.copy_(weights[layer, 1])
    x = x0
    for cross, gate in weights:
        x = x + x0 * (x @ cross.T) / (1 + torch.exp(-x @ gate.T))
    torch.testing.assert_close(net(x0), x)


def test_at_first_nothing_is_crossed() -> None:
    x0 = torch.randn(4, 3)
    assert torch.equal(GatedCross(3, 2)(x0), x0)
