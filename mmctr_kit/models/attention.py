"""What DIN can put in place of its own attention: multi-head softmax attention, and none.

Shapes: B rows, P packed history positions, D the width of an item vector, K distinct items, H
heads, A the width of all heads together. Each has ``attend`` as
:class:`mmctr_kit.models.layers.TargetAttention` has it, and ``heads``, the columns of its scores.
"""

import math

import torch
from torch import Tensor, nn

from mmctr_kit.errors import UsageError
from mmctr_kit.models.batch import Batch
from mmctr_kit.models.dropout import Dropout
from mmctr_kit.models.layers import linear
from mmctr_kit.models.segments import row_products, segment_softmax, weighted_sum


class MultiHeadTargetAttention(nn.Module):
    """The target queries its history: scaled dot products, softmax per row and head.

    Vaswani et al. 2017 with one query a row; no biases, so a row without history gets zeros.
    ``dim`` = A is shared by the heads. A linear map of a position's ``signals`` is added to its
    scores. Raises UsageError where ``heads`` does not divide it.
    """

    def __init__(
        self, width: int, heads: int, dim: int, dropout: float, *, signals: int = 0
    ) -> None:
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
        """Pooled history (B, D), and the scores (P, H) before the softmax.

        ``target`` (B, D), keys and values ``table[index]``: ``table`` (K, D),
        ``index`` (P,) or None.
        """
        row, offsets = batch.row, batch.offsets
        query = self.query(target) * self.scale  # (B, A)
        key, value = self.key(table), self.value(table)  # (K, A): once a distinct item
        product = row_products(query, key, index, row, offsets)  # (P, A)
        by_head = product.view(len(row), self.heads, key.shape[1] // self.heads)
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
