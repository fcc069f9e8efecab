"""DIN's own attention, and two that can replace it: multi-head softmax attention, and none.

Shapes: B rows, P packed history positions, D the width of an item vector, K distinct items, H
heads, A the width of all heads together. Each class has ``attend``, as in
:class:`TargetAttention`, and ``heads``, the number of columns of its scores.
"""

import math
from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mmctr_kit.errors import UsageError
from mmctr_kit.models.batch import Batch
from mmctr_kit.models.layers.blocks import Layers, activation, linear
from mmctr_kit.models.ops.dropout import Dropout
from mmctr_kit.models.ops.gather import eager_on_cpu
from mmctr_kit.models.ops.segments import (
    row_and_item_sums,
    row_products,
    rows_to_positions,
    segment_softmax,
    weighted_sum,
)
from mmctr_kit.models.option_types import Activation


def scaled_attention(
    query: Tensor, key: Tensor, value: Tensor, mask: Tensor, dropout: Dropout
) -> Tensor:
    """Scaled dot-product attention with ``dropout`` of the weights (Vaswani et al. 2017).

    (n, H, q, d), (n, H, L, d), (n, H, L, d) -> (n, H, q, d). ``mask`` (n, 1 or H, 1 or q, L): bool,
    1 = attended, or numbers to add to the scores. torch's own would fix the rate of its dropout.
    """
    if not dropout.acts:
        return F.scaled_dot_product_attention(query, key, value, mask)
    scores = query @ key.transpose(-1, -2) / math.sqrt(query.shape[-1])
    scores = scores.masked_fill(~mask, -math.inf) if mask.dtype == torch.bool else scores + mask
    weight: Tensor = dropout(scores.softmax(-1, dtype=torch.float32))
    mixed: Tensor = weight.to(value.dtype) @ value
    return mixed


