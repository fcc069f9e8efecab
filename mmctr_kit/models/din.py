"""Deep Interest Network, as the challenge's official baseline has it.

Zhou et al., "Deep Interest Network for Click-Through Rate Prediction", KDD 2018; the official
MMCTR baseline adds tags and a projected multimodal vector to the item. With the defaults below the
model is the official one, parameter for parameter.
"""

import torch
from torch import Tensor, nn

from mmctr_kit.challenge.contract import N_LEVELS
from mmctr_kit.models.batch import Batch
from mmctr_kit.models.layers import MLP, ItemEncoder, TargetAttention, embedding
from mmctr_kit.models.published import ITEM_NAMES, Names, State, in_order, numbered
from mmctr_kit.options import Activation, PositiveInt, Rate, Widths


class DIN(nn.Module):
    """Row -> logit.

    ``item_tags`` (N + 1, tags) and ``item_emb`` (N + 1, d) are the item table, row 0 padding;
    ``n_tags`` is the tag vocabulary. ``item_emb_dim`` is the width that the multimodal vector is
    projected to, its own width by default.
    """

    def __init__(
        self,
        *,
        item_tags: Tensor,
        item_emb: Tensor,
        n_tags: int,
        embedding_dim: PositiveInt = 64,
        item_emb_dim: PositiveInt | None = None,
        attention_hidden: Widths = (512, 256),
        attention_activation: Activation = "relu",
        attention_dropout: Rate = 0.0,
        mlp_hidden: Widths = (1024, 512, 256),
        mlp_activation: Activation = "relu",
        mlp_dropout: Rate = 0.0,
        batch_norm: bool = True,
    ) -> None:
        super().__init__()
        projected = item_emb.shape[1] if item_emb_dim is None else item_emb_dim
        self.items = ItemEncoder(item_tags, item_emb, n_tags, embedding_dim, projected)
        self.likes_level = embedding(N_LEVELS, embedding_dim)
        self.views_level = embedding(N_LEVELS, embedding_dim)
        self.attention = TargetAttention(
            self.items.width, attention_hidden, attention_activation, attention_dropout
        )
        self.mlp = MLP(
            2 * embedding_dim + 2 * self.items.width,
            mlp_hidden,
            out=1,
            act=mlp_activation,
            dropout=mlp_dropout,
            batch_norm=batch_norm,
        )

    def forward(self, batch: Batch) -> Tensor:
        """(B,) logits."""
        n = len(batch.history)
        table, index = self.items.lookup(torch.cat([batch.history, batch.item]))
        target = nn.functional.embedding(index[n:], table)  # (B, D)
        pooled = self.attention(target, table, index[:n], batch.row, batch.offsets)  # (B, D)
        fields = [
            self.likes_level(batch.likes_level),
            self.views_level(batch.views_level),
            target,
            pooled.to(target.dtype),
        ]
        logit: Tensor = self.mlp(torch.cat(fields, dim=-1)).squeeze(-1)
        return logit

    def published_names(self, state: State) -> Names:
        """The official baseline's parameter names; see :mod:`mmctr_kit.models.published`."""
        rest = [(f"attention.rest.{i}", m) for i, m in numbered(self.attention.rest)]
        attention = [("attention.first", self.attention.first), *rest]
        mlp = [(f"mlp.{i}", m) for i, m in numbered(self.mlp)]
        return (
            ITEM_NAMES
            | in_order(state, "attention_layers.attention_layer.mlp", attention)
            | in_order(state, "dnn.mlp", mlp)
        )
