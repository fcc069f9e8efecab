"""DIN with a target encoder: a later public solution of the challenge.

Beside DIN's pooling (Zhou et al., KDD 2018), stacked cross-attention layers (Vaswani et al. 2017,
post-norm, with RMSNorm of Zhang and Sennrich 2019) let the target query the history. Every item
carries its likes and views levels, and the row its user. It is the published model, parameter for
parameter, by default in its best configuration.

Shapes: B rows, P packed history positions, D the width of an item vector, K rows of a table of
item vectors, H heads.
"""

import math
from collections.abc import Mapping
from typing import Annotated, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mmctr_kit.data.contract import N_LEVELS
from mmctr_kit.errors import UsageError
from mmctr_kit.models.batch import Batch
from mmctr_kit.models.layers.attention import TargetAttention
from mmctr_kit.models.layers.blocks import (
    MLP,
    Layers,
    UserEmbedding,
    concat,
    embedding,
    linear,
    product_type,
)
from mmctr_kit.models.layers.encoder import ItemEncoder
from mmctr_kit.models.ops.dropout import Dropout
from mmctr_kit.models.ops.segments import row_products, segment_softmax, weighted_sum
from mmctr_kit.models.option_types import (
    Activation,
    BatchNorm,
    EmbeddingDim,
    ItemEmbDim,
    Means,
    MlpActivation,
    MlpDropout,
    MlpHidden,
    PositiveInt,
    Rate,
    Widths,
)
from mmctr_kit.models.published import ITEM_NAMES, Names, State, attention_names, in_order, numbered

RMS_EPS = 1e-6


class LevelledItems(ItemEncoder):
    """Item vector (n, D): likes level, views level, then :class:`ItemEncoder`'s parts.

    ``levels`` (N + 1, 2) int are the items' likes and views levels.
    """

    levels: Tensor

    def __init__(
        self,
        item_tags: Tensor,
        item_emb: Tensor,
        levels: Tensor,
        n_tags: int,
        dim: int,
        emb_dim: int | None,
    ) -> None:
        super().__init__(item_tags, item_emb, n_tags, dim, emb_dim)
        self.register_buffer("levels", levels, persistent=False)
        self.likes_level = embedding(N_LEVELS, dim)
        self.views_level = embedding(N_LEVELS, dim)
        self.width += 2 * dim

    def forward(self, ids: Tensor) -> Tensor:
        likes, views = self.levels[ids].unbind(1)
        parts = [self.likes_level(likes), self.views_level(views), super().forward(ids)]
        return concat(parts)


class CrossAttention(nn.Module):
    """Multi-head softmax attention of one query a row over the row's positions.

    As published, query, key and value pass a projection each before the multi-head module's own.
    The two are one linear map, applied once a row of the table. Two published parameters are kept
    for the checkpoint and get no gradient: ``norm``, which the published code never calls, and the
    keys' biases (``key_proj.bias`` and the middle third of ``in_proj.bias``), which add the same
    to all scores of a row and so cancel in the softmax.
    """

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads = heads
        self.dropout = Dropout(dropout)
        self.query_proj = linear(width, width)
        self.key_proj = linear(width, width)
        self.value_proj = linear(width, width)
        self.in_proj = linear(width, 3 * width)
        self.out_proj = linear(width, width)
        self.norm = nn.LayerNorm(width)

    def forward(
        self, query: Tensor, table: Tensor, index: Tensor | None, row: Tensor, offsets: Tensor
    ) -> Tensor:
        """(B, D) from the query (B, D) and the items ``table[index]``; see TargetAttention.

        A row without positions gets the output projection's bias.
        """
        wq, wk, wv = self.in_proj.weight.chunk(3)
        bq, _, bv = self.in_proj.bias.chunk(3)
        q = F.linear(self.query_proj(query), wq, bq)
        key = F.linear(table, wk @ self.key_proj.weight)
        value_bias = wv @ self.value_proj.bias + bv
        value = F.linear(table, wv @ self.value_proj.weight, value_bias)
        product = row_products(q, key, index, row, offsets)
        by_head = torch.unflatten(product, 1, (self.heads, -1))
        scores = by_head.sum(-1, dtype=torch.float32) / math.sqrt(by_head.shape[2])
        weight = self.dropout(segment_softmax(scores, row, offsets))
        out: Tensor = self.out_proj(weighted_sum(weight, value, index, row, offsets))
        return out


