"""mmctr_kit.training.data.source: rows on the device are one chunk, folds are prepared once."""

import numpy as np
import pytest
import torch

from mmctr_kit.data.dataset import ChallengeData
from mmctr_kit.training.data.batches import to_device
from mmctr_kit.training.data.source import FoldCache, OnDevice, PreparedFold, batch_positions
from tests.training.test_fit import CPU


def test_rows_on_the_device_are_one_chunk_as_they_are_numbered(tiny: ChallengeData) -> None:
    data = to_device(tiny, CPU, 64)
    index = torch.tensor([5, 3, 3, 399, 0])
    [chunk] = OnDevice(data).chunks("test", index, [2, 3])
    assert chunk.data is data
    assert [b.tolist() for b in chunk.batches()] == [[5, 3], [3, 399, 0]]
    lengths = data.rows["test"].lengths
    assert chunk.positions == [int(lengths[b].sum()) for b in chunk.batches()]


def test_no_batches_are_no_chunk(tiny: ChallengeData) -> None:
    source = OnDevice(to_device(tiny, CPU, 64))
    assert not list(source.chunks("test", torch.zeros(0, dtype=torch.long), []))


def test_positions_are_counted_by_batch_and_may_be_none() -> None:
    assert batch_positions(torch.tensor([3, 0, 4, 1, 0, 0]), [2, 2, 0, 2]) == [3, 5, 0, 0]


@pytest.fixture
def prepared(tiny: ChallengeData) -> PreparedFold:
    return OnDevice(FoldCache().rows(tiny, 64)), np.arange(4)


def test_rows_are_made_once_for_a_history_length(tiny: ChallengeData) -> None:
    cache = FoldCache()
    long = cache.rows(tiny, 64)
    assert cache.rows(tiny, 64) is long
    short = cache.rows(tiny, 2)
    assert int(short.rows["train"].lengths.max()) == 2
    assert cache.rows(tiny, 64) is not long  # only the last length is cached


def test_a_fold_is_prepared_once_until_newer_ones_take_its_room(prepared: PreparedFold) -> None:
    made: list[str] = []

    def fold(cache: FoldCache, key: str) -> None:
        assert cache.fold(key, lambda: made.append(key) or prepared) is prepared  # type: ignore[func-returns-value]

    cache = FoldCache(folds=2)
    for key in ("a", "b", "a", "b", "c", "b", "a"):
        fold(cache, key)
    assert made == ["a", "b", "c", "a"]


def test_a_fold_that_cannot_be_prepared_is_not_cached(prepared: PreparedFold) -> None:
    def fail() -> PreparedFold:
        raise MemoryError

    cache = FoldCache()
    with pytest.raises(MemoryError):
        cache.fold("a", fail)
    assert cache.fold("a", lambda: prepared) is prepared
