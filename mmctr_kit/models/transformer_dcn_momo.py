"""The 1st place's model exactly as released, its inverted padding mask included.

The released code hands a mask of 1 = real to an argument of True = ignore. So padding is attended
and real positions are ignored, their outputs set to 0; where that would ignore all positions (a
history of full length), the last one is let through. What it means: **for a history shorter than
``max_length`` the history's items change nothing**; only their number does. What is left is the
target item, its levels, and the history's length. It is kept to reproduce that entry's numbers. For
a model that reads histories, take :mod:`mmctr_kit.models.transformer_dcn`.
"""

from collections.abc import Iterable

import torch
from torch import Tensor

from mmctr_kit.models.batch import Batch
from mmctr_kit.models.layers.padding import Padding, Slots
from mmctr_kit.models.transformer_dcn import TransformerDCN


class TransformerDCNMomo(TransformerDCN):
    """Row -> logit; arguments as in :class:`TransformerDCN`.

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
            return [(self._each(batch, real, attended, history, target, padding), attended)]
        # The last item of a full history, else padding: the one key there is, however often.
        items = torch.cat([padding[None], history])[torch.where(full, batch.offsets[1:], 0)]
        tokens = torch.cat([items, target], dim=-1)
        slot = torch.arange(rows, device=target.device)
        [one] = self.encode(tokens, Slots.of(Padding(((rows, 1),)), slot))
        return [(one.expand(-1, length, -1), attended)]

    def _each(
        self,
        batch: Batch,
        real: Tensor,
        attended: Tensor,
        history: Tensor,
        target: Tensor,
        padding: Tensor,
    ) -> Tensor:
        rows, length = real.shape
        layout = Padding(((rows, length),))
        [padded] = Slots(layout, layout.slots(batch.row, batch.offsets), [real]).scatter(history)
        items = torch.where(real[:, :, None], padded, padding)
        tokens = torch.cat([items, target[:, None].expand(-1, length, -1)], dim=-1)
        slot = torch.arange(rows * length, device=target.device)
        [outputs] = self.encode(tokens.flatten(0, 1), Slots(layout, slot, [attended]))
        return outputs
