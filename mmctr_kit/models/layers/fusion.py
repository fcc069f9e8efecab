"""Learned fusion of an item's modalities (text, image) inside the model.

Shapes: n items, M modalities of widths d_1..d_M side by side in one vector, ``out`` the fused
width, H heads. Fixed fusion, before any model, is :mod:`mmctr_kit.items.table`.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mmctr_kit.errors import UsageError
from mmctr_kit.models.layers.blocks import linear
from mmctr_kit.models.ops.dropout import Dropout
from mmctr_kit.models.option_types import FusionKind


class ModalityFusion(nn.Module):
    """An item's modalities x_1..x_M -> one vector (``out``,). ``widths`` are d_1..d_M.

    - ``concat``: W [x_1; ...; x_M], the official baseline's projection.
    - ``sum``: sum_m W_m x_m, as ``concat``, but each W_m is initialised by its own width.
    - ``gated``: sum_m z_m * tanh(W_m x_m), the gated multimodal unit of Arevalo et al. (2017,
      arXiv 1702.01992). The gates z (M, ``out``) are a softmax over the modalities of
      W_z [x_1; ...; x_M]: for two modalities the paper's bimodal unit, z and 1 - z by a sigmoid.
    - ``cross``: mean_m LayerNorm(t_m + a_m), where the token t_m = W_m x_m gets a_m from attention
      of ``heads`` heads to all tokens of the item; see :class:`CrossModalAttention`.

    No projection has a bias. ``heads`` is for ``cross`` only.

    ``dropout`` = p > 0 is modality dropout, and gives each modality a learned *missing* vector. It
    begins as zeros: what an item without the modality has in a raw table, and the mean item of a
    centred one. Before projection, gates and attention it replaces x_m

    - if the item lacks the modality, in training and in evaluation alike;
    - in training, with probability p for each present modality of each row of a call. The last
      present modality of a row is never dropped: if the draws would drop them all, one of them
      stays, each as likely as the others. So of M present modalities each is dropped at the rate
      p - p^M / M, and an only one never. Nothing is rescaled.

    Raises UsageError if ``gated`` or ``cross`` is given one modality, ``heads`` does not divide
    ``out``, or ``out`` is too small for ``cross`` to normalise over.
    """

    def __init__(
        self, widths: Sequence[int], out: int, kind: FusionKind, heads: int, dropout: float
    ) -> None:
        super().__init__()
        if kind in ("gated", "cross") and len(widths) == 1:
            raise UsageError(
                f"model.fusion: {kind} fuses two modalities or more; items.embedding gives one; "
                "set items.embedding to separate_pca, blocks, e4 or raw, or model.fusion to concat"
            )
        self.widths = list(widths)
        self.dropout = Dropout(dropout)
        self.weight: Tensor | None = None
        self.modality = nn.ModuleList()
        self.gate: nn.Linear | None = None
        self.attention: CrossModalAttention | None = None
        self.missing: nn.Parameter | None = None
        if kind == "concat":
            self.weight = linear(sum(widths), out, bias=False).weight
        else:
            self.modality.extend(linear(width, out, bias=False) for width in widths)
        if kind == "gated":
            self.gate = linear(sum(widths), len(widths) * out, bias=False)
        elif kind == "cross":
            self.attention = CrossModalAttention(out, heads)
        if dropout:
            self.missing = nn.Parameter(torch.zeros(sum(widths)))

    def forward(self, vectors: Tensor, present: Tensor) -> Tensor:
        """(n, d_1 + ... + d_M) float32 -> (n, out).

        ``present`` (n, M) bool, 1 = the item has the modality; not looked at with ``dropout`` 0.
        """
        if self.missing is not None:
            vectors = self._replaced(vectors, present, self.missing)
        if self.weight is not None:
            return F.linear(vectors, self.weight)
        parts = zip(self.modality, torch.split(vectors, self.widths, dim=1), strict=True)
        tokens = torch.stack([project(part) for project, part in parts], dim=1)  # (n, M, out)
        if self.attention is not None:
            mixed: Tensor = self.attention(tokens)
            return mixed.mean(1)
        if self.gate is not None:
            gate: Tensor = self.gate(vectors).view(tokens.shape)
            return (gate.softmax(1, dtype=torch.float32) * tokens.tanh()).sum(1)
        return tokens.sum(1)

    def projections(self) -> list[Tensor]:
        """The weights that project the modalities to width ``out``, without gates and attention.

        They stand for an embedding table and are regularised as one.
        """
        if self.weight is not None:
            return [self.weight]
        return [weight for layer in self.modality for weight in layer.parameters()]

    def _replaced(self, vectors: Tensor, present: Tensor, missing: Tensor) -> Tensor:
        """``vectors`` with the missing vector in place of absent and dropped modalities."""
        used = present
        if self.dropout.acts:
            draw = torch.rand(present.shape, device=present.device)
            # Below p is dropped; but the highest draw among the present always stays.
            highest = draw.masked_fill(~present, -1.0).amax(1, keepdim=True)
            used = present & (draw >= torch.minimum(highest, self.dropout.rate))
        pairs = zip(torch.split(used, 1, dim=1), self.widths, strict=True)
        columns = torch.cat([one.expand(-1, width) for one, width in pairs], dim=1)
        return torch.where(columns, vectors, missing)


class CrossModalAttention(nn.Module):
    """The modalities of an item attend to each other: (n, M, width) tokens -> (n, M, width).

    LayerNorm(t_m + W_o [head_1; ...; head_H]), head = sum_j softmax_j(q_m . k_j / sqrt(width / H))
    v_j over all M tokens j of the item, m itself among them: without it, the softmax of two
    modalities would be over one token. Multi-head attention with a residual and the norm after it,
    as in Vaswani et al. (2017), without feed-forward and biases. Scores and softmax are float32. No
    position embedding is needed, since each modality has a projection of its own.

    Raises UsageError if ``heads`` does not divide ``width``, or ``width`` is below 3.
    """

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        if width < 3:  # a LayerNorm of two values is their order, of one value nothing
            raise UsageError(
                f"model.fusion: cross normalises over the fused width, which is {width}; set "
                "model.item_emb_dim to 3 or more"
            )
        if width % heads:
            raise UsageError(
                f"model.fusion_heads is {heads}, which does not divide the fused width {width}; "
                "set model.item_emb_dim to a multiple of it"
            )
        self.heads = heads
        self.scale = 1 / math.sqrt(width // heads)
        self.query = linear(width, width, bias=False)
        self.key = linear(width, width, bias=False)
        self.value = linear(width, width, bias=False)
        self.out = linear(width, width, bias=False)
        self.norm = nn.LayerNorm(width)

    def forward(self, tokens: Tensor) -> Tensor:
        projected = (self.query(tokens) * self.scale, self.key(tokens), self.value(tokens))
        query, key, value = (torch.unflatten(x, 2, (self.heads, -1)) for x in projected)
        # Written out, since torch's own takes at most 65,535 items on CUDA (pytorch issue 142228).
        product = query.unsqueeze(2) * key.unsqueeze(1)  # (n, M, M, H, width / H)
        weight = product.sum(-1, dtype=torch.float32).softmax(2).unsqueeze(-1)
        mixed = (weight.to(value.dtype) * value.unsqueeze(1)).sum(2)  # (n, M, H, width / H)
        normed: Tensor = self.norm(tokens + self.out(mixed.flatten(2)))
        return normed
