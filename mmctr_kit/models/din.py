"""Deep Interest Network, as the challenge's official baseline has it, and its variations.

Zhou et al., KDD 2018; the official MMCTR baseline adds tags and a projected multimodal vector to
the item. With its defaults the model is the official one, parameter for parameter. The options make
it the model of arXiv 2504.18961 (``attention: multihead``, ``se: true``), or leave a part out, with
its parameters, to learn what it was worth.
"""

from collections.abc import Sequence
from typing import Annotated, Literal

import torch
from torch import Tensor, nn

from mmctr_kit.data.contract import N_LEVELS
from mmctr_kit.errors import UsageError
from mmctr_kit.models.batch import Batch
from mmctr_kit.models.layers.attention import MultiHeadTargetAttention, NoAttention, TargetAttention
from mmctr_kit.models.layers.blocks import MLP, SqueezeExcitation, concat, embedding
from mmctr_kit.models.layers.encoder import Codes, ItemEncoder, Modalities
from mmctr_kit.models.layers.similarity import HistorySimilarity
from mmctr_kit.models.ops.segments import row_sum
from mmctr_kit.models.option_types import (
    Activation,
    BatchNorm,
    EmbeddingDim,
    Fusion,
    FusionHeads,
    ItemEmbDim,
    Means,
    MlpActivation,
    MlpDropout,
    MlpHidden,
    ModalityDropout,
    PositiveInt,
    Rate,
    TwoOrMore,
    Widths,
    applies_to,
    applies_unless,
)
from mmctr_kit.models.published import ITEM_NAMES, Names, State, attention_names, in_order, numbered

Attention = TargetAttention | MultiHeadTargetAttention | NoAttention


