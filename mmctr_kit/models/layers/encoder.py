"""The item encoder that all models share: it makes one vector of id, tags and multimodal vector."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mmctr_kit.models.layers.blocks import IdEmbedding, concat, embedding
from mmctr_kit.models.layers.fusion import ModalityFusion
from mmctr_kit.models.ops.gather import eager_on_cpu, gather, round_up, weighted_rows
from mmctr_kit.models.option_types import FusionKind


@dataclass(frozen=True)
class Modalities:
    """The modalities in the item table's columns, and how they are fused.

    ``widths`` add up to the table's; ``present`` (N + 1, M) bool, 1 = the item has the modality.
    ``kind``, ``heads`` and ``dropout`` are arguments of ModalityFusion.
    """

    widths: tuple[int, ...]
    present: Tensor
    kind: FusionKind
    heads: int
    dropout: float


@dataclass(frozen=True)
class Codes:
    """The items' codes (N + 1, L) of ``size`` values, 0 = none, and how their embeddings are used.

    There is a table of embeddings for each level. With ``prefix`` it is looked up by the code's
    prefix up to that level, not by the level's code alone. An item's L embeddings are summed or,
    with ``concat``, laid side by side.
    """

    codes: Tensor
    size: int
    concat: bool
    prefix: bool

    def rows(self) -> tuple[Tensor, int]:
        """The rows (N + 1, L) of an item in all tables, one after another, and how many there are.

        Prefixes are numbered from 1 in the order of their codes; 0 is no code. A level of distinct
        prefixes has no more of them than items, so the tables' sizes do not depend on the codes.
        """
        items, levels = self.codes.shape
        rows, begin, most = [], 0, 1
        prefix = self.codes.new_zeros(items)
        for level in range(levels):
            row, count = self.codes[:, level], self.size
            if self.prefix:
                most = min(most * (self.size - 1), items - 1)
                ordered, order = (prefix * self.size + row).sort(stable=True)
                number = F.pad((ordered.diff() != 0).long().cumsum(0), (1, 0))
                row = prefix = torch.empty_like(number).scatter(0, order, number)
                count = most + 1
            rows.append(row + begin)
            begin += count
        return torch.stack(rows, dim=1), begin


class ItemEncoder(nn.Module):
    """Item vector: id embedding, mean of the tag embeddings, projected multimodal vector, codes.

    ``item_tags`` and ``item_emb`` are as in :data:`mmctr_kit.models.registry.INPUTS`. ``item_emb``
    (N + 1, d) is projected to ``emb_dim``, None for d; with d = 0 there is no multimodal part.
    Without ``modalities`` its columns are one vector, as in the official baseline. ``use_item_id``
    and ``use_tags`` leave out the first and the second part, tables and all. With ``codes`` of at
    least one level the embeddings of these are a fourth part. ``widths`` are the widths of the
    parts, ``width`` = D.
    """

    tags: Tensor
    item_emb: Tensor
    present: Tensor
    code_rows: Tensor

    def __init__(
        self,
        item_tags: Tensor,
        item_emb: Tensor,
        n_tags: int,
        dim: int,
        emb_dim: int | None,
        *,
        use_item_id: bool = True,
        use_tags: bool = True,
        modalities: Modalities | None = None,
        codes: Codes | None = None,
    ) -> None:
        super().__init__()
        self.register_buffer("tags", item_tags, persistent=False)
        self.register_buffer("item_emb", item_emb, persistent=False)
        self.item_id = embedding(len(item_tags), dim, IdEmbedding) if use_item_id else None
        self.item_tags = embedding(n_tags, dim) if use_tags else None
        d = item_emb.shape[1]
        emb_dim = d if emb_dim is None else emb_dim
        if modalities is None:
            whole = torch.ones(len(item_emb), 1, dtype=torch.bool, device=item_emb.device)
            modalities = Modalities((d,), whole, "concat", 1, 0.0)
        self.register_buffer("present", modalities.present, persistent=False)
        self.project: ModalityFusion | None = None
        if d:
            m = modalities
            self.project = ModalityFusion(m.widths, emb_dim, m.kind, m.heads, m.dropout)
        self.widths = [dim] * (use_item_id + use_tags) + [emb_dim] * (d > 0)
        self.codes: nn.Embedding | None = None
        if codes is not None and (levels := codes.codes.shape[1]):
            rows, size = codes.rows()
            self.register_buffer("code_rows", rows, persistent=False)
            self.codes = embedding(size, dim)
            self.concat_codes = codes.concat
            self.widths.append(dim * levels if codes.concat else dim)
        self.width = sum(self.widths)

    def forward(self, ids: Tensor) -> Tensor:
        """(n,) item ids -> (n, D), in the type in which products of them are computed."""
        parts = []
        if self.item_id is not None:
            parts.append(self.item_id(ids))
        if self.item_tags is not None:
            parts.append(_mean_of_real(self.tags[ids], self.item_tags.weight))
        if self.project is not None:
            parts.append(self.project(self.item_emb[ids], self.present[ids]))
        if self.codes is not None:
            levels = self.codes(self.code_rows[ids])  # (n, L, dim)
            parts.append(levels.flatten(1) if self.concat_codes else levels.sum(1))
        return concat(parts)

    def lookup(self, history: Tensor, target: Tensor) -> tuple[Tensor, Tensor, Tensor | None]:
        """The targets' vectors (B, D), a table (K, D), and each history position's row of it (P,).

        Instead of the rows there is None if position p has row p. On a CPU each distinct item is
        encoded once. On a GPU or compiled, K must not depend on the ids: the table is the
        catalogue, or has one row for each id if these are fewer.
        """
        ids = torch.cat([history, target])
        n = len(history)
        if eager_on_cpu(ids):
            seen = torch.zeros(len(self.tags), dtype=torch.bool)
            seen[ids] = True
            distinct = seen.nonzero().squeeze(1)
            distinct = F.pad(distinct, (0, round_up(len(distinct)) - len(distinct)))
            table, index = self(distinct), (seen.cumsum(0) - 1)[ids]
        elif len(self.tags) <= len(ids):
            table, index = self(torch.arange(len(self.tags), device=ids.device)), ids
        else:
            # Split, not sliced: each slice's gradient would be as large as the whole.
            past, targets = torch.split(self(ids), [n, len(target)])
            return targets, past, None
        return gather(table, index[n:]), table, index[:n]


def _mean_of_real(tags: Tensor, table: Tensor) -> Tensor:
    """(n, tags) tag ids, 0 = none -> (n, dim) mean of the tags' rows; zeros without tags."""
    real = (tags != 0).to(table.dtype)
    count = real.sum(1, keepdim=True).clamp(min=1)
    if eager_on_cpu(tags):
        row, column = (tags != 0).nonzero(as_tuple=True)
        offsets = F.pad((tags != 0).sum(1).cumsum(0), (1, 0))
        return weighted_rows(None, table, tags[row, column].long(), row, offsets) / count
    # Compiled, a gather's gradient is added atomically. If all padding were row 0, these additions
    # would wait for each other, so the zeros go to rows all over the table.
    spread = torch.arange(tags.numel(), device=tags.device).view(tags.shape) % len(table)
    rows = F.embedding(torch.where(tags != 0, tags, spread), table)
    return (rows * real[..., None]).sum(1) / count
