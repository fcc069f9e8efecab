"""mmctr_kit.models.layers.padding: each position in its row's place, and no places without need."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from mmctr_kit.models.batch import Batch
from mmctr_kit.models.layers.padding import Padding, Slots

NONE = torch.zeros(0, dtype=torch.long)


def batch_of(lengths: list[int], buckets: tuple[tuple[int, int], ...] = ()) -> Batch:
    """Item p + 1 at position p, and two dummies."""
    length = torch.tensor(lengths)
    rows = torch.zeros(len(lengths), dtype=torch.long)
    row = torch.cat([torch.repeat_interleave(length), torch.tensor([len(lengths)] * 2)])
    offsets = torch.nn.functional.pad(length.cumsum(0), (1, 0))
    history = torch.arange(1, len(row) + 1)
    nothing = torch.zeros(len(row), 0)
    return Batch(rows, rows, rows, rows, history, row, offsets, nothing, nothing[:0], buckets)


def laid_out(batch: Batch, padding: Padding) -> list[Tensor]:
    slots = Slots.of(padding, padding.slots(batch.row, batch.offsets))
    return [part.squeeze(-1) for part in slots.scatter(batch.history.float().unsqueeze(1))]


def test_rows_are_laid_out_as_item_seq_is_and_dummies_are_dropped() -> None:
    batch = batch_of([3, 0, 2, 4])
    [found] = laid_out(batch, Padding.of(batch, 5))
    expected = [[0, 0, 1, 2, 3], [0, 0, 0, 0, 0], [0, 0, 0, 4, 5], [0, 6, 7, 8, 9]]
    assert torch.equal(found, torch.tensor(expected, dtype=torch.float))


def test_the_most_recent_of_a_history_that_is_too_long_are_kept() -> None:
    batch = batch_of([3, 0, 2, 4])
    [found] = laid_out(batch, Padding.of(batch, 2))
    expected = [[2.0, 3.0], [0.0, 0.0], [4.0, 5.0], [8.0, 9.0]]
    assert torch.equal(found, torch.tensor(expected))


def test_each_bucket_is_padded_to_its_own_length() -> None:
    batch = batch_of([4, 3, 1, 0], ((2, 4), (2, 1)))
    long, short = laid_out(batch, Padding.of(batch, 64))
    assert torch.equal(long, torch.tensor([[1.0, 2, 3, 4], [0, 5, 6, 7]]))
    assert torch.equal(short, torch.tensor([[8.0], [0.0]]))


def test_a_layout_is_no_longer_than_the_model_sees_and_has_a_place_for_an_empty_row() -> None:
    batch = batch_of([9, 7, 2, 0, 0], ((1, 9), (1, 7), (1, 2), (2, 0)))
    padding = Padding.of(batch, 6)
    assert padding.parts == ((2, 6), (1, 2), (2, 1))
    assert padding.size == 2 * 6 + 2 + 2
    assert torch.equal(padding.ends(torch.device("cpu")), torch.tensor([6, 12, 14, 15, 16]))


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_what_is_laid_out_comes_back_and_nothing_else_is_attended(data: st.DataObject) -> None:
    lengths = data.draw(st.lists(st.integers(0, 9), min_size=1, max_size=12))
    cut = data.draw(st.integers(1, len(lengths)))
    parts = [part for part in (lengths[:cut], lengths[cut:]) if part]
    spare = data.draw(st.integers(0, 3))
    batch = batch_of(lengths, tuple((len(p), max(p) + spare) for p in parts))
    padding = Padding.of(batch, 9)
    slots = Slots.of(padding, padding.slots(batch.row, batch.offsets))
    values = batch.history.float().unsqueeze(1)
    back = slots.gather(slots.scatter(values))
    assert torch.equal(back[: sum(lengths)], values[: sum(lengths)])
    assert not back[sum(lengths) :].any()
    attended = [n for part in slots.attended for n in part.sum(1).tolist()]
    assert attended == lengths


@pytest.mark.parametrize("dtype", [torch.int32, torch.int64])
def test_rows_and_offsets_may_be_of_either_integer_type(dtype: torch.dtype) -> None:
    batch = batch_of([3, 1])
    slots = Padding(((2, 4),)).slots(batch.row.to(dtype), batch.offsets.to(dtype))
    assert torch.equal(slots, torch.tensor([1, 2, 3, 7, 8, 8]))
