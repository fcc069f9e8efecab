"""Sums over the positions of rows, as one Triton kernel; imported only if there is a GPU."""

import torch
import triton
import triton.language as tl
from torch import Tensor

_POSITIONS = 16
"""Positions that are read at once: about two histories of mean length."""
_MOST_COLUMNS = 256


@triton.jit
def _sum_rows(
    values,
    weight,
    other,
    offsets,
    total,
    columns,
    values_stride,
    weight_stride,
    other_stride,
    head,
    HEADS: tl.constexpr,
    OTHER: tl.constexpr,
    POSITIONS: tl.constexpr,
    COLUMNS: tl.constexpr,
):
    row = tl.program_id(0).to(tl.int64)
    column = tl.program_id(1) * COLUMNS + tl.arange(0, COLUMNS)
    in_table = column < columns
    begin = tl.load(offsets + row)
    end = tl.load(offsets + row + 1)
    sums = tl.zeros((COLUMNS,), tl.float32)
    for first in range(begin, end, POSITIONS):
        position = first + tl.arange(0, POSITIONS).to(tl.int64)
        real = (position < end)[:, None] & in_table[None, :]
        at = position[:, None] * values_stride + column[None, :]
        part = tl.load(values + at, mask=real, other=0.0).to(tl.float32)
        if OTHER:
            at = position[:, None] * other_stride + column[None, :]
            part *= tl.load(other + at, mask=real, other=0.0).to(tl.float32)
        if HEADS == 1:
            one = tl.load(weight + position * weight_stride, mask=position < end, other=0.0)
            part *= one.to(tl.float32)[:, None]
        elif HEADS > 1:
            at = position[:, None] * weight_stride + (column // head)[None, :]
            part *= tl.load(weight + at, mask=real, other=0.0).to(tl.float32)
        sums += tl.sum(part, axis=0)
    tl.store(total + row * columns + column, sums, mask=in_table)


def sum_rows(
    values: Tensor, offsets: Tensor, weight: Tensor | None, other: Tensor | None, dtype: torch.dtype
) -> Tensor:
    """:func:`mmctr_kit.models.ops.segments.segment_sum` on a GPU."""
    values = _by_rows(values)
    columns, rows = values.shape[1], len(offsets) - 1
    total = torch.empty(rows, columns, dtype=dtype, device=values.device)
    if not total.numel():
        return total
    heads = 0 if weight is None else weight.shape[1]
    weights = values if weight is None else _by_rows(weight)
    others = values if other is None else _by_rows(other)
    width = min(triton.next_power_of_2(columns), _MOST_COLUMNS)
    _sum_rows[(rows, triton.cdiv(columns, width))](
        values,
        weights,
        others,
        offsets,
        total,
        columns,
        values.stride(0),
        weights.stride(0),
        others.stride(0),
        columns // max(heads, 1),
        HEADS=heads,
        OTHER=other is not None,
        POSITIONS=_POSITIONS,
        COLUMNS=width,
        num_warps=max(1, width // 64),
    )
    return total


def _by_rows(table: Tensor) -> Tensor:
    """The table itself if its columns lie side by side, else a copy."""
    return table if table.stride(1) == 1 else table.contiguous()
