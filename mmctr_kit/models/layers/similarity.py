"""How similar the target is to each item of its history: in buckets, by item vectors and by codes.

Sheng et al., "Enhancing Taobao Display Advertising with Multimodal Representations" (CIKM 2024,
arXiv 2407.19467): their SimTier shows the network a histogram of these similarities. Item vectors
are fixed inputs, so the similarities are fixed too, and nothing here is learned.

Shapes: B rows, P packed history positions, N items, M modalities, L levels of codes.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F


def bucket_edges(buckets: int) -> list[float]:
    """The ``buckets`` - 1 edges between the buckets of cosines; a bucket begins at its lower edge.

    With u in equal steps from -1 to 1, an edge is at u * abs(u): cosines of PCA vectors lie close
    to 0, where buckets of equal width would tell few of them apart. Ten buckets have their edges at
    0, 0.04, 0.16, 0.36 and 0.64, and at the negatives of these.
    """
    steps = (2 * step / buckets - 1 for step in range(1, buckets))
    return [u * abs(u) for u in steps]


class HistorySimilarity(nn.Module):
    """Batch -> (P, ``width``) float32: 1 in the bucket of each similarity, else 0.

    Each modality of the item table, of ``widths``, has ``buckets`` columns for the cosine of the
    target's and the position's vectors; see :func:`bucket_edges`. ``codes`` (N + 1, L), if there
    are any, have L + 1 columns for the depth of the common prefix, 0 to L. A position is in no
    bucket of what its item or the target lacks, and a dummy is in none at all. ``item_emb`` and
    ``present`` are as in :class:`~mmctr_kit.models.layers.encoder.Modalities`.
    """

    unit: Tensor
    has: Tensor
    codes: Tensor
    lower: Tensor
    upper: Tensor

    def __init__(
        self,
        item_emb: Tensor,
        widths: Sequence[int],
        present: Tensor,
        codes: Tensor,
        buckets: int,
    ) -> None:
        super().__init__()
        self.widths = [width for width in widths if width]
        parts = torch.split(item_emb.float(), self.widths, dim=1) if self.widths else ()
        norms = [part.norm(dim=1, keepdim=True) for part in parts]
        units = [part / norm.clamp(min=1e-12) for part, norm in zip(parts, norms, strict=True)]
        named = present[:, [m for m, width in enumerate(widths) if width]]
        nonzero = torch.cat([named[:, :0], *(norm > 0 for norm in norms)], dim=1)
        edges = torch.tensor(bucket_edges(buckets), device=item_emb.device)
        for name, tensor in {
            "unit": torch.cat([item_emb[:, :0].float(), *units], dim=1),
            "has": nonzero & named,
            "codes": codes,
            "lower": F.pad(edges, (1, 0), value=-torch.inf),
            "upper": F.pad(edges, (0, 1), value=torch.inf),
        }.items():
            self.register_buffer(name, tensor, persistent=False)
        levels = codes.shape[1]
        self.width = len(self.widths) * buckets + (levels + 1) * (levels > 0)

    def forward(self, history: Tensor, target: Tensor, row: Tensor) -> Tensor:
        """(P,) items, (B,) targets and (P,) the positions' rows, as in Batch -> (P, ``width``)."""
        asked = F.pad(target, (0, 1)).index_select(0, row)  # of a dummy the padding item: has none
        parts = []
        if self.widths:
            products = F.embedding(asked, self.unit) * F.embedding(history, self.unit)
            cosines = [p.sum(1) for p in torch.split(products, self.widths, dim=1)]
            cosine = torch.stack(cosines, dim=1).unsqueeze(-1)  # (P, M, 1)
            both = self.has.index_select(0, asked) & self.has.index_select(0, history)
            inside = (cosine >= self.lower) & (cosine < self.upper) & both.unsqueeze(-1)
            parts.append(inside.flatten(1))
        if levels := self.codes.shape[1]:
            mine, theirs = F.embedding(asked, self.codes), F.embedding(history, self.codes)
            depth = (mine == theirs).long().cumprod(1).sum(1, keepdim=True)  # (P, 1)
            both = (mine[:, :1] > 0) & (theirs[:, :1] > 0)
            parts.append((depth == torch.arange(levels + 1, device=depth.device)) & both)
        return torch.cat(parts, dim=1).float()
