"""mmctr_kit.items.similarity.pairs: counts of pairs against counting them one by one."""

from collections import Counter, defaultdict
from itertools import combinations
from math import sqrt

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmctr_kit.data.contexts import Contexts, contexts
from mmctr_kit.items.similarity import pairs as pairs_module
from mmctr_kit.items.similarity.pairs import TOGETHER, Pairs, Weights, count_pairs
from tests.data.test_contexts import ITEMS, all_rows, sequences, world

MANY = 1000
WEIGHTS = Weights(window=2, half_life=3.0)
Sums = dict[tuple[int, int], list[float]]


def contexts_of(histories: list[list[int]]) -> Contexts:
    data = world([(user, history, 1) for user, history in enumerate(histories)])
    return contexts(data, all_rows(data), 64)


def crowds(most: int = 12) -> st.SearchStrategy[Contexts]:
    """A few users' sequences over a few items, so that pairs come up again."""
    return st.lists(st.lists(st.integers(1, ITEMS), max_size=7), max_size=most).map(contexts_of)


def naive_sums(found: Contexts, weights: Weights) -> Sums:
    """The five sums of each pair of distinct items that somebody has, smaller id first."""
    sums: Sums = defaultdict(lambda: [0.0] * 5)
    for items in sequences(found).values():
        for p, q in combinations(range(len(items)), 2):
            older, newer = items[p], items[q]
            near = 1 / (q - p) if q - p <= weights.window else 0.0
            recent = 2 ** (-(len(items) - 1 - p) / weights.half_life)
            own = [1, near, near * (older < newer), near * (older > newer), recent]
            key = (min(older, newer), max(older, newer))
            sums[key] = [a + b for a, b in zip(sums[key], own, strict=True)]
    return sums


def found_sums(found: Pairs) -> Sums:
    keys = [divmod(k, len(found.count)) for k in found.keys.tolist()]
    return dict(zip(keys, found.sums.tolist(), strict=True))


def assert_same(found: Sums, expected: Sums) -> None:
    assert list(found) == sorted(expected)
    for key, sums in found.items():
        assert sums == pytest.approx(expected[key], rel=1e-5, abs=1e-6)


@settings(deadline=None, max_examples=25)
@given(crowds(), st.integers(1, 8), st.sampled_from([0.5, 3.0, 20.0]))
def test_sums_are_those_of_every_users_pairs(
    found: Contexts, window: int, half_life: float
) -> None:
    weights = Weights(window, half_life)
    pairs = count_pairs(found, weights, MANY)
    assert_same(found_sums(pairs), naive_sums(found, weights))
    users = Counter(i for items in sequences(found).values() for i in items)
    assert pairs.count.tolist() == [users[i] for i in range(ITEMS + 1)]
    assert pairs.users == len(found.users)


@settings(deadline=None, max_examples=25)
@given(crowds(), st.integers(1, 30))
def test_sums_do_not_depend_on_the_size_of_chunks(found: Contexts, size: int) -> None:
    whole = count_pairs(found, WEIGHTS, MANY)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pairs_module, "_CHUNK_PAIRS", size)
        parts = count_pairs(found, WEIGHTS, MANY)
    assert_same(found_sums(parts), found_sums(whole))


def naive_kept(sums: Sums, count: list[int], neighbours: int) -> set[tuple[int, int]]:
    """Pairs among either item's strongest by cosine; among equals those where it is the smaller id
    come first, then by the other's id."""
    kept = set()
    for item in range(len(count)):
        own = sorted(
            (pair for pair in sums if item in pair),
            key=lambda p: (-sums[p][TOGETHER] / sqrt(count[p[0]] * count[p[1]]), p[0] != item, p),
        )
        kept.update(own[:neighbours])
    return kept


@settings(deadline=None, max_examples=60)
@given(crowds(20), st.integers(1, 7))
def test_a_pair_is_kept_where_it_is_among_either_items_strongest(
    found: Contexts, neighbours: int
) -> None:
    everything = count_pairs(found, WEIGHTS, MANY)
    sums = found_sums(everything)
    kept = naive_kept(sums, everything.count.tolist(), neighbours)
    pruned = count_pairs(found, WEIGHTS, neighbours)
    assert found_sums(pruned) == {pair: sums[pair] for pair in sums if pair in kept}
    assert np.array_equal(pruned.count, everything.count)


def test_weak_pairs_of_items_with_many_are_dropped() -> None:
    """Items 1 to 4 have three pairs each; 1-2 and 3-4 are the strongest of their items."""
    found = contexts_of([[1, 2, 3, 4], [1, 2], [1, 2], [3, 4], [3, 4]])
    assert list(found_sums(count_pairs(found, WEIGHTS, 3))) == [
        *((1, j) for j in (2, 3, 4)),
        *((2, j) for j in (3, 4)),
        (3, 4),
    ]
    assert list(found_sums(count_pairs(found, WEIGHTS, 1))) == [(1, 2), (3, 4)]


@settings(deadline=None, max_examples=25)
@given(crowds())
def test_a_pair_is_found_in_either_order_and_an_absent_one_is_not(found: Contexts) -> None:
    pairs = count_pairs(found, WEIGHTS, MANY)
    a, b = (x.ravel() for x in np.indices((ITEMS + 1, ITEMS + 1)))
    keys = list(found_sums(pairs))
    asked = [(min(p), max(p)) for p in zip(a.tolist(), b.tolist(), strict=True)]
    assert pairs.find(a, b).tolist() == [keys.index(p) if p in keys else -1 for p in asked]


@pytest.mark.parametrize(
    ("places", "near", "recent"),
    [
        ((0, 1, 2), 1.0, 0.5),
        ((3, 5, 6), 1 / 2, 0.25),
        ((0, 3, 4), 1 / 3, 0.125),
        ((0, 4, 5), 0.0, 0.0625),
    ],
)
def test_weights_fall_with_the_distance_and_with_the_age_of_the_older_item(
    places: tuple[int, int, int], near: float, recent: float
) -> None:
    p, q, m = (np.array([x]) for x in places)
    found = Weights(window=3, half_life=1.0).of(p, q, m)
    assert [float(w[0]) for w in found] == pytest.approx([near, recent])
