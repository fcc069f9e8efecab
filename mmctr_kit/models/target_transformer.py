"""Transformer over [history items, target] tokens that sees collaborative signals.

The target is a token of its history, as in the behaviour sequence transformer (Chen et al., DLP-KDD
2019, arXiv 1905.06874), and its output is what the head sees of the history. A token's signals are
a part of its input and, as a bias, of every query's attention to it (as edges are in Graphormer,
Ying et al., NeurIPS 2021). Layers are pre-norm (Xiong et al., ICML 2020), which needs no warm-up.

Shapes: B rows, in parts of n rows that are padded to L slots each
(:mod:`mmctr_kit.models.layers.padding`), P packed history positions, D the width of an item vector,
W that of a token, H heads.
"""

from typing import Annotated

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mmctr_kit.data.contract import N_LEVELS
from mmctr_kit.errors import UsageError
from mmctr_kit.models.batch import Batch
from mmctr_kit.models.layers.attention import scaled_attention
from mmctr_kit.models.layers.blocks import MLP, concat, embedding, linear
from mmctr_kit.models.layers.encoder import ItemEncoder
from mmctr_kit.models.layers.padding import Padding, Slots
from mmctr_kit.models.ops.dropout import Dropout
from mmctr_kit.models.ops.gather import gather
from mmctr_kit.models.ops.segments import row_products
from mmctr_kit.models.option_types import (
    BatchNorm,
    EmbeddingDim,
    ItemEmbDim,
    MaxLength,
    Means,
    MlpActivation,
    MlpDropout,
    MlpHidden,
    PositiveInt,
    Rate,
)


class Layer(nn.Module):
    """A pre-norm layer of multi-head attention and a feed-forward network of width ``hidden``."""

    def __init__(self, width: int, heads: int, hidden: int, dropout: float) -> None:
        super().__init__()
        self.heads = heads
        self.norm = nn.LayerNorm(width)
        self.query = linear(width, width)
        self.key = linear(width, width, bias=False)  # a softmax cancels its bias
        self.value = linear(width, width)
        self.out = linear(width, width)
        self.feed = nn.Sequential(
            nn.LayerNorm(width), linear(width, hidden), nn.GELU(), linear(hidden, width)
        )
        self.drop = Dropout(dropout)

    def forward(self, x: Tensor, bias: Tensor, queries: int) -> Tensor:
        """(n, L, W) tokens -> (n, q, W), the last ``queries`` of them, or all if there are fewer.

        ``bias`` (n, H, 1, L) is added to the scores of every query.
        """
        normed = self.norm(x)
        q, k, v = (
            torch.unflatten(tokens, 2, (self.heads, -1)).transpose(1, 2)
            for tokens in (self.query(normed[:, -queries:]), self.key(normed), self.value(normed))
        )
        pooled = scaled_attention(q, k, v, bias.to(q.dtype), self.drop)
        x = x[:, -queries:] + self.drop(self.out(pooled.transpose(1, 2).flatten(2)))
        out: Tensor = x + self.drop(self.feed(x))
        return out