class DIN(nn.Module):
    """Row -> logit.

    An item's modalities are fused as in :class:`~mmctr_kit.models.layers.fusion.ModalityFusion`.
    Attention of kind ``multihead`` always averages, whatever ``pooling`` says. Collaborative
    signals of a position are shown to the attention, those of a row to the head.

    An item's codes, if the recipe makes any, are embedded and become a part of its vector; see
    :class:`~mmctr_kit.models.layers.encoder.Codes`. ``similarity_histogram`` counts for each
    modality, and for each depth of common codes. Each bucket has an embedding; the head is shown
    the sum of these, weighted by log(1 + count). (Shown as they are, the counts drown the other
    fields, which begin near 0.) See :class:`~mmctr_kit.models.layers.similarity.HistorySimilarity`.

    Raises UsageError if the heads do not divide their width or nothing is left of an item.
    """

    def __init__(
        self,
        *,
        item_tags: Tensor,
        item_emb: Tensor,
        item_emb_widths: tuple[int, ...],
        item_present: Tensor,
        item_codes: Tensor,
        n_codes: int,
        n_tags: int,
        n_signals: int,
        n_row_signals: int,
        embedding_dim: Annotated[
            EmbeddingDim,
            applies_to("use_item_id", True)
            | applies_to("use_tags", True)
            | applies_to("use_levels", True)
            | applies_to("similarity_histogram", True)
            | applies_unless("codes.of", "none"),
        ] = 64,
        item_emb_dim: ItemEmbDim = None,
        fusion: Fusion = "concat",
        fusion_heads: FusionHeads = 4,
        modality_dropout: ModalityDropout = 0.0,
        code_fusion: Annotated[
            Literal["sum", "concat"],
            applies_unless("codes.of", "none"),
            Means("Whether the embeddings of an item's codes are added up or put side by side."),
        ] = "sum",
        code_prefix: Annotated[
            bool,
            applies_unless("codes.of", "none"),
            Means("Embed each code together with the ones before it, not alone."),
        ] = False,
        use_item_id: Annotated[bool, Means("Give an item an embedding of its id.")] = True,
        use_tags: Annotated[bool, Means("Give an item the embeddings of its tags.")] = True,
        use_levels: Annotated[bool, Means("Show the head likes and views levels.")] = True,
        use_history: Annotated[bool, Means("Read the history; without it only the target.")] = True,
        attention: Annotated[
            Literal["mlp", "multihead", "none"],
            applies_to("use_history", True),
            Means(
                "How the history's items are weighed: DIN's MLP, softmax attention of several "
                "heads, or all alike (none)."
            ),
        ] = "mlp",
        attention_hidden: Annotated[
            Widths,
            applies_to("attention", "mlp"),
            Means("The widths of the hidden layers of the attention's MLP."),
        ] = (512, 256),
        attention_activation: Annotated[
            Activation,
            applies_to("attention", "mlp"),
            Means("The activation of the attention's MLP."),
        ] = "relu",
        attention_heads: Annotated[
            PositiveInt,
            applies_to("attention", "multihead"),
            Means("How many heads share attention_dim; they must divide it."),
        ] = 4,
        attention_dim: Annotated[
            PositiveInt | None,
            applies_to("attention", "multihead"),
            Means(
                "The width of all heads together; null is the item's width, less what is left over."
            ),
        ] = None,
        attention_dropout: Annotated[
            Rate,
            applies_to("attention", "mlp", "multihead"),
            Means("The dropout of the attention."),
        ] = 0.0,
        pooling: Annotated[
            Literal["sum", "mean"],
            applies_to("attention", "mlp", "none") | applies_to("interaction", True),
            Means("Whether weighted items, and scores of interaction, are summed or averaged."),
        ] = "sum",
        interaction: Annotated[
            bool,
            applies_to("use_history", True),
            Means(
                "Show the head how target and history match: their product and the attention's "
                "scores."
            ),
        ] = False,
        similarity_histogram: Annotated[
            bool,
            applies_to("use_history", True),
            applies_unless("items.embedding", "none") | applies_unless("codes.of", "none"),
            Means(
                "Show the head how many history items lie in each bucket of similarity to the "
                "target."
            ),
        ] = False,
        similarity_buckets: Annotated[
            TwoOrMore,
            applies_to("similarity_histogram", True),
            applies_unless("items.embedding", "none"),
            Means("How many buckets similarity_histogram has."),
        ] = 10,
        se: Annotated[
            bool, Means("Weigh the head's fields anew by squeeze-and-excitation.")
        ] = False,
        se_ratio: Annotated[
            PositiveInt,
            applies_to("se", True),
            Means("By how much squeeze-and-excitation narrows the fields in between."),
        ] = 3,
        se_fields: Annotated[
            Literal["item", "all"],
            applies_to("se", True),
            applies_to("use_levels", True) | applies_to("use_history", True),
            Means("Which fields it weighs: all, or those of the target item."),
        ] = "all",
        mlp_hidden: MlpHidden = (1024, 512, 256),
        mlp_activation: MlpActivation = "relu",
        mlp_dropout: MlpDropout = 0.0,
        batch_norm: BatchNorm = True,
    ) -> None:
        super().__init__()
        modalities = Modalities(
            item_emb_widths, item_present, fusion, fusion_heads, modality_dropout
        )
        self.items = ItemEncoder(
            item_tags,
            item_emb,
            n_tags,
            embedding_dim,
            item_emb_dim,
            use_item_id=use_item_id,
            use_tags=use_tags,
            modalities=modalities,
            codes=Codes(item_codes, n_codes, code_fusion == "concat", code_prefix),
        )
        width = self.items.width
        if not width:
            raise UsageError(
                "model.use_item_id and model.use_tags are false and items.embedding is none, which "
                "leaves nothing of an item; keep one of the three"
            )
        self.likes_level = embedding(N_LEVELS, embedding_dim) if use_levels else None
        self.views_level = embedding(N_LEVELS, embedding_dim) if use_levels else None

        self.interaction = interaction
        self.mean = pooling == "mean"
        self.row_signals = n_row_signals > 0
        self.attention: Attention | None = None
        if use_history:
            layers = attention_hidden, attention_activation, attention_dropout
            whole = width - width % attention_heads  # all of the width that the heads can share
            wide, start = attention_dim or whole or width, 1.0 if self.mean else 0.0
            self.attention = _attention(
                attention, width, n_signals, layers, start, attention_heads, wide
            )
        self.similarity: HistorySimilarity | None = None
        self.buckets: nn.Embedding | None = None
        if self.attention is not None and similarity_histogram:
            similarity = HistorySimilarity(
                item_emb, item_emb_widths, item_present, item_codes, similarity_buckets
            )
            if similarity.width:
                self.similarity = similarity
                self.buckets = embedding(similarity.width, embedding_dim)

        # The widths of the head's fields, in the order in which forward() lists them.
        levels = [embedding_dim, embedding_dim] if use_levels else []
        fields = [*levels, *self.items.widths, *self._history_widths(n_row_signals)]
        self.se: SqueezeExcitation | None = None
        if se:
            item = slice(len(levels), len(levels) + len(self.items.widths))
            self.se_slice = item if se_fields == "item" else slice(len(fields))
            self.se = SqueezeExcitation(len(fields[self.se_slice]), se_ratio)
        self.mlp = MLP(sum(fields), mlp_hidden, mlp_activation, mlp_dropout, batch_norm)

    def forward(self, batch: Batch) -> Tensor:
        """(B,) logits."""
        history = batch.history if self.attention is not None else batch.history[:0]
        target, table, index = self.items.lookup(history, batch.item)  # (B, D), (K, D), (P,)
        fields: list[Tensor] = []
        if self.likes_level is not None and self.views_level is not None:
            fields.append(self.likes_level(batch.likes_level))  # (B, embedding_dim)
            fields.append(self.views_level(batch.views_level))
        # Id, tags, multimodal vector, codes.
        fields += torch.split(target, self.items.widths, dim=1)
        if self.attention is not None:
            fields += self._history(self.attention, target, table, index, batch)
            if self.row_signals:
                fields.append(batch.row_signals)
        if self.se is not None:
            fields[self.se_slice] = self.se(fields[self.se_slice])
        return self.mlp(concat(fields)).squeeze(-1)

    def _history_widths(self, n_row_signals: int) -> list[int]:
        """The widths of the fields that come from the history."""
        if self.attention is None:
            return []
        matches = [self.items.width, self.attention.heads] if self.interaction else []
        if self.buckets is not None:
            matches.append(self.buckets.embedding_dim)
        return [w for w in (self.items.width, *matches, n_row_signals) if w]

    def _history(
        self,
        attention: Attention,
        target: Tensor,
        table: Tensor,
        index: Tensor | None,
        batch: Batch,
    ) -> list[Tensor]:
        """The pooled history (B, D); with ``interaction`` also its matches with the target.

        They are the product of the two (B, D) and the pooled scores (B, H). The histogram of
        similarities, if it is wanted, is the last.
        """
        pooled, scores = attention.attend(target, table, index, batch)
        divisor = batch.offsets.diff().clamp(min=1)[:, None] if self.mean else 1
        if not isinstance(attention, MultiHeadTargetAttention):
            pooled = pooled / divisor
        pooled = pooled.to(target.dtype)
        fields = [pooled]
        if self.interaction:
            fields.append(pooled * target)
            if attention.heads:
                score = row_sum(scores, batch.row, batch.offsets) / divisor  # (B, H)
                fields.append(score.to(target.dtype))
        if self.buckets is not None and self.similarity is not None:
            near = self.similarity(batch.history, batch.item, batch.row)
            counts = row_sum(near, batch.row, batch.offsets)  # (B, similarity.width)
            fields.append((counts.log1p() @ self.buckets.weight).to(target.dtype))
        return fields

    def published_names(self, state: State) -> Names:
        """The official baseline's parameter names; see :mod:`mmctr_kit.models.published`."""
        ours = self.state_dict()
        names = {theirs: mine for theirs, mine in ITEM_NAMES.items() if mine in ours}
        if isinstance(self.attention, TargetAttention):
            names |= attention_names(state, self.attention)
        return names | in_order(state, "dnn.mlp", numbered("mlp", self.mlp))


def _attention(
    kind: Literal["mlp", "multihead", "none"],
    width: int,
    signals: int,
    layers: tuple[Sequence[int], Activation, float],
    start: float,
    heads: int,
    dim: int,
) -> Attention:
    """The attention of that kind, to items of ``width``.

    ``layers`` are the MLP's hidden widths, activation and dropout. Its weights begin around
    ``start``, with 1 as the plain mean.
    """
    hidden, act, dropout = layers
    if kind == "mlp":
        return TargetAttention(width, hidden, act, dropout, signals=signals, start=start)
    if kind == "multihead":
        return MultiHeadTargetAttention(width, heads, dim, dropout, signals=signals)
    return NoAttention()
