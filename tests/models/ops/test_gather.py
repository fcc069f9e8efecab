"""mmctr_kit.models.ops.gather: rows by index, their gradients against torch's own in float64."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional as F

from mmctr_kit.models.ops.gather import gather, gather_sum, round_up, weighted_rows


@given(st.integers(0, 10**7))
def test_rounded_is_no_less_and_hardly_more_and_takes_few_values(size: int) -> None:
    assert size <= round_up(size) <= size * (1 + 1 / 16)
    assert round_up(round_up(size)) == round_up(size)
    near = {round_up(size + more * size // 800) for more in range(100)}  # up to an eighth more
    assert len(near) <= 5


def numbers(*shape: int) -> Tensor:
    return torch.randn(*shape, requires_grad=True)


indices = st.lists(st.integers(0, 6), max_size=20)
kinds = st.sampled_from([torch.int32, torch.int64])


@given(indices, kinds, st.integers(0, 10))
def test_gather_and_its_gradient_are_torchs(
    chosen: list[int], kind: torch.dtype, seed: int
) -> None:
    torch.manual_seed(seed)
    table, index = numbers(7, 3), torch.tensor(chosen, dtype=kind)
    upstream = torch.randn(len(chosen), 3)
    found = gather(table, index)
    expected = F.embedding(index, table)
    assert torch.equal(found, expected)
    ours, theirs = (torch.autograd.grad(y, table, upstream)[0] for y in (found, expected))
    assert torch.allclose(ours, theirs, atol=1e-6)


def test_without_an_index_the_table_is_what_was_gathered() -> None:
    table = numbers(4, 2)
    assert gather(table, None) is table


@given(indices, kinds, kinds, st.integers(0, 10))
def test_a_sum_of_two_gathers_and_its_gradients_are_torchs(
    chosen: list[int], one: torch.dtype, other: torch.dtype, seed: int
) -> None:
    torch.manual_seed(seed)
    a, b = numbers(7, 3), numbers(9, 3)
    a_index = torch.tensor(chosen, dtype=one)
    b_index = torch.tensor(chosen, dtype=other) + 2
    found = gather_sum(a, a_index, b, b_index)
    expected = a[a_index.long()] + b[b_index.long()]
    assert torch.allclose(found, expected, atol=1e-6)
    upstream = torch.randn(len(chosen), 3)
    ours, theirs = (torch.autograd.grad(y, (a, b), upstream) for y in (found, expected))
    for mine, other_ in zip(ours, theirs, strict=True):
        assert torch.allclose(mine, other_, atol=1e-6)


@pytest.mark.parametrize("weighted", [True, False])
@given(lengths=st.lists(st.integers(0, 4), min_size=1, max_size=6), dummies=st.integers(0, 3))
def test_weighted_rows_leave_dummies_out_of_value_and_gradients(
    weighted: bool, lengths: list[int], dummies: int
) -> None:
    torch.manual_seed(sum(lengths) + dummies)
    length = torch.tensor(lengths)
    offsets = F.pad(length.cumsum(0), (1, 0))
    filled = torch.cat([length, torch.tensor([dummies])])
    row = torch.repeat_interleave(filled)
    table, index = numbers(7, 3), torch.randint(0, 7, (len(row),))
    weight = numbers(len(row)) if weighted else None
    found = weighted_rows(weight, table, index, row, offsets)
    each = table[index] if weight is None else weight[:, None] * table[index]
    expected = torch.zeros(len(lengths) + 1, 3).index_add(0, row, each)[:-1]
    assert torch.allclose(found, expected, atol=1e-6)
    leaves = [table] if weight is None else [table, weight]
    upstream = torch.randn_like(expected)
    ours, theirs = (torch.autograd.grad(y, leaves, upstream) for y in (found, expected))
    for mine, other in zip(ours, theirs, strict=True):
        assert torch.allclose(mine, other, atol=1e-5)


def test_the_gradient_of_a_bf16_gather_is_summed_in_float32() -> None:
    """512 times 1 + 1/128: in bf16, which has 8 bits, ones stop to count at 256."""
    table = torch.zeros(3, 2, dtype=torch.bfloat16, requires_grad=True)
    index = torch.ones(512, dtype=torch.long)
    gather(table, index).backward(torch.full((512, 2), 1 + 1 / 128, dtype=torch.bfloat16))
    assert table.grad is not None
    assert table.grad[1].tolist() == [516.0, 516.0]
    assert table.grad[[0, 2]].eq(0).all()
