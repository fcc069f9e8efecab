"""mmctr_kit.training.data.fold_cache: rows and folds are prepared once."""

import numpy as np
import pytest

from mmctr_kit.data.dataset import ChallengeData
from mmctr_kit.training.data.fold_cache import FoldCache, PreparedFold
from mmctr_kit.training.data.source import OnDevice


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
