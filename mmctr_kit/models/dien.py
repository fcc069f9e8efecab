"""Deep Interest Evolution Network: follows what a user is interested in, as it bears on the target.

Zhou et al., AAAI 2019 (arXiv 1809.03672). A GRU turns the history into a sequence of interests; an
auxiliary loss teaches each of them to tell the next item from another one. Attention weighs each
interest by the target, and a second GRU (AUGRU), whose update gate is scaled by that attention,
follows the interest to its present state.

Shapes: B rows, in parts of n rows that are padded to L slots each (see ``layers/padding.py``), P
packed history positions, D the width of an item vector, H the width of an interest.
"""

from typing import Annotated

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mmctr_kit.data.contract import N_LEVELS
from mmctr_kit.models.batch import Batch
from mmctr_kit.models.layers.attention import NoAttention
from mmctr_kit.models.layers.blocks import MLP, concat, embedding, linear, logloss
from mmctr_kit.models.layers.encoder import ItemEncoder
from mmctr_kit.models.layers.padding import Padding, Slots
from mmctr_kit.models.ops.gather import gather
from mmctr_kit.models.option_types import (
    BatchNorm,
    EmbeddingDim,
    ItemEmbDim,
    MaxLength,
    Means,
    MlpActivation,
    MlpDropout,
    MlpHidden,
    NonNegativeFloat,
    PositiveInt,
    Widths,
    applies_unless,
)


class GRU(nn.Module):
    """Gated recurrent unit (Cho et al. 2014) over left-padded rows; with attention, an AUGRU.

    u, r = sigmoid(W x + U h + b); c = tanh(W_c x + U_c (r * h) + b_c); h <- h + a u * (c - h), in
    which a is the attention of the slot, or 1. ``nn.GRU`` is not used because it is neither an
    AUGRU nor compiled.
    """

    def __init__(self, inputs: int, width: int) -> None:
        super().__init__()
        self.input = linear(inputs, 3 * width)
        self.gates = linear(width, 2 * width, bias=False)
        self.candidate = linear(width, width, bias=False)

    def forward(self, x: Tensor, real: Tensor, attention: Tensor | None = None) -> Tensor:
        """(n, L, 3 H) results of ``input`` -> (n, L, H) states, zeros before a row begins.

        ``real`` (n, L) bool marks the slots that hold an item; ``attention`` (n, L) is 0..1.
        """
        width = x.shape[2] // 3
        scale = real.float() if attention is None else real * attention
        of_gates, of_candidate = torch.split(x.float(), [2 * width, width], dim=2)
        steps = (of_gates.unbind(1), of_candidate.unbind(1), torch.split(scale, 1, dim=1))
        state, states = x.new_zeros(len(x), width, dtype=torch.float32), []
        for gates, candidate, a in zip(*steps, strict=True):
            update, reset = torch.sigmoid(gates + self.gates(state)).chunk(2, dim=1)
            candidate = torch.tanh(candidate + self.candidate(reset * state))
            state = torch.addcmul(state, a * update, candidate - state)
            states.append(state)
        return torch.stack(states, dim=1)


