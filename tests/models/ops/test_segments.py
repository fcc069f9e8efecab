"""mmctr_kit.models.ops.segments: each function and its gradient against its formula."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from mmctr_kit.models.ops.segments import (
    row_and_item_sums,
    row_products,
    row_sum,
    rows_to_positions,
    segment_softmax,
    weighted_sum,
)

LENGTHS = torch.tensor([3, 0, 2, 40, 1])
ROWS, DUMMIES = len(LENGTHS), 4
REAL = torch.repeat_interleave(LENGTHS)
ROW = torch.cat([REAL, torch.full((DUMMIES,), ROWS)])
OFFSETS = torch.nn.functional.pad(LENGTHS.cumsum(0), (1, 0))
ITEMS = 7


def drawn(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(sum(shape)))


INDEX = torch.arange(len(ROW)) ** 2 % ITEMS
VALUES, TABLE, POSITIONS = drawn(ROWS, 6), drawn(ITEMS, 6), drawn(len(ROW), 6)
WEIGHT = drawn(len(ROW), 3)


def spread(values: Tensor) -> Tensor:
    """One row after another, and zeros for dummies."""
    return torch.cat([values[REAL], values.new_zeros(DUMMIES, values.shape[1])])


def summed(positions: Tensor) -> Tensor:
    return torch.stack([positions[r == ROW].sum(0) for r in range(ROWS)])


def headed(weight: Tensor, values: Tensor) -> Tensor:
    return values * weight.repeat_interleave(values.shape[1] // weight.shape[1], dim=1)


Case = tuple[Callable[..., Tensor], Callable[..., Tensor], tuple[Tensor, ...]]
"""A function, the same by its formula, and what both are given."""

CASES: dict[str, Case] = {
    "rows to positions": (lambda v: rows_to_positions(v, ROW, OFFSETS), spread, (VALUES,)),
    "row products": (
        lambda v, p: row_products(v, p, None, ROW, OFFSETS),
        lambda v, p: spread(v) * p,
        (VALUES, POSITIONS),
    ),
    "row products with items": (
        lambda v, t: row_products(v, t, INDEX, ROW, OFFSETS),
        lambda v, t: spread(v) * t[INDEX],
        (VALUES, TABLE),
    ),
    "row and item sums": (
        lambda v, t: row_and_item_sums(v, t, INDEX, ROW, OFFSETS),
        lambda v, t: spread(v) + t[INDEX],
        (VALUES, TABLE),
    ),
    "weighted sum": (
        lambda w, p: weighted_sum(w, p, None, ROW, OFFSETS),
        lambda w, p: summed(headed(w, p)),
        (WEIGHT[:, :1], POSITIONS),
    ),
    "weighted sum with heads": (
        lambda w, p: weighted_sum(w, p, None, ROW, OFFSETS),
        lambda w, p: summed(headed(w, p)),
        (WEIGHT, POSITIONS),
    ),
    "weighted sum with heads and items": (
        lambda w, t: weighted_sum(w, t, INDEX, ROW, OFFSETS),
        lambda w, t: summed(headed(w, t[INDEX])),
        (WEIGHT, TABLE),
    ),
    "row sum": (lambda p: row_sum(p, ROW, OFFSETS), summed, (POSITIONS,)),
    "segment softmax": (
        lambda s: segment_softmax(s, ROW, OFFSETS)[:-DUMMIES],
        lambda s: torch.cat([torch.softmax(s[r == ROW], 0) for r in range(ROWS)]),
        (WEIGHT,),
    ),
}


def with_gradients(function: Callable[..., Tensor], given: tuple[Tensor, ...]) -> list[Tensor]:
    leaves = [x.clone().requires_grad_() for x in given]
    value = function(*leaves)
    factor = drawn(*value.shape).to(value.device)
    return [value.detach(), *torch.autograd.grad((value * factor).sum(), leaves)]


def require_near(found: list[Tensor], expected: list[Tensor]) -> None:
    for one, other in zip(found, expected, strict=True):
        assert torch.allclose(one.cpu(), other, atol=1e-5)


@pytest.mark.parametrize("name", CASES)
def test_values_and_gradients_are_those_of_the_formula(name: str) -> None:
    function, formula, given = CASES[name]
    require_near(with_gradients(function, given), with_gradients(formula, given))


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_they_are_so_where_a_step_is_compiled(name: str) -> None:
    function, formula, given = CASES[name]
    traced = torch.compile(function, fullgraph=True, backend="aot_eager")
    require_near(with_gradients(traced, given), with_gradients(formula, given))


@pytest.mark.cuda
@pytest.mark.parametrize("name", CASES)
def test_they_are_so_on_a_gpu(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    function, formula, given = CASES[name]
    for constant in ("ROW", "OFFSETS", "INDEX"):
        monkeypatch.setitem(globals(), constant, globals()[constant].cuda())
    found = with_gradients(function, tuple(x.cuda() for x in given))
    monkeypatch.undo()
    require_near(found, with_gradients(formula, given))


def test_a_row_without_positions_gets_zeros() -> None:
    assert not row_sum(POSITIONS, ROW, OFFSETS)[1].any()
    assert not weighted_sum(WEIGHT, TABLE, INDEX, ROW, OFFSETS)[1].any()


@pytest.mark.parametrize("size", [1e4, -1e4, 1e30])
def test_segment_softmax_is_finite_for_scores_of_any_size(size: float) -> None:
    scores = torch.full((6, 1), size)
    scores[1] += abs(size)
    row, offsets = torch.tensor([0, 0, 0, 2, 3, 3]), torch.tensor([0, 3, 3, 4, 6])
    found = segment_softmax(scores, row, offsets).squeeze(1)
    assert torch.equal(found, torch.tensor([0, 1, 0, 1, 0.5, 0.5]))


def test_dummy_positions_change_no_softmax_and_are_finite() -> None:
    scores = drawn(len(ROW), 2)
    scores[-DUMMIES:] = 1e6
    found = segment_softmax(scores, ROW, OFFSETS)
    assert torch.equal(found[:-DUMMIES], segment_softmax(scores[:-DUMMIES], REAL, OFFSETS))
    assert found.isfinite().all()


def test_segment_softmax_is_float32_whatever_the_scores_are() -> None:
    scores = drawn(len(ROW), 2).bfloat16()
    found = segment_softmax(scores, ROW, OFFSETS)
    assert torch.equal(found, segment_softmax(scores.float(), ROW, OFFSETS))
