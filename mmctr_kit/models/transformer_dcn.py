"""Transformer over [history item, target] tokens, then DCNv2: the 1st place's architecture.

The winning entry of the MMCTR challenge (Transformer_DCN, built on FuxiCTR), which takes its
sequence part from TransAct (Xia et al., KDD 2023) and its head from DCNv2 (Wang et al., WWW 2021).
In :class:`TransformerDCN` real positions are attended and padding is not. As it was released, the
mask is inverted: :class:`TransformerDCNMomo`.

Shapes: B rows, in parts of n rows that are padded to L slots each
(:mod:`mmctr_kit.models.layers.padding`), T tokens, D the width of an item vector, W = 2 D that of
a token.
"""

from collections.abc import Iterable
from typing import Annotated

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mmctr_kit.data.contract import N_LEVELS, PAD
from mmctr_kit.errors import UsageError
from mmctr_kit.models.batch import Batch
from mmctr_kit.models.layers.attention import scaled_attention
from mmctr_kit.models.layers.blocks import MLP, embedding, linear
from mmctr_kit.models.layers.encoder import ItemEncoder
from mmctr_kit.models.layers.padding import Padding, Slots
from mmctr_kit.models.ops.dropout import Dropout
from mmctr_kit.models.ops.gather import gather
from mmctr_kit.models.ops.segments import with_zeros
from mmctr_kit.models.option_types import (
    Activation,
    EmbeddingDim,
    ItemEmbDim,
    MaxLength,
    Means,
    PositiveInt,
    Rate,
    Widths,
)
from mmctr_kit.models.published import ITEM_NAMES, Names, State, in_order, numbered


class SelfAttention(nn.Module):
    """Multi-head self-attention among the tokens of a row (Vaswani et al. 2017).

    Parameters are named and initialised as in ``nn.MultiheadAttention``. That module is not used
    because in evaluation it takes another path than in training, with other results for ignored
    positions. ``heads`` must divide ``width``; ``dropout`` is of the attention weights.
    """

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads = heads
        self.drop = Dropout(dropout)
        self.in_proj_weight = nn.Parameter(torch.empty(3 * width, width))
        self.in_proj_bias = nn.Parameter(torch.zeros(3 * width))
        self.out_proj = nn.Linear(width, width)
        nn.init.xavier_uniform_(self.in_proj_weight)
        nn.init.zeros_(self.out_proj.bias)

    def forward(self, x: Tensor, slots: Slots) -> Tensor:
        """(T, W) tokens and their slots -> (T, W); every row needs an attended slot."""
        qkv = slots.scatter(F.linear(x, self.in_proj_weight, self.in_proj_bias))
        parts = zip(qkv, slots.attended, strict=True)
        output: Tensor = self.out_proj(slots.gather([self._attend(*part) for part in parts]))
        return output

    def _attend(self, qkv: Tensor, attended: Tensor) -> Tensor:
        """(n, L, 3 W), (n, L) -> (n, L, W)."""
        rows, length = attended.shape
        q, k, v = qkv.view(rows, length, 3, self.heads, -1).permute(2, 0, 3, 1, 4)  # (n, H, L, W/H)
        pooled = scaled_attention(q, k, v, attended[:, None, None, :], self.drop)
        return pooled.transpose(1, 2).flatten(2)


class EncoderLayer(nn.Module):
    """Post-norm encoder layer with ReLU; parameters as in ``nn.TransformerEncoderLayer``."""

    def __init__(self, width: int, heads: int, feedforward: int, dropout: float) -> None:
        super().__init__()
        self.self_attn = SelfAttention(width, heads, dropout)
        self.linear1 = linear(width, feedforward)
        self.linear2 = linear(feedforward, width)
        self.norm1 = nn.LayerNorm(width)
        self.norm2 = nn.LayerNorm(width)
        self.drop = Dropout(dropout)

    def forward(self, x: Tensor, slots: Slots) -> Tensor:
        """(T, W) -> (T, W); arguments as in :class:`SelfAttention`."""
        x = self.norm1(x + self.drop(self.self_attn(x, slots)))
        hidden = self.drop(F.relu(self.linear1(x)))
        out: Tensor = self.norm2(x + self.drop(self.linear2(hidden)))
        return out


