"""What the target item alone tells: DIN without its history.

A baseline that asks a question: how much of a score has nothing to do with the user?
"""

from torch import Tensor

from mmctr_kit.models.din import DIN
from mmctr_kit.models.option_types import Activation, FusionKind, PositiveInt, Rate, Widths


class TargetOnly(DIN):
    """Row -> logit, from the target item's vector and levels. The arguments are DIN's."""

    def __init__(
        self,
        *,
        item_tags: Tensor,
        item_emb: Tensor,
        item_emb_widths: tuple[int, ...],
        item_present: Tensor,
        n_tags: int,
        embedding_dim: PositiveInt = 64,
        item_emb_dim: PositiveInt | None = None,
        fusion: FusionKind = "concat",
        fusion_heads: PositiveInt = 4,
        modality_dropout: Rate = 0.0,
        use_item_id: bool = True,
        use_tags: bool = True,
        use_levels: bool = True,
        mlp_hidden: Widths = (1024, 512, 256),
        mlp_activation: Activation = "relu",
        mlp_dropout: Rate = 0.0,
        batch_norm: bool = True,
    ) -> None:
        super().__init__(
            item_tags=item_tags,
            item_emb=item_emb,
            item_emb_widths=item_emb_widths,
            item_present=item_present,
            n_tags=n_tags,
            n_signals=0,
            n_row_signals=0,
            embedding_dim=embedding_dim,
            item_emb_dim=item_emb_dim,
            fusion=fusion,
            fusion_heads=fusion_heads,
            modality_dropout=modality_dropout,
            use_item_id=use_item_id,
            use_tags=use_tags,
            use_levels=use_levels,
            use_history=False,
            mlp_hidden=mlp_hidden,
            mlp_activation=mlp_activation,
            mlp_dropout=mlp_dropout,
            batch_norm=batch_norm,
        )