class MultiHeadTargetAttention(nn.Module):
    """The target queries its history: scaled dot products, softmax per row and head.

    Vaswani et al. 2017 with one query a row; no biases, so a row without history gets zeros.
    ``dim`` = A is shared by the heads. A linear map of a position's ``signals`` is added to its
    scores. Raises UsageError if ``heads`` does not divide it.
    """

    def __init__(self, width: int, heads: int, dim: int, dropout: float, signals: int = 0) -> None:
        super().__init__()
        if dim % heads:
            raise UsageError(
                f"model.attention_heads is {heads}, which does not divide the attention's width "
                f"{dim}; set model.attention_dim to a multiple of it"
            )
        self.heads = heads
        self.scale = 1 / math.sqrt(dim // heads)
        self.query = linear(width, dim, bias=False)
        self.key = linear(width, dim, bias=False)
        self.value = linear(width, dim, bias=False)
        self.out = linear(dim, width, bias=False)
        self.signal = linear(signals, heads, bias=False) if signals else None
        self.dropout = Dropout(dropout)
        # Keys begin as queries do, so that scores begin as a similarity of target and item, and the
        # way back as the values' transpose, so that what is pooled begins in the items' own axes.
        with torch.no_grad():
            self.key.weight.copy_(self.query.weight)
            self.out.weight.copy_(self.value.weight.T)

    def attend(
        self, target: Tensor, table: Tensor, index: Tensor | None, batch: Batch
    ) -> tuple[Tensor, Tensor]:
        """Pooled history (B, D), and the scores (P, H) before the softmax."""
        row, offsets = batch.row, batch.offsets
        query = self.query(target) * self.scale  # (B, A)
        key, value = self.key(table), self.value(table)  # (K, A): once a distinct item
        product = row_products(query, key, index, row, offsets)  # (P, A)
        by_head = torch.unflatten(product, 1, (self.heads, -1))
        scores = by_head.sum(-1, dtype=torch.float32)  # (P, H)
        if self.signal is not None:
            scores = scores + self.signal(batch.signals)
        weight = self.dropout(segment_softmax(scores, row, offsets))
        pooled = weighted_sum(weight, value, index, row, offsets)  # (B, A)
        return self.out(pooled), scores


class NoAttention(nn.Module):
    """Every position weighs 1, whatever the target."""

    heads = 0

    def attend(
        self, target: Tensor, table: Tensor, index: Tensor | None, batch: Batch
    ) -> tuple[Tensor, Tensor]:
        """The sum of the history's vectors (B, D), and scores (P, 0)."""
        ones = table.new_ones(len(batch.history), 1)
        pooled = weighted_sum(ones, table, index, batch.row, batch.offsets)
        return pooled, target.new_zeros(len(batch.history), 0)


class Score(nn.Linear):
    """A Linear to one number.

    Compiled, it is summed while its input is computed; a product would first write that to memory.
    """

    def forward(self, input: Tensor) -> Tensor:
        """(n, d) -> (n, 1)."""
        if eager_on_cpu(input):
            return super().forward(input)
        products = input * self.weight.to(input.dtype)
        return products.sum(-1, keepdim=True, dtype=torch.float32) + self.bias


class TargetAttention(nn.Module):
    """DIN's attention (Zhou et al. 2018): an MLP on [q, k, q - k, q * k], no softmax.

    The first layer is evaluated as q(Wq + Wd) + k(Wk - Wd) + (q * k)Wp, so that its q part is
    computed once a row and its k part once a distinct item, not once a position. The ``signals`` of
    a position are further inputs of that layer. The weights begin around ``start``.
    """

    heads = 1

    def __init__(
        self,
        width: int,
        hidden: Sequence[int],
        act: Activation,
        dropout: float,
        *,
        signals: int = 0,
        start: float = 0.0,
    ) -> None:
        super().__init__()
        self.width = width
        self.first = linear(4 * width, hidden[0])
        self.signal = linear(signals, hidden[0], bias=False) if signals else None
        rest: list[nn.Module] = []
        for inputs, outputs in pairwise(hidden):
            rest += [activation(act, spent=True), Dropout(dropout), linear(inputs, outputs)]
        output = Score(hidden[-1], 1)
        nn.init.xavier_normal_(output.weight)
        nn.init.constant_(output.bias, start)
        rest += [activation(act), Dropout(dropout), output]
        self.rest = Layers(*rest)

    def attend(
        self, target: Tensor, table: Tensor, index: Tensor | None, batch: Batch
    ) -> tuple[Tensor, Tensor]:
        """Pooled history (B, D), and the weights (P, 1) that pooled it (anything at dummies).

        ``target`` (B, D), keys ``table[index]``: ``table`` (K, D), ``index`` (P,) or None as in
        :func:`~mmctr_kit.models.ops.gather.gather`.
        """
        wq, wk, wd, wp = torch.split(self.first.weight, self.width, dim=1)
        per_row = F.linear(target, wq + wd, self.first.bias)
        low = per_row.dtype  # the type of products, in which positions are gathered too
        keys = table.to(low)
        row, offsets = batch.row, batch.offsets
        product = row_products(target.to(low), keys, index, row, offsets)
        # Mostly in place: each is as large as all positions by the hidden width.
        if index is None:
            # Both parts in one product, which is written once.
            both = torch.cat([keys, product], dim=1)
            hidden = rows_to_positions(per_row, row, offsets)
            hidden = hidden.add_(F.linear(both, torch.cat([wk - wd, wp], dim=1)))
        else:
            per_item = F.linear(keys, wk - wd)
            hidden = row_and_item_sums(per_row, per_item, index, row, offsets)
            hidden = hidden.addmm_(product, wp.to(low).T)
        if self.signal is not None:
            hidden = hidden + self.signal(batch.signals)
        weight = self.rest(hidden)
        pooled = weighted_sum(weight, table, index, row, offsets)
        return pooled, weight
