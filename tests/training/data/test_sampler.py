"""mmctr_kit.training.data.sampler: every row equally often, in batches of evenly long histories."""

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from mmctr_kit.training.data.sampler import RowSampler


def lengths(rows: int, seed: int = 0) -> Tensor:
    return torch.randint(0, 65, (rows,), generator=torch.Generator().manual_seed(seed))


@settings(max_examples=60)
@given(st.integers(2, 60), st.integers(1, 70), st.integers(0, 5))
def test_the_stream_shows_every_row_equally_often_and_in_full_batches(
    rows: int, batch_size: int, seed: int
) -> None:
    stream = RowSampler(torch.arange(100, 100 + rows), lengths(100 + rows), batch_size, seed)
    size = stream.batch_size
    assert size == min(rows, batch_size)
    seen = stream.batches(0, rows).flatten()
    assert len(seen) == rows * size
    # rows * size positions are exactly `size` permutations.
    for permutation in seen.view(size, rows):
        assert (torch.bincount(permutation - 100, minlength=rows) == 1).all()


def test_a_batch_of_the_stream_depends_on_seed_and_step_alone() -> None:
    rows = torch.arange(23)
    through = RowSampler(rows, lengths(23), 5, seed=1)
    in_order = torch.cat([through.batches(first, 4) for first in range(0, 20, 4)])
    afresh = RowSampler(rows, lengths(23), 5, seed=1)
    assert torch.equal(afresh.batches(17, 3), in_order[17:])
    assert torch.equal(afresh.batches(3, 11), in_order[3:14])
    assert not torch.equal(RowSampler(rows, lengths(23), 5, seed=2).batches(0, 20), in_order)


def test_batches_hold_evenly_many_positions_across_permutations_too() -> None:
    rows, size = 20_011, 256
    length = lengths(rows)
    batches = RowSampler(torch.arange(rows), length, size, 0).batches(0, 3 * rows // size)
    mean = float(length.double().mean()) * size
    sums = length[batches].sum(1)
    assert (sums - mean).abs().max() < 0.01 * mean
    by_chance = length[torch.randperm(rows)[: 70 * size].view(70, size)].sum(1)
    assert (by_chance - mean).abs().max() > 0.05 * mean


def test_which_rows_meet_in_a_batch_is_chance() -> None:
    """Rows of one length: how often two given rows are in one batch, over many permutations."""
    rows, size, times = 60, 12, 3_000
    stream = RowSampler(torch.arange(rows), torch.full((rows,), 7), size, 0)
    batches = stream.batches(0, times * rows // size)
    there = torch.zeros(len(batches), rows).scatter_(1, batches, 1.0)
    together = (there.T @ there)[~torch.eye(rows, dtype=torch.bool)] / times
    expected = (size - 1) / (rows - 1)
    assert (together - expected).abs().max() < 5 * (expected * (1 - expected) / times) ** 0.5


def test_a_rows_stratum_is_that_of_its_length_longest_first() -> None:
    length = torch.arange(100) // 10
    batches = RowSampler(torch.arange(100), length, 10, 0).batches(0, 10)
    assert torch.equal(length[batches], torch.arange(9, -1, -1).expand(10, 10))


@settings(max_examples=80)
@given(st.integers(1, 90), st.integers(1, 40), st.integers(0, 5))
def test_no_batch_has_a_longer_history_at_a_place_than_is_said(
    rows: int, batch_size: int, seed: int
) -> None:
    length = lengths(2 * rows, seed)
    stream = RowSampler(torch.arange(rows) * 2, length, batch_size, seed)
    seen = length[stream.batches(0, 3 * rows)].amax(0)
    assert (seen <= stream.bounds).all()
    assert (stream.bounds.diff() <= 0).all()


def test_the_bounds_are_reached() -> None:
    """They are the least, over permutations that begin at any stratum."""
    length = torch.arange(41)
    stream = RowSampler(torch.arange(41), length, 8, 0)
    assert torch.equal(length[stream.batches(0, 41)].amax(0), stream.bounds)