class TargetTransformer(nn.Module):
    """Row -> logit.

    The ``max_length`` most recent items of a history are tokens of width ``token_dim``, and the
    target is one more. A history token is the sum of its item, the item's product with the target,
    its position counted from the most recent item, and its signals. In the last of ``layers`` only
    the target's query is computed. The head sees the levels, the target, the target token's output,
    the product of these two, and the row's signals.

    Raises UsageError if ``heads`` does not divide ``token_dim``.
    """

    def __init__(
        self,
        *,
        item_tags: Tensor,
        item_emb: Tensor,
        n_tags: int,
        n_signals: int,
        n_row_signals: int,
        embedding_dim: EmbeddingDim = 32,
        item_emb_dim: ItemEmbDim = None,
        max_length: MaxLength = 64,
        token_dim: Annotated[PositiveInt, Means("The width of a token.")] = 64,
        layers: Annotated[PositiveInt, Means("How many layers the transformer has.")] = 2,
        heads: Annotated[
            PositiveInt, Means("The heads of the attention; they must divide token_dim.")
        ] = 4,
        feedforward: Annotated[PositiveInt, Means("The width inside a layer's MLP.")] = 128,
        dropout: Annotated[Rate, Means("The dropout inside of the transformer.")] = 0.1,
        mlp_hidden: MlpHidden = (256, 128),
        mlp_activation: MlpActivation = "relu",
        mlp_dropout: MlpDropout = 0.1,
        batch_norm: BatchNorm = True,
    ) -> None:
        super().__init__()
        width = token_dim
        if width % heads:
            raise UsageError(
                f"model.heads is {heads}, which does not divide the tokens' width {token_dim}; set "
                "model.token_dim to a multiple of it"
            )
        self.items = ItemEncoder(item_tags, item_emb, n_tags, embedding_dim, item_emb_dim)
        self.likes_level = embedding(N_LEVELS, embedding_dim)
        self.views_level = embedding(N_LEVELS, embedding_dim)
        self.max_length = max_length
        self.token = linear(self.items.width, width)
        self.match = linear(width, width, bias=False)
        self.position = embedding(max_length, width)
        self.recency = embedding(max_length, heads)
        self.signal = linear(n_signals, width + heads, bias=False) if n_signals else None
        self.target = nn.Parameter(torch.zeros(width))
        self.layers = nn.ModuleList(
            Layer(width, heads, feedforward, dropout) for _ in range(layers)
        )
        self.norm = nn.LayerNorm(width)
        self.row_signals = n_row_signals > 0
        fields = 2 * embedding_dim + self.items.width + 2 * width + n_row_signals
        self.mlp = MLP(fields, mlp_hidden, mlp_activation, mlp_dropout, batch_norm)

    def forward(self, batch: Batch) -> Tensor:
        """(B,) logits."""
        target, table, index = self.items.lookup(batch.history, batch.item)  # (B, D), (K, D), (P,)
        query = self.token(target)  # (B, W)
        read = self.norm(self._read(query, self.token(table), index, batch))  # (B, W)
        levels = self.likes_level(batch.likes_level), self.views_level(batch.views_level)
        fields = [*levels, target, read, read * query]
        if self.row_signals:
            fields.append(batch.row_signals)
        return self.mlp(concat(fields)).squeeze(-1)

    def _read(self, query: Tensor, keys: Tensor, index: Tensor | None, batch: Batch) -> Tensor:
        """The target token's outputs (B, W); ``query`` and ``keys`` are the projected items."""
        layout = Padding.of(batch, self.max_length)
        slots = Slots.of(layout, layout.slots(batch.row, batch.offsets))
        tokens = gather(keys, index)
        tokens = tokens + self.match(row_products(query, keys, index, batch.row, batch.offsets))
        tokens = tokens.to(self.target.dtype)  # what is added up stays exact
        bias = tokens.new_zeros(len(tokens), self.recency.embedding_dim)
        if self.signal is not None:
            seen = self.signal(batch.signals).to(tokens.dtype)
            wide, by_head = torch.split(seen, [tokens.shape[1], bias.shape[1]], dim=1)
            tokens, bias = tokens + wide, bias + by_head
        of_rows = torch.split(query.to(tokens.dtype) + self.target, [n for n, _ in layout.parts])
        parts = zip(
            of_rows, slots.scatter(tokens), slots.scatter(bias), slots.attended, strict=True
        )
        return torch.cat([self._encode(*part) for part in parts])

    def _encode(self, target: Tensor, tokens: Tensor, bias: Tensor, attended: Tensor) -> Tensor:
        """Targets (n, W), tokens (n, L, W), bias (n, L, H) and attended (n, L) -> (n, W)."""
        length = tokens.shape[1]
        # Slots are left-padded: the last is the most recent.
        position, recency = (
            table.weight[:length].flip(0) for table in (self.position, self.recency)
        )
        x = torch.cat([tokens + position, target[:, None]], dim=1)
        bias = (bias + recency).masked_fill(~attended[:, :, None], float("-inf"))
        bias = F.pad(bias, (0, 0, 0, 1)).transpose(1, 2)[:, :, None]  # the target's own is 0
        for number, layer in enumerate(self.layers, 1):
            x = layer(x, bias, 1 if number == len(self.layers) else length + 1)
        return x[:, -1]