class CrossAttentionLayer(nn.Module):
    """h = norm(history); x = norm(query + attention(query, h)); x + feed_forward(x).

    One RMSNorm for both. Dropout on attention weights, in the feed-forward part, on both branches.
    """

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.cross_attn = CrossAttention(width, heads, dropout)
        self.attn_norm = nn.RMSNorm(width, eps=RMS_EPS)
        self.ffn = Layers(linear(width, width), nn.ReLU(), Dropout(dropout), linear(width, width))
        self.drop = Dropout(dropout)

    def forward(
        self, query: Tensor, table: Tensor, index: Tensor | None, row: Tensor, offsets: Tensor
    ) -> Tensor:
        """(B, D) from the query (B, D) and the items ``table[index]``."""
        items = self.attn_norm(table.to(query.dtype)).to(product_type(table))
        attended = self.cross_attn(query, items, index, row, offsets)
        x = self.attn_norm(query + self.drop(attended))
        out: Tensor = x + self.drop(self.ffn(x))
        return out

    def published_names(self, state: State, theirs: str, ours: str) -> Names:
        """The names of this layer, called ``theirs`` in the state and ``ours`` in our model."""
        names = in_order(state, f"{theirs}.ffn", numbered(f"{ours}.ffn", self.ffn))
        for name in (n for n in self.state_dict() if not n.startswith("ffn.")):
            published = name.replace(".in_proj.", ".multihead_attn.in_proj_")
            published = published.replace(".out_proj.", ".multihead_attn.out_proj.")
            names[f"{theirs}.{published}"] = f"{ours}.{name}"
        return names


class DINTargetEncoder(nn.Module):
    """Row -> logit.

    A user not trained on has a zero vector. Raises UsageError if ``encoder_heads`` does not divide
    the width of an item vector.
    """

    exempt: ClassVar[Mapping[str, str]] = {
        "gradient": "cross_attn.norm and the key biases are in the published checkpoint, "
        "but the first is never used and the second cancel in the softmax",
    }

    def __init__(
        self,
        *,
        item_tags: Tensor,
        item_emb: Tensor,
        item_likes_level: Tensor,
        item_views_level: Tensor,
        n_tags: int,
        n_users: int,
        embedding_dim: EmbeddingDim = 64,
        item_emb_dim: ItemEmbDim = None,
        attention_hidden: Annotated[
            Widths, Means("The widths of the hidden layers of DIN's attention.")
        ] = (512, 256),
        attention_activation: Annotated[
            Activation, Means("The activation of DIN's attention.")
        ] = "relu",
        attention_dropout: Annotated[
            Rate, Means("The dropout of DIN's attention and of the target encoder.")
        ] = 0.0,
        encoder_layers: Annotated[
            PositiveInt, Means("How many layers of cross-attention the target encoder has.")
        ] = 2,
        encoder_heads: Annotated[
            PositiveInt,
            Means("The heads of the cross-attention; they must divide the item vector's width."),
        ] = 4,
        mlp_hidden: MlpHidden = (1024, 512, 256, 64, 16),
        mlp_activation: MlpActivation = "relu",
        mlp_dropout: MlpDropout = 0.0,
        batch_norm: BatchNorm = True,
    ) -> None:
        super().__init__()
        levels = torch.stack([item_likes_level, item_views_level], dim=1)
        self.items = LevelledItems(item_tags, item_emb, levels, n_tags, embedding_dim, item_emb_dim)
        width = self.items.width
        if width % encoder_heads:
            raise UsageError(
                f"model.encoder_heads: expected a divisor of the item vector's width {width} (4 * "
                f"embedding_dim + item_emb_dim), not {encoder_heads}; change one of the three"
            )
        self.user = UserEmbedding(n_users, embedding_dim)
        self.attention = TargetAttention(
            width, attention_hidden, attention_activation, attention_dropout
        )
        self.encoder = nn.ModuleList(
            CrossAttentionLayer(width, encoder_heads, attention_dropout)
            for _ in range(encoder_layers)
        )
        fields = 3 * embedding_dim + 3 * width
        self.mlp = MLP(fields, mlp_hidden, mlp_activation, mlp_dropout, batch_norm)

    def forward(self, batch: Batch) -> Tensor:
        """(B,) logits."""
        target, table, index = self.items.lookup(batch.history, batch.item)
        history = (table, index, batch.row, batch.offsets)
        pooled = self.attention.attend(target, table, index, batch)[0]  # (B, D)
        encoded = target.to(self.user.weight.dtype)  # what is added up stays exact
        for layer in self.encoder:
            encoded = layer(encoded, *history)  # (B, D)
        likes = self.items.likes_level(batch.likes_level)
        views = self.items.views_level(batch.views_level)
        fields = [self.user(batch.user), likes, views, target, pooled, encoded]
        return self.mlp(concat(fields)).squeeze(-1)

    def published_names(self, state: State) -> Names:
        """The released parameter names; see :mod:`mmctr_kit.models.published`."""
        levels = ("likes_level.weight", "views_level.weight")
        items = {k: f"items.{v}" if v in levels else v for k, v in ITEM_NAMES.items()}
        user = "embedding_layer.embedding_layer.embedding_layers.user_id.weight"
        names = items | {user: "user.weight"} | attention_names(state, self.attention)
        for i, layer in enumerate(self.encoder):
            assert isinstance(layer, CrossAttentionLayer)
            names |= layer.published_names(state, f"target_attention.layers.{i}", f"encoder.{i}")
        return names | in_order(state, "dnn.mlp", numbered("mlp", self.mlp))