class DIEN(nn.Module):
    """Row -> logit.

    The ``max_length`` most recent items of a history are read one after another, into interests of
    width ``interest_dim``. The head sees the levels, the target, the sum of the
    history, its product with the target and the evolved interest, as in the authors' code.
    """

    def __init__(
        self,
        *,
        item_tags: Tensor,
        item_emb: Tensor,
        n_tags: int,
        embedding_dim: EmbeddingDim = 64,
        item_emb_dim: ItemEmbDim = None,
        max_length: MaxLength = 64,
        interest_dim: Annotated[PositiveInt, Means("The width of an interest.")] = 64,
        aux_weight: Annotated[
            NonNegativeFloat,
            Means("The weight of the auxiliary loss, which tells the next item from another one."),
        ] = 1.0,
        aux_hidden: Annotated[
            Widths,
            applies_unless("aux_weight", 0.0),
            Means("The widths of the hidden layers of the auxiliary loss's network."),
        ] = (100, 50),
        mlp_hidden: MlpHidden = (200, 80),
        mlp_activation: MlpActivation = "prelu",
        mlp_dropout: MlpDropout = 0.0,
        batch_norm: BatchNorm = True,
    ) -> None:
        super().__init__()
        self.items = ItemEncoder(item_tags, item_emb, n_tags, embedding_dim, item_emb_dim)
        self.likes_level = embedding(N_LEVELS, embedding_dim)
        self.views_level = embedding(N_LEVELS, embedding_dim)
        width = self.items.width
        self.max_length = max_length
        self.extractor = GRU(width, interest_dim)
        self.attention = linear(width, interest_dim, bias=False)
        self.evolution = GRU(interest_dim, interest_dim)
        self.pooling = NoAttention()
        self.aux_weight = aux_weight
        self.auxiliary: MLP | None = None
        if aux_weight:
            self.auxiliary = MLP(interest_dim + width, aux_hidden, "sigmoid")
        fields = 2 * embedding_dim + 3 * width + interest_dim
        self.mlp = MLP(fields, mlp_hidden, mlp_activation, mlp_dropout, batch_norm)

    def forward(self, batch: Batch) -> Tensor:
        """(B,) logits."""
        return self._read(batch)[0]

    def loss(self, batch: Batch, labels: Tensor) -> Tensor:
        """The logloss plus ``aux_weight`` times the auxiliary loss, ()."""
        logit, history, interest, seen = self._read(batch)
        loss = logloss(logit, labels)
        if self.auxiliary is None:
            return loss
        return loss + self.aux_weight * self._auxiliary_loss(batch, history, interest, seen)

    def _read(self, batch: Batch) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Logits (B,), item vectors (P, D), interests (P, H) and which positions are read.

        The last is (P,) bool: the ``max_length`` most recent positions of each row.
        """
        target, table, index = self.items.lookup(batch.history, batch.item)  # (B, D), (K, D), (P,)
        layout = Padding.of(batch, self.max_length)
        slots = Slots.of(layout, layout.slots(batch.row, batch.offsets))
        history = gather(table, index)  # (P, D)
        inputs = slots.scatter(self.extractor.input(history))
        query = self.attention(target).float()  # (B, H)
        queries = torch.split(query, [rows for rows, _ in layout.parts])
        interests, evolved = [], []
        for x, real, one in zip(inputs, slots.attended, queries, strict=True):
            interest = self.extractor(x, real)  # (n, L, H)
            scores = torch.einsum("nlh,nh->nl", interest, one).float()
            attention = scores.masked_fill(~real, -1e30).softmax(1)
            states = self.evolution(self.evolution.input(interest), real, attention)
            evolved.append(states[:, -1])
            interests.append(interest)
        pooled = self.pooling.attend(target, table, index, batch)[0].to(target.dtype)  # (B, D)
        levels = self.likes_level(batch.likes_level), self.views_level(batch.views_level)
        fields = [*levels, target, pooled, pooled * target, torch.cat(evolved)]
        logit = self.mlp(concat(fields)).squeeze(-1)
        return logit, history, slots.gather(interests), slots.slot < layout.size

    def _auxiliary_loss(
        self, batch: Batch, history: Tensor, interest: Tensor, seen: Tensor
    ) -> Tensor:
        """The mean logloss of telling the item after each interest from another item, ().

        The other item stands half a batch of positions further on, in another row's history: a
        batch's rows are drawn at random. A pair of equal items is left out, as is a row's last
        interest.
        """
        assert self.auxiliary is not None
        total = batch.offsets[-1].long()  # the positions that are no dummies
        following = torch.arange(1, len(history) + 1, device=history.device) % total.clamp(min=1)
        other = (following + total // 2) % total.clamp(min=1)
        real = seen & (batch.row == batch.row[following])
        real = real & (following > 0) & (batch.history[following] != batch.history[other])
        true, false = (
            self.auxiliary(concat([interest, gather(history, item)])).squeeze(-1).float()
            for item in (following, other)
        )
        losses = F.softplus(-true) + F.softplus(false)
        return (losses * real).sum() / real.sum().clamp(min=1)
