"""Rows of a table by index, with gradients that are fast and exact on a CPU.

torch adds up an embedding's gradient one position after another, in the gradient's own type. Here,
on a CPU, positions are sorted by the row they were taken from and each row's are summed at once, in
float32 or better. On a GPU, or compiled, torch's own gradients are used.

Shapes: P positions, K rows of a table, B rows of a batch, d columns. Indices are int32 or int64.
"""

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F


def round_up(size: int, bits: int = 5) -> int:
    """The next multiple of 1/16 to 1/32 of ``size``, or of 2 ** (1 - ``bits``) to 2 ** -``bits``.

    oneDNN makes and keeps a kernel for each size of a product in bf16 (``ONEDNN_VERBOSE=2`` lists
    them): with a batch's own number of positions a dozen a step, and what it keeps leaves freed
    memory in pieces too small for the next step. Rounded up, sizes are few.
    """
    grid = 1 << max(size.bit_length() - bits, 0)
    return grid * -(-size // grid)


def gather(table: Tensor, index: Tensor | None) -> Tensor:
    """(K, d), (P,) -> (P, d): ``table[index]``; without an index, the table itself."""
    if index is None:
        return table
    if eager_on_cpu(table):
        return applied(_Gather, table, index)
    return F.embedding(index, table)


def gather_sum(a: Tensor, a_index: Tensor, b: Tensor, b_index: Tensor) -> Tensor:
    """``a[a_index] + b[b_index]``: two tables (K, d) of one dtype, two (P,) indices -> (P, d)."""
    if eager_on_cpu(a):
        return applied(_GatherSum, a, a_index, b, b_index)
    return F.embedding(a_index, a).add_(F.embedding(b_index, b))


def weighted_rows(
    weight: Tensor | None, table: Tensor, index: Tensor, row: Tensor, offsets: Tensor
) -> Tensor:
    """Per row, the sum over its positions of ``weight[p] * table[index[p]]``; CPU only.

    (P,) or None for 1, (K, d), (P,), and ``row`` (P,) and ``offsets`` (B + 1,) as in Batch
    -> (B, d).
    """
    return applied(_WeightedRows, weight, table, index, row, offsets)


def applied(function: type[torch.autograd.Function], *inputs: object) -> Tensor:
    """The output of an operation with a gradient of its own."""
    output: Tensor = function.apply(*inputs)  # type: ignore[no-untyped-call]
    return output


def eager_on_cpu(table: Tensor) -> bool:
    """Whether the table is on a CPU and no step is being compiled."""
    return table.device.type == "cpu" and not torch.compiler.is_compiling()


def _sorted(index: Tensor, rows: int) -> tuple[Tensor, Tensor]:
    """(P,) positions in order of their index, and the (rows + 1,) bounds of each."""
    bounds = F.pad(torch.bincount(index, minlength=rows).cumsum(0), (1, 0))
    if bool((index[1:] >= index[:-1]).all()):  # positions' rows are
        return torch.arange(len(index)), bounds
    return torch.sort(index.int(), stable=True)[1], bounds  # half the digits, half the time


def _summed(values: Tensor, index: Tensor, rows: int) -> Tensor:
    """(P, d) values, (P,) index -> (rows, d) the sum of the values of each index."""
    order, bounds = _sorted(index, rows)
    return _bags(values.contiguous(), order, bounds, None)


def _bags(table: Tensor, index: Tensor, bounds: Tensor, weight: Tensor | None) -> Tensor:
    if not len(index):  # of no position, embedding_bag takes no table without rows
        return table.new_zeros(len(bounds) - 1, table.shape[1])
    ends = bounds.to(index.dtype)
    return F.embedding_bag(
        index, table, ends, mode="sum", per_sample_weights=weight, include_last_offset=True
    )


class _Gather(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, table: Tensor, index: Tensor) -> Tensor:
        ctx.save_for_backward(index)
        ctx.rows = len(table)
        return F.embedding(index, table)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        (index,) = ctx.saved_tensors
        return _summed(gradient, index, ctx.rows), None


class _GatherSum(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, a: Tensor, a_index: Tensor, b: Tensor, b_index: Tensor) -> Tensor:
        ctx.save_for_backward(a_index, b_index)
        ctx.rows = len(a), len(b)
        pairs = torch.stack([a_index, b_index.to(a_index.dtype) + len(a)], dim=1)
        if not len(pairs):
            return a.new_zeros(0, a.shape[1])
        return F.embedding_bag(pairs, torch.cat([a, b]), mode="sum")

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, Tensor, None]:
        a_index, b_index = ctx.saved_tensors
        a_rows, b_rows = ctx.rows
        return _summed(gradient, a_index, a_rows), None, _summed(gradient, b_index, b_rows), None


class _WeightedRows(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, weight: Tensor | None, table: Tensor, index: Tensor, row: Tensor, offsets: Tensor
    ) -> Tensor:
        ctx.save_for_backward(weight, table, index, row, offsets)
        end = int(offsets[-1])
        return _bags(table, index[:end], offsets, None if weight is None else weight[:end])

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor, None, None, None]:
        weight, table, index, row, offsets = ctx.saved_tensors
        # A dummy's row is one more than there are, of zeros.
        gradient = torch.cat([gradient, gradient.new_zeros(1, gradient.shape[1])])
        of_weight = weight if ctx.needs_input_grad[0] else None  # of no position, as empty
        if of_weight is not None and len(index):
            of_weight = torch.ops.aten._embedding_bag_per_sample_weights_backward(
                gradient, table, index, offsets.to(index.dtype), row.to(index.dtype), 0, -1
            )
        order, bounds = _sorted(index, len(table))
        chosen = None if weight is None else weight[order]
        of_table = _bags(gradient, row[order].to(index.dtype), bounds, chosen)
        return of_weight, of_table, None, None, None
