"""mmctr_kit.training.data.static_shapes: bounds that hold, and are tight."""

from itertools import combinations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from mmctr_kit.training.data.sampler import RowSampler
from mmctr_kit.training.data.static_shapes import StaticShapes, _cuts, buckets, static_positions


def users(n: int, seed: int = 0) -> Tensor:
    """History lengths as the challenge's are: at least 3, most of them short, 64 at most."""
    drawn = torch.empty(n).exponential_(1 / 6, generator=torch.Generator().manual_seed(seed))
    return (3 + drawn.long()).clamp(max=64)


def folds(n: int, count: int) -> list[Tensor]:
    """Rows, four of each user, of four fifths of the users."""
    generator = torch.Generator().manual_seed(1)
    kept = [torch.randperm(n, generator=generator)[: n * 4 // 5] for _ in range(count)]
    return [(4 * users[:, None] + torch.arange(4)).flatten() for users in kept]


def places(found: StaticShapes) -> int:
    return sum(rows * length for rows, length in found.buckets)


def test_the_static_total_is_seldom_exceeded_and_wastes_little() -> None:
    generator = torch.Generator().manual_seed(0)
    lengths = torch.randint(3, 64, (25_000,), generator=generator).repeat_interleave(4)
    total = static_positions(lengths, 1024)
    for fold in range(20):
        rows = torch.randperm(25_000, generator=generator)[:20_000].repeat_interleave(4) * 4
        sums = lengths[RowSampler(rows, lengths, 1024, fold).batches(0, 78)].sum(1)
        assert sums.max() <= total < 1.03 * sums.double().mean()
    assert total % 256 == 0
    assert static_positions(torch.zeros(10, dtype=torch.long), 4) == 0


def test_all_folds_have_the_same_sizes_and_every_batch_is_within_them() -> None:
    lengths = users(25_000).repeat_interleave(4)
    streams = [RowSampler(rows, lengths, 1024, seed) for seed, rows in enumerate(folds(25_000, 6))]
    assert len({stream.shapes for stream in streams}) == 1
    for stream in streams:
        seen, begin = lengths[stream.batches(0, 100)], 0
        for rows, length in stream.shapes.buckets:
            assert seen[:, begin : begin + rows].max() <= length
            begin += rows
        assert begin == 1024


def test_four_buckets_take_a_quarter_of_the_places_that_one_takes() -> None:
    lengths = users(25_000).repeat_interleave(4)
    sizes = RowSampler(torch.arange(100_000), lengths, 1024, 0).shapes
    assert len(sizes.buckets) == 4
    assert 1024 * lengths.double().mean() < places(sizes) < 1024 * 64 / 4


def test_a_fold_of_longer_histories_gets_larger_buckets() -> None:
    lengths = torch.cat([torch.full((9000,), 4), torch.full((1000,), 40)])
    usual = RowSampler(torch.arange(10_000), lengths, 100, 0).shapes.buckets
    assert [length for _, length in usual] == [40, 4]
    assert 10 <= usual[0][0] < 30
    assert RowSampler(torch.arange(8000, 10_000), lengths, 100, 0).shapes.buckets[0] == (50, 40)


@pytest.mark.slow
@settings(max_examples=100, deadline=None)
@given(st.data())
def test_buckets_hold_whatever_the_bounds_allow_and_all_rows(data: st.DataObject) -> None:
    lengths = torch.tensor(data.draw(st.lists(st.integers(0, 70), min_size=1, max_size=80)))
    drawn = st.lists(st.sampled_from(lengths.tolist()), min_size=1, max_size=70)
    bounds = torch.tensor(sorted(data.draw(drawn), reverse=True))
    found = buckets(lengths, bounds)
    within = [length for rows, length in found for _ in range(rows)]
    assert (bounds <= torch.tensor(within)).all()
    assert len(within) == len(bounds)
    assert len(found) <= 4
    assert within == sorted(within, reverse=True)


def test_histories_of_no_item_need_one_bucket_of_one_place() -> None:
    nothing = torch.zeros(10, dtype=torch.long)
    assert static_positions(nothing, 4) == 0
    assert buckets(nothing, nothing[:4]) == ((4, 1),)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(0, 9), min_size=1, max_size=40))
def test_no_other_four_buckets_take_fewer_places(lengths: list[int]) -> None:
    needed = [max(n, 1) for n in lengths]
    bounds = torch.tensor(sorted(lengths, reverse=True))
    longest = max(needed)

    def places(cuts: tuple[int, ...]) -> int:
        return sum(min(cut for cut in (*cuts, longest) if cut >= n) for n in needed)

    share = np.bincount(needed) / len(needed)
    cuts = tuple(_cuts(share))
    assert (cuts[0], len(cuts) <= 4) == (longest, True)
    fewest = min(places(c) for k in range(4) for c in combinations(range(1, longest), k))
    assert places(cuts) == fewest
    assert buckets(torch.tensor(lengths), bounds)[0][1] == longest


def test_histories_of_thousands_of_items_are_counted_in_steps() -> None:
    lengths = users(5000) * 200
    found = buckets(lengths, RowSampler(torch.arange(5000), lengths, 100, 0).bounds)
    assert found[0][1] >= int(lengths.max()) > found[0][1] - 51
    assert len(found) == 4
