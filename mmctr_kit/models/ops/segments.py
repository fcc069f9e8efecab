"""Operations from rows to their history positions and back, with fast gradients on any device.

The positions of a row lie side by side. On a GPU a kernel of the kit sums them in a fixed order,
or torch's ``segment_reduce`` if Triton cannot build it; ``index_add`` would add them atomically, in
any order and, in long rows, one waiting for the other. On a CPU
:mod:`mmctr_kit.models.ops.gather` sums them.

Shapes: B rows, P packed history positions, H heads, K rows of a table; ``row`` (P,) and ``offsets``
(B + 1,) as in Batch. A position from ``offsets[B]`` on is a dummy, whose row is B.
"""

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from mmctr_kit.models.ops.gather import applied, eager_on_cpu, gather, gather_sum, weighted_rows
from mmctr_kit.models.ops.triton_probe import warn_without_triton


def rows_to_positions(values: Tensor, row: Tensor, offsets: Tensor) -> Tensor:
    """(B, d) values of rows -> (P, d), each at its row's positions; zeros at dummies."""
    if eager_on_cpu(values):
        return gather(with_zeros(values), row)
    return applied(_ToPositions, values, row, offsets)


def row_products(
    values: Tensor, table: Tensor, index: Tensor | None, row: Tensor, offsets: Tensor
) -> Tensor:
    """Each position's row times what the position holds; zeros at dummies.

    (B, d) values of rows and ``table[index]``, (K, d) and (P,) or None as in :func:`gather`
    -> (P, d).
    """
    if eager_on_cpu(values):
        return gather(with_zeros(values), row) * gather(table, index)
    return applied(_RowProducts, values, gather(table, index), row, offsets)


def row_and_item_sums(
    values: Tensor, table: Tensor, index: Tensor, row: Tensor, offsets: Tensor
) -> Tensor:
    """Each position's row plus its item; at dummies the item's values.

    (B, d) values of rows, (K, d) values of items, (P,) the positions' items -> (P, d).
    """
    if eager_on_cpu(values):
        return gather_sum(with_zeros(values), row, table, index)
    return rows_to_positions(values, row, offsets).add_(gather(table, index))


def weighted_sum(
    weight: Tensor, table: Tensor, index: Tensor | None, row: Tensor, offsets: Tensor
) -> Tensor:
    """Per row, the sum over its positions of ``weight[p] * table[index[p]]``, in float32.

    ``weight`` (P, H): head h weighs the h-th of H equal shares of the columns. ``table`` (K, D),
    ``index`` (P,) or None as in :func:`gather` -> (B, D).
    """
    weight = weight.float()
    if index is not None and eager_on_cpu(table):
        if weight.shape[1] == 1:
            return weighted_rows(weight.squeeze(1), table.float(), index, row, offsets)
        shares = table.float().chunk(weight.shape[1], dim=1)
        heads = zip(weight.unbind(1), shares, strict=True)
        return torch.cat([weighted_rows(w, t, index, row, offsets) for w, t in heads], dim=1)
    return applied(_WeightedSum, weight, gather(table, index), row, offsets)


def row_sum(values: Tensor, row: Tensor, offsets: Tensor) -> Tensor:
    """(P, d) values of positions -> (B, d) their sum in each row, float32; dummies left out."""
    return applied(_RowSum, values.float(), row, offsets)


def segment_softmax(scores: Tensor, row: Tensor, offsets: Tensor) -> Tensor:
    """Softmax of each column over the positions of each row, in float32: (P, H) -> (P, H).

    Dummies get finite values without meaning. Each row's maximum is subtracted first, so that
    nothing overflows.
    """
    scores, rows = scores.float(), len(offsets) - 1
    with torch.no_grad():
        lowest = scores.new_full((rows + 1, scores.shape[1]), -torch.inf)
        index = row.long().unsqueeze(1).expand_as(scores)
        highest = lowest.scatter_reduce(0, index, scores, "amax").index_select(0, row)
    unscaled = torch.exp(scores - highest)
    total = rows_to_positions(row_sum(unscaled, row, offsets), row, offsets)
    return unscaled / torch.where((row < rows).unsqueeze(1), total, 1.0)


def with_zeros(values: Tensor) -> Tensor:
    """(B, d) -> (B + 1, d): a row of zeros for dummy positions."""
    return torch.cat([values, values.new_zeros(1, values.shape[1])])


