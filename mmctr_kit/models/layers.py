"""Building blocks shared by the model files.

Shapes: B rows, P packed history positions, D the width of an item vector, N items. The official
pipeline's initialisation: embeddings N(0, 1e-4), linear layers Xavier normal with zero bias.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mmctr_kit.models.batch import Batch
from mmctr_kit.models.dropout import Dropout
from mmctr_kit.models.gather import gather, gather_sum, weighted_rows
from mmctr_kit.options import Activation

EMBEDDING_STD = 1e-4


def activation(name: Activation, inplace: bool = False) -> nn.Module:
    """The pointwise non-linearity of that name; ``inplace`` where it can and its input is not used
    again."""
    if inplace and name == "relu":
        return nn.ReLU(inplace=True)
    modules: dict[str, type[nn.Module]] = {
        "relu": nn.ReLU,
        "prelu": nn.PReLU,
        "gelu": nn.GELU,
        "silu": nn.SiLU,
        "sigmoid": nn.Sigmoid,
        "tanh": nn.Tanh,
    }
    return modules[name]()


def embedding(size: int, dim: int) -> nn.Embedding:
    """(size, dim) embedding table, N(0, 1e-4)."""
    table = nn.Embedding(size, dim)
    nn.init.normal_(table.weight, std=EMBEDDING_STD)
    return table


def linear(inputs: int, outputs: int, bias: bool = True) -> nn.Linear:
    """Linear layer, Xavier normal, zero bias."""
    layer = nn.Linear(inputs, outputs, bias=bias)
    nn.init.xavier_normal_(layer.weight)
    if bias:
        nn.init.zeros_(layer.bias)
    return layer


class MLP(nn.Sequential):
    """Per hidden width: Linear, BatchNorm if on, activation, dropout. Then a Linear to ``out``.

    Input (B, inputs), output (B, out); with ``out`` None the last Linear is left out, and the
    output has the last hidden width.
    """

    def __init__(
        self,
        inputs: int,
        hidden: Sequence[int],
        *,
        out: int | None,
        act: Activation,
        dropout: float,
        batch_norm: bool,
    ) -> None:
        layers: list[nn.Module] = []
        for width in hidden:
            layers.append(linear(inputs, width))
            if batch_norm:
                layers.append(nn.BatchNorm1d(width))
            layers.append(activation(act))
            if dropout:
                layers.append(Dropout(dropout))
            inputs = width
        if out is not None:
            layers.append(linear(inputs, out))
        super().__init__(*layers)


def rows_to_positions(values: Tensor, row: Tensor) -> Tensor:
    """(B, d) values of rows and (P,) rows of positions -> (P, d); zeros at dummy positions."""
    return gather(_with_dummy(values), row)


def _with_dummy(values: Tensor) -> Tensor:
    """(B, d) -> (B + 1, d): a row of zeros for dummy positions."""
    return torch.cat([values, values.new_zeros(1, values.shape[1])])


def padded_slots(row: Tensor, offsets: Tensor, length: int) -> Tensor:
    """Where each of the (P,) positions goes in a flattened (B, ``length``) layout, int64.

    Left-padded, the most recent item last, as in the challenge's ``item_seq``. A dummy position
    and one older than its row's ``length`` most recent have no place there: B * length.
    """
    rows = len(offsets) - 1
    end = F.pad(offsets[1:], (0, 1))[row.long()]
    age = end - torch.arange(len(row), device=row.device)  # 1 = the most recent
    placed = (row < rows) & (age <= length)
    return torch.where(placed, (row + 1) * length - age, rows * length).long()


def scatter_slots(values: Tensor, slot: Tensor, rows: int, length: int) -> Tensor:
    """(T, d) values put at their (T,) slots of a (rows, length, d) layout, zeros elsewhere.

    A value whose slot is rows * length is dropped.
    """
    flat = values.new_zeros(rows * length + 1, values.shape[1]).index_copy_(0, slot, values)
    return flat[:-1].view(rows, length, -1)


def to_padded(values: Tensor, row: Tensor, offsets: Tensor, length: int) -> Tensor:
    """(P, d) values of packed positions -> (B, length, d), laid out as in :func:`padded_slots`.

    Zeros at padding. ``row`` and ``offsets`` as in Batch.
    """
    return scatter_slots(values, padded_slots(row, offsets, length), len(offsets) - 1, length)


def weighted_sum(
    weight: Tensor, table: Tensor, index: Tensor | None, row: Tensor, offsets: Tensor
) -> Tensor:
    """Per row, the sum of ``weight[p] * table[index[p]]`` over its positions, in float32.

    (P,), (K, D), (P,) or None as in :func:`gather`, (P,) and (B + 1,) as in Batch -> (B, D).
    Positions after ``offsets[B]`` are left out.
    """
    with torch.autocast(table.device.type, enabled=False):
        table, weight = table.float(), weight.float()
        if table.device.type == "cpu" and index is not None and not torch.compiler.is_compiling():
            return weighted_rows(weight, table, index, row, offsets)
        # Not embedding_bag: on a GPU one thread would go through all dummies, which are one bag.
        total: Tensor = _segment_sum(weight[:, None] * gather(table, index), row, offsets)
        return total


@torch.library.custom_op("mmctr_kit::segment_sum", mutates_args=())
def _segment_sum(values: Tensor, row: Tensor, offsets: Tensor) -> Tensor:  # noqa: ARG001
    """(P, d) values of positions, (P,), (B + 1,) -> (B, d) their sum in each row.

    Its gradient is each row's at all its positions. torch would write that out, as large as all
    positions, where here a compiler takes it from the rows as it goes on.
    """
    bounds = offsets.long()
    return torch.segment_reduce(values, "sum", offsets=bounds, axis=0, initial=0, unsafe=True)


@_segment_sum.register_fake
def _(values: Tensor, row: Tensor, offsets: Tensor) -> Tensor:  # noqa: ARG001
    return values.new_empty(len(offsets) - 1, values.shape[1])


def _keep_row(ctx: Any, inputs: tuple[Tensor, Tensor, Tensor], output: Tensor) -> None:  # noqa: ARG001
    ctx.save_for_backward(inputs[1])


def _to_positions(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
    (row,) = ctx.saved_tensors
    return rows_to_positions(gradient, row), None, None


_segment_sum.register_autograd(_to_positions, setup_context=_keep_row)


def row_sum(values: Tensor, row: Tensor, rows: int) -> Tensor:
    """(P, d) values of positions -> (rows, d) their sum in each row, float32; dummies left out."""
    values = values.float()
    total = values.new_zeros(rows + 1, values.shape[1]).index_add(0, row, values)
    return total[:-1]


def segment_softmax(scores: Tensor, row: Tensor, rows: int) -> Tensor:
    """Softmax of each column over the positions of each row, in float32: (P, H) -> (P, H).

    ``row`` (P,) in 0..``rows``. Dummy positions (``row`` == ``rows``) are a segment of their own,
    so they change nothing. Each segment's maximum is taken off first, so nothing overflows.
    """
    scores = scores.float()
    with torch.no_grad():
        lowest = scores.new_full((rows + 1, scores.shape[1]), -torch.inf)
        index = row.long().unsqueeze(1).expand_as(scores)
        highest = lowest.scatter_reduce(0, index, scores, "amax")
    unscaled = torch.exp(scores - highest.index_select(0, row))
    total = scores.new_zeros(highest.shape).index_add(0, row, unscaled)
    return unscaled / total.index_select(0, row)


class SqueezeExcitation(nn.Module):
    """Re-weighs fields by what all of them show: SENET of FiBiNET (Huang et al., RecSys 2019).

    Each of the F fields is squeezed to its mean; two fully connected layers, F -> ceil(F / ratio)
    -> F with a ReLU between, give each field one factor in 0..1 (a sigmoid, as Hu et al., CVPR
    2018, have it; FiBiNET's ReLU can switch a field off for good).
    """

    def __init__(self, fields: int, ratio: int) -> None:
        super().__init__()
        squeezed = -(-fields // ratio)
        self.excite = nn.Sequential(
            linear(fields, squeezed), nn.ReLU(), linear(squeezed, fields), nn.Sigmoid()
        )

    def forward(self, fields: Sequence[Tensor]) -> list[Tensor]:
        """F fields (B, d_f) of any widths -> the same, each row times its factor."""
        factor = self.excite(torch.stack([field.mean(-1) for field in fields], dim=-1))  # (B, F)
        return [field * f for field, f in zip(fields, factor.split(1, dim=-1), strict=True)]


class TargetAttention(nn.Module):
    """DIN's attention (Zhou et al. 2018): an MLP on [q, k, q - k, q * k], no softmax.

    The first layer is evaluated as q(Wq + Wd) + k(Wk - Wd) + (q * k)Wp, so that its q part is
    computed once a row and its k part once a distinct item, not once a position. The ``signals`` of
    a position are further inputs of that layer. The weights begin around ``start``.
    """

    heads = 1

    def __init__(
        self,
        width: int,
        hidden: Sequence[int],
        act: Activation,
        dropout: float,
        *,
        signals: int = 0,
        start: float = 0.0,
    ) -> None:
        super().__init__()
        self.width = width
        self.first = linear(4 * width, hidden[0])
        self.signal = linear(signals, hidden[0], bias=False) if signals else None
        rest: list[nn.Module] = []
        for inputs, outputs in pairwise(hidden):
            rest += [activation(act, inplace=True), Dropout(dropout), linear(inputs, outputs)]
        output = linear(hidden[-1], 1)
        nn.init.constant_(output.bias, start)
        rest += [activation(act), Dropout(dropout), output]
        self.rest = nn.Sequential(*rest)

    def attend(
        self, target: Tensor, table: Tensor, index: Tensor | None, batch: Batch
    ) -> tuple[Tensor, Tensor]:
        """Pooled history (B, D) from the target (B, D) and the keys ``table[index]`` (``table``
        (K, D), ``index`` (P,) or None as in :func:`gather`), and the weights (P, 1) that pooled it
        (anything at dummies)."""
        wq, wk, wd, wp = torch.split(self.first.weight, self.width, dim=1)
        per_row = F.linear(target, wq + wd, self.first.bias)
        low = per_row.dtype  # that of products, in which positions are gathered too
        keys = table.to(low)
        product = rows_to_positions(target.to(low), batch.row) * gather(keys, index)
        # In place: each of these is as large as all positions by the hidden width.
        if index is None:
            # Both parts in one product, which is written once.
            both = torch.cat([keys, product], dim=1)
            hidden = rows_to_positions(per_row, batch.row)
            hidden = hidden.add_(F.linear(both, torch.cat([wk - wd, wp], dim=1)))
        else:
            per_item = F.linear(keys, wk - wd)
            hidden = gather_sum(_with_dummy(per_row), batch.row, per_item, index)
            hidden = hidden.addmm_(product, wp.to(low).T)
        if self.signal is not None:
            hidden = hidden.add_(self.signal(batch.signals))
        weight = self.rest(hidden)
        pooled = weighted_sum(weight.squeeze(-1), table, index, batch.row, batch.offsets)
        return pooled, weight
