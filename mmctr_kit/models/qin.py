"""Quadratic Interest Network, second place of the challenge (team DISCO.AHU).

Published as github.com/salmon1802/QIN (``QIN_variety_v9``), the run without item levels: valid AUC
0.9701. Two parts: target attention made sparse by a ReLU in place of the softmax, and a network of
quadratic layers, each of which multiplies its input with a linear map of itself.
"""

import math
from typing import Annotated

import torch
from torch import Tensor, nn

from mmctr_kit.data.contract import N_LEVELS
from mmctr_kit.models.batch import Batch
from mmctr_kit.models.layers.blocks import activation, embedding, linear
from mmctr_kit.models.layers.encoder import ItemEncoder
from mmctr_kit.models.ops.dropout import Dropout
from mmctr_kit.models.ops.segments import row_products, weighted_sum
from mmctr_kit.models.option_types import (
    BatchNorm,
    EmbeddingDim,
    ItemEmbDim,
    Means,
    PositiveInt,
    Rate,
)
from mmctr_kit.models.published import ITEM_NAMES, Names, State, in_order, numbered


class SparseTargetAttention(nn.Module):
    """One head of width 2D: relu(q . k / sqrt(2D)) weighs v; projected back, plus the target.

    The weights are not normalised, so a history item that does not fit the target counts for
    nothing, and an empty history leaves the target itself. The projections have no bias, which is
    why keys and values need not be formed: q . (Wk x) = (Wk' q) . x, and the weighted sum of Wv x
    is Wv of the weighted sum of x. Every position then costs D multiplications, not 4 * D * D.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.scale = 1 / math.sqrt(2 * width)
        self.W_q = linear(width, 2 * width, bias=False)
        self.W_k = linear(width, 2 * width, bias=False)
        self.W_v = linear(width, 2 * width, bias=False)
        self.W_o = linear(2 * width, width, bias=False)

    def forward(
        self, target: Tensor, table: Tensor, index: Tensor | None, row: Tensor, offsets: Tensor
    ) -> Tensor:
        """(B, D) from the target (B, D) and the items ``table[index]``; see TargetAttention."""
        query = self.W_q(target) @ self.W_k.weight * self.scale  # (B, D)
        score = row_products(query, table, index, row, offsets).sum(-1, keepdim=True)  # (P, 1)
        pooled = weighted_sum(torch.relu(score), table, index, row, offsets)  # (B, D)
        output: Tensor = self.W_o(self.W_v(pooled)) + target
        return output


class QuadraticLayer(nn.Module):
    """x -> sum over ``rows`` r of x * dropout(W_r x + b_r); (B, width) -> (B, width).

    Without dropout the rows act as their sum: they differ only by what dropout takes from each.
    """

    def __init__(self, width: int, rows: int, dropout: float) -> None:
        super().__init__()
        self.shape = (rows, width)
        self.linear = nn.Sequential(linear(width, rows * width), Dropout(dropout))

    def forward(self, x: Tensor) -> Tensor:
        factors: Tensor = self.linear(x).unflatten(-1, self.shape).sum(1)
        return x * factors


class QuadraticNetwork(nn.Module):
    """Layers x -> x + dropout(PReLU(BatchNorm(quadratic(x)))), then a linear map to the logit.

    (B, width) -> (B,). The degree of the polynomial doubles with each layer.
    """

    def __init__(
        self, width: int, layers: int, rows: int, dropout: float, batch_norm: bool
    ) -> None:
        super().__init__()
        self.layer = nn.ModuleList(QuadraticLayer(width, rows, dropout) for _ in range(layers))
        self.norm = nn.ModuleList(
            nn.BatchNorm1d(width) if batch_norm else nn.Identity() for _ in range(layers)
        )
        self.activation = nn.ModuleList(activation("prelu") for _ in range(layers))
        self.dropout = Dropout(dropout)
        self.fc = linear(width, 1)

    def forward(self, x: Tensor) -> Tensor:
        for layer, norm, act in zip(self.layer, self.norm, self.activation, strict=True):
            x = x + self.dropout(act(norm(layer(x))))
        logit: Tensor = self.fc(x).squeeze(-1)
        return logit


class QIN(nn.Module):
    """Row -> logit."""

    def __init__(
        self,
        *,
        item_tags: Tensor,
        item_emb: Tensor,
        n_tags: int,
        embedding_dim: EmbeddingDim = 128,
        item_emb_dim: ItemEmbDim = None,
        num_layers: Annotated[PositiveInt, Means("How many quadratic layers there are.")] = 4,
        num_row: Annotated[
            PositiveInt, Means("How many linear maps a quadratic layer multiplies with its input.")
        ] = 3,
        net_dropout: Annotated[
            Rate, Means("The dropout of each linear map and of each layer's output, as published.")
        ] = 0.1,
        batch_norm: BatchNorm = True,
    ) -> None:
        super().__init__()
        self.items = ItemEncoder(item_tags, item_emb, n_tags, embedding_dim, item_emb_dim)
        self.likes_level = embedding(N_LEVELS, embedding_dim)
        self.views_level = embedding(N_LEVELS, embedding_dim)
        self.attention = SparseTargetAttention(self.items.width)
        width = 2 * embedding_dim + 2 * self.items.width
        self.network = QuadraticNetwork(width, num_layers, num_row, net_dropout, batch_norm)

    def forward(self, batch: Batch) -> Tensor:
        """(B,) logits."""
        target, table, index = self.items.lookup(batch.history, batch.item)
        interest = self.attention(target, table, index, batch.row, batch.offsets)  # (B, D)
        levels = self.likes_level(batch.likes_level), self.views_level(batch.views_level)
        logit: Tensor = self.network(torch.cat([*levels, target, interest], dim=-1))
        return logit

    def published_names(self, state: State) -> Names:
        """The released checkpoint's parameter names; see :mod:`mmctr_kit.models.published`."""
        names = dict(ITEM_NAMES)
        for part in ("layer", "norm", "activation"):
            layers = numbered(f"network.{part}", self.network.get_submodule(part))
            names |= in_order(state, f"qnn.{part}", layers)
        names |= {f"qnn.fc.{k}": f"network.fc.{k}" for k in self.network.fc.state_dict()}
        return names | {
            f"attention_layers.{k}": f"attention.{k}" for k in self.attention.state_dict()
        }