class CrossNet(nn.Module):
    """DCNv2's cross layers at full rank: x <- x + x0 * (W x + b). (B, n) -> (B, n)."""

    def __init__(self, width: int, layers: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(linear(width, width) for _ in range(layers))

    def forward(self, x0: Tensor) -> Tensor:
        x = x0
        for layer in self.layers:
            x = x + x0 * layer(x)
        return x


class TransformerDCN(nn.Module):
    """Row -> logit.

    The ``max_length`` most recent items of a history are seen, the last ``first_k_cols`` of them
    position by position, all of them through the maximum if ``max_pool``. A row without history
    attends to one padding item, whose id vector stays 0.

    The defaults are the released sizes but for two, so that they fit a CPU: ``embedding_dim`` (64
    as released) and ``first_k_cols`` (16). The cross layers are square in that many tokens: 248
    million weights as released, with 128 multimodal dimensions.
    """

    def __init__(
        self,
        *,
        item_tags: Tensor,
        item_emb: Tensor,
        n_tags: int,
        embedding_dim: EmbeddingDim = 16,
        item_emb_dim: ItemEmbDim = None,
        max_length: MaxLength = 64,
        transformer_layers: Annotated[
            PositiveInt, Means("How many layers the transformer has.")
        ] = 2,
        num_heads: Annotated[
            PositiveInt, Means("The heads of the attention; they must divide a token's width.")
        ] = 1,
        dim_feedforward: Annotated[
            PositiveInt, Means("The width inside a transformer layer's MLP.")
        ] = 256,
        transformer_dropout: Annotated[Rate, Means("The dropout of the transformer.")] = 0.2,
        first_k_cols: Annotated[
            PositiveInt,
            Means("The outputs of so many of the most recent items go to the head one by one."),
        ] = 4,
        max_pool: Annotated[
            bool, Means("Show the head the maximum over all of the transformer's outputs too.")
        ] = True,
        cross_layers: Annotated[PositiveInt, Means("How many cross layers DCNv2 has.")] = 3,
        dcn_hidden: Annotated[
            Widths, Means("The widths of the hidden layers of DCNv2's deep part.")
        ] = (1024, 512, 256),
        dcn_dropout: Annotated[Rate, Means("The dropout of DCNv2's deep part.")] = 0.2,
        batch_norm: Annotated[bool, Means("Batch normalisation in DCNv2's deep part.")] = False,
        mlp_hidden: Annotated[
            tuple[PositiveInt, ...],
            Means("The widths of the hidden layers after DCNv2; an empty list for none."),
        ] = (64, 32),
        activation: Annotated[
            Activation, Means("The activation of DCNv2's deep part and the layers after it.")
        ] = "relu",
    ) -> None:
        super().__init__()
        self.items = ItemEncoder(item_tags, item_emb, n_tags, embedding_dim, item_emb_dim)
        self.likes_level = embedding(N_LEVELS, embedding_dim)
        self.views_level = embedding(N_LEVELS, embedding_dim)
        # As released: the padding item's id vector is 0 and gets no gradient.
        assert self.items.item_id is not None
        self.items.item_id.padding_idx = PAD
        nn.init.zeros_(self.items.item_id.weight[PAD])
        width = 2 * self.items.width
        if width % num_heads:
            raise UsageError(
                f"model.num_heads: expected a divisor of the token width {width}, not {num_heads}; "
                "the width is twice that of an item vector (id, tags, projected item_emb)"
            )
        if first_k_cols > max_length:
            raise UsageError(
                f"model.first_k_cols: expected at most max_length {max_length}, not "
                f"{first_k_cols}; lower it or raise model.max_length"
            )
        self.max_length = max_length
        self.first_k_cols = first_k_cols
        self.encoder = nn.ModuleList(
            EncoderLayer(width, num_heads, dim_feedforward, transformer_dropout)
            for _ in range(transformer_layers)
        )
        self.out_linear = linear(width, width) if max_pool else None
        fields = 2 * embedding_dim + self.items.width + (first_k_cols + max_pool) * width
        self.cross = CrossNet(fields, cross_layers)
        self.deep = MLP(fields, dcn_hidden, activation, dcn_dropout, batch_norm, last=False)
        self.mlp = MLP(fields + dcn_hidden[-1], mlp_hidden, activation)

    def forward(self, batch: Batch) -> Tensor:
        """(B,) logits."""
        history = torch.cat([batch.history.new_full((1,), PAD), batch.history])
        target, table, index = self.items.lookup(history, batch.item)  # (B, D)
        padding, history = torch.split(gather(table, index), [1, len(batch.history)])
        parts = self.encoded(batch, history, target, padding.squeeze(0))
        levels = self.likes_level(batch.likes_level), self.views_level(batch.views_level)
        fields = [*levels, target, self._pooled(parts)]
        exact = self.likes_level.weight.dtype  # for the cross layers' powers
        x = torch.cat([field.to(exact) for field in fields], dim=-1)
        return self.mlp(torch.cat([self.cross(x), self.deep(x)], dim=-1)).squeeze(-1)

    def encoded(
        self, batch: Batch, history: Tensor, target: Tensor, padding: Tensor
    ) -> Iterable[tuple[Tensor, Tensor]]:
        """The encoder's outputs (n, L, W) of each part, and (n, L) bool: True for attended slots.

        The outputs of other slots mean nothing. ``history`` (P, D), ``target`` (B, D) and
        ``padding`` (D,) are item vectors. There is a token for each history position and then one
        for each row, which has a slot only if the row has no history.
        """
        rows, layout = len(target), Padding.of(batch, self.max_length)
        number = torch.arange(rows, device=target.device)
        empty = batch.offsets.diff() == 0
        row = torch.cat([batch.row, torch.where(empty, number, rows)])
        last = torch.where(empty, layout.ends(target.device) - 1, layout.size)
        slot = torch.cat([layout.slots(batch.row, batch.offsets), last])
        items = torch.cat([history, padding.expand(rows, -1)])
        tokens = torch.cat([items, gather(with_zeros(target), row)], dim=-1)
        slots = Slots.of(layout, slot)
        return zip(self.encode(tokens, slots), slots.attended, strict=True)

    def encode(self, tokens: Tensor, slots: Slots) -> list[Tensor]:
        """Send (T, W) tokens through the encoder layers; return (n, L, W) of each part."""
        tokens = tokens.to(self.likes_level.weight.dtype)  # what is added up stays exact
        for layer in self.encoder:
            tokens = layer(tokens, slots)
        return slots.scatter(tokens)

    def _pooled(self, parts: Iterable[tuple[Tensor, Tensor]]) -> Tensor:
        """:meth:`encoded`'s last positions and maximum, (B, (first_k_cols + max_pool) * W)."""
        last, highest = [], []
        for padded, attended in parts:
            ignored = ~attended[:, :, None]
            k = min(self.first_k_cols, padded.shape[1])
            recent = padded[:, -k:].masked_fill(ignored[:, -k:], 0.0)
            last.append(F.pad(recent, (0, 0, self.first_k_cols - k, 0)).flatten(1))
            highest.append(padded.masked_fill(ignored, float("-inf")).amax(1))
        pooled = [torch.cat(last)]
        if self.out_linear is not None:
            pooled.append(self.out_linear(torch.cat(highest)))
        return torch.cat(pooled, dim=-1)

    def published_names(self, state: State) -> Names:
        """The released entry's parameter names; see :mod:`mmctr_kit.models.published`."""
        lists: dict[str, tuple[str, nn.Module]] = {
            "transformer_encoder.transformer_encoder.layers": ("encoder", self.encoder),
            "crossnet.cross_layers": ("cross.layers", self.cross.layers),
            "parallel_dnn.mlp": ("deep", self.deep),
            "mlp.mlp": ("mlp", self.mlp),
        }
        names = dict(ITEM_NAMES)
        for theirs, ours in lists.items():
            names |= in_order(state, theirs, numbered(*ours))
        if self.out_linear is not None:
            published = "transformer_encoder.out_linear"
            names |= {f"{published}.{kind}": f"out_linear.{kind}" for kind in ("weight", "bias")}
        return names


class TransformerDCNMomo(TransformerDCN):
    """The 1st place's model exactly as released, its inverted padding mask included: row -> logit.

    The released code hands a mask of 1 = real to an argument of True = ignore. So padding is
    attended and real positions are ignored, their outputs set to 0; if that would ignore all
    positions (a history of full length), the last one is let through. So **for a history shorter
    than ``max_length`` the history's items change nothing**; only their number does. It is here to
    reproduce that entry's numbers.

    In training all L positions of a row are computed, as released: the padding positions, which
    are what is attended, differ by their dropout, and the maximum is over all of them. In
    evaluation they are equal, so one token a row is computed, with the same result.
    """

    def encoded(
        self, batch: Batch, history: Tensor, target: Tensor, padding: Tensor
    ) -> Iterable[tuple[Tensor, Tensor]]:
        """The encoder's outputs (B, L, W), and (B, L) bool: True = attended = padding.

        It is one part, since all L = ``max_length`` slots of a row are needed.
        """
        rows, length = len(target), self.max_length
        from_end = torch.arange(length, 0, -1, device=target.device)
        real = from_end <= batch.offsets.diff()[:, None]  # (B, L), left-padded
        full = real.all(1)
        attended = ~real | (full[:, None] & (from_end == 1))
        if self.training:
            layout = Padding(((rows, length),))
            slots = Slots(layout, layout.slots(batch.row, batch.offsets), [real])
            items = torch.where(real[:, :, None], slots.scatter(history)[0], padding)
            tokens = torch.cat([items, target[:, None].expand(-1, length, -1)], dim=-1)
            slot = torch.arange(rows * length, device=target.device)
            outputs = self.encode(tokens.flatten(0, 1), Slots(layout, slot, [attended]))
            return [(outputs[0], attended)]
        # The last item of a full history, else padding: the one key there is, however often.
        items = torch.cat([padding[None], history])[torch.where(full, batch.offsets[1:], 0)]
        tokens = torch.cat([items, target], dim=-1)
        slot = torch.arange(rows, device=target.device)
        [one] = self.encode(tokens, Slots.of(Padding(((rows, 1),)), slot))
        return [(one.expand(-1, length, -1), attended)]
