"""A baseline that sees only the length of the history, neither its items nor the target.

Its AUC is 0.5 if every user has rows of both labels that share one history, and more if the length
gives labels away. A model whose attention is masked the wrong way round can live on that.
"""

from collections.abc import Mapping
from typing import Annotated, ClassVar

import torch
from torch import Tensor, nn

from mmctr_kit.models.batch import Batch
from mmctr_kit.models.layers.blocks import MLP, embedding
from mmctr_kit.models.option_types import (
    Means,
    MlpActivation,
    MlpDropout,
    MlpHidden,
    PositiveInt,
)


class HistoryLengthOnly(nn.Module):
    """Row -> logit, from the number of items in its history.

    Lengths above ``exact_lengths`` share a vector up to the next power of two, such as 17..32 and
    33..64 after 16. No batch normalisation: the input is
    one of a few vectors.
    """

    exempt: ClassVar[Mapping[str, str]] = {
        "overfit": "rows whose histories are equally long get one logit, whatever their labels",
    }

    last: Tensor

    def __init__(
        self,
        *,
        embedding_dim: Annotated[PositiveInt, Means("The width of a length's vector.")] = 16,
        exact_lengths: Annotated[
            PositiveInt,
            Means(
                "Lengths up to this have a vector each; longer ones share one up to a power of 2."
            ),
        ] = 64,
        mlp_hidden: MlpHidden = (64, 32),
        mlp_activation: MlpActivation = "relu",
        mlp_dropout: MlpDropout = 0.0,
    ) -> None:
        super().__init__()
        # The last length of each bucket; int32 positions could not hold a longer history.
        doubled = [2**i for i in range(32) if 2**i > exact_lengths]
        last = torch.tensor([*range(exact_lengths + 1), *doubled])
        self.register_buffer("last", last, persistent=False)
        self.length = embedding(len(last), embedding_dim)
        self.mlp = MLP(embedding_dim, mlp_hidden, mlp_activation, mlp_dropout)

    def forward(self, batch: Batch) -> Tensor:
        """(B,) logits."""
        bucket = torch.bucketize(batch.offsets.diff(), self.last)  # (B,): last[b-1] < n <= last[b]
        return self.mlp(self.length(bucket)).squeeze(-1)