def segment_sum(
    values: Tensor, offsets: Tensor, weight: Tensor | None, other: Tensor | None, dtype: torch.dtype
) -> Tensor:
    """(P, d) values of positions -> (B, d) of ``dtype``, their sum in each row, taken in float32.

    Each is multiplied by its ``weight`` (P, H), as in :func:`weighted_sum`, and by ``other``
    (P, d), if given. It has no gradient of its own: its callers define theirs.
    """
    # The registered operation adds nothing here, and calling it imports torch's compiler: 2.3 s of
    # CPU time in each process that trains.
    chosen = _segment_sum if eager_on_cpu(values) else _registered
    total: Tensor = chosen(values, offsets, weight, other, dtype)
    return total


def _segment_sum(
    values: Tensor, offsets: Tensor, weight: Tensor | None, other: Tensor | None, dtype: torch.dtype
) -> Tensor:
    values, offsets = multiplied(values, weight, other).contiguous(), offsets.long()
    total = torch.segment_reduce(values, "sum", offsets=offsets, axis=0, initial=0, unsafe=True)
    return total.to(dtype)


def multiplied(values: Tensor, weight: Tensor | None, other: Tensor | None) -> Tensor:
    """The terms (P, d) float32 of :func:`segment_sum`: values times their weight and ``other``."""
    if other is not None:
        values = values.float() * other
    if weight is not None:
        by_head = torch.unflatten(values.float(), 1, (weight.shape[1], -1))
        values = (by_head * weight[..., None]).flatten(1)
    return values.float()


_registered = torch.library.custom_op("mmctr_kit::segment_sum", _segment_sum, mutates_args=())


@_registered.register_fake
def _(
    values: Tensor,
    offsets: Tensor,
    weight: Tensor | None,  # noqa: ARG001
    other: Tensor | None,  # noqa: ARG001
    dtype: torch.dtype,
) -> Tensor:
    # Not len(), which would fix the number of rows that is traced.
    return values.new_empty(offsets.shape[0] - 1, values.shape[1], dtype=dtype)


@_registered.register_kernel("cuda")
def _(*given: Any, **named: Any) -> Tensor:
    if warn_without_triton():
        return _segment_sum(*given, **named)
    from mmctr_kit.models.ops.segment_kernel import sum_rows

    return sum_rows(*given, **named)


def _spread(values: Tensor, row: Tensor) -> Tensor:
    """(B, d) -> (P, d), zeros at dummies."""
    last = len(values) - 1
    taken = values.index_select(0, row.clamp(max=last))
    return torch.where((row <= last).unsqueeze(1), taken, 0.0)


def _spread_again(values: Tensor, row: Tensor) -> Tensor:
    """:func:`_spread` in a gradient, by another operation.

    A compiler that met the same operation twice would write out the first for the second.
    """
    last = len(values) - 1
    taken = F.embedding(row.clamp(max=last), values)
    return torch.where((row <= last).unsqueeze(1), taken, 0.0)


class _ToPositions(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, values: Tensor, row: Tensor, offsets: Tensor) -> Tensor:
        ctx.save_for_backward(offsets)
        ctx.dtype = values.dtype
        return _spread(values, row)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        (offsets,) = ctx.saved_tensors
        return segment_sum(gradient, offsets, None, None, ctx.dtype), None, None


class _RowSum(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, values: Tensor, row: Tensor, offsets: Tensor) -> Tensor:
        ctx.save_for_backward(row)
        total: Tensor = segment_sum(values, offsets, None, None, torch.float32)
        return total

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        (row,) = ctx.saved_tensors
        return _spread(gradient, row), None, None


class _RowProducts(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, values: Tensor, keys: Tensor, row: Tensor, offsets: Tensor) -> Tensor:
        ctx.save_for_backward(values, keys, row, offsets)
        return _spread(values, row) * keys

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, None, None]:
        values, keys, row, offsets = ctx.saved_tensors
        of_values = segment_sum(gradient, offsets, None, keys, values.dtype)
        of_keys = (gradient * _spread_again(values, row)).to(keys.dtype)
        return of_values, of_keys, None, None


class _WeightedSum(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, weight: Tensor, values: Tensor, row: Tensor, offsets: Tensor) -> Tensor:
        ctx.save_for_backward(weight, values, row)
        total: Tensor = segment_sum(values, offsets, weight, None, torch.float32)
        return total

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, None, None]:
        weight, values, row = ctx.saved_tensors
        heads = (weight.shape[1], -1)
        by_head = torch.unflatten(_spread(gradient, row), 1, heads)
        of_weight = (by_head * torch.unflatten(values, 1, heads)).sum(-1)
        of_values = (by_head * weight.unsqueeze(-1)).flatten(1).to(values.dtype)
        return of_weight, of_values, None, None
