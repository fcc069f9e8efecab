"""Gated cross layers: explicit products of a head's fields, as GDCN has them."""

import torch
from torch import Tensor, nn

from mmctr_kit.models.layers.blocks import linear


class GatedCross(nn.Module):
    """Products of all values of a row, each layer one degree more: (B, n) -> (B, n).

    GDCN (Wang et al., CIKM 2023, arXiv 2311.04635): x <- x + x0 * (W x + b) * sigmoid(G x), in
    which the gate G says for each row what of the new degree is let through. W begins at 0, so the
    network begins as one without cross layers.
    """

    def __init__(self, width: int, layers: int) -> None:
        super().__init__()
        self.cross = nn.ModuleList(linear(width, width) for _ in range(layers))
        self.gate = nn.ModuleList(linear(width, width, bias=False) for _ in range(layers))
        for layer in self.cross:
            nn.init.zeros_(layer.weight)

    def forward(self, x0: Tensor) -> Tensor:
        x0 = x0.to(self.cross[0].weight.dtype)  # powers are computed exactly
        x = x0
        for cross, gate in zip(self.cross, self.gate, strict=True):
            x = x + x0 * cross(x) * torch.sigmoid(gate(x))
        return x
