"""mmctr_kit.embed.pairs: pairs of one user's items, held-out ones, and how well they are found."""

from itertools import pairwise

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from mmctr_kit.data.contexts import Contexts
from mmctr_kit.embed.pairs import Pairs, PairSampler, ranks

RNG = np.random.default_rng
USERS = [RNG(u).permutation(np.arange(1, 61))[:20].tolist() for u in range(40)]


def keys(pairs: Pairs) -> set[tuple[int, int]]:
    both = zip(pairs.older.tolist(), pairs.newer.tolist(), strict=True)
    return {(min(pair), max(pair)) for pair in both}


def contexts_of(users: list[list[int]], n_items: int) -> Contexts:
    offsets = np.cumsum([0, *map(len, users)])
    items, none = np.concatenate(users), np.zeros(0, np.int64)
    return Contexts(np.arange(len(users)), items, offsets, n_items, none, none)


def crowd() -> Contexts:
    return contexts_of(USERS, 60)


def test_pairs_are_of_one_user_in_order_and_no_farther_apart_than_the_window() -> None:
    pairs = PairSampler(crowd(), 3).draw(4_000, RNG(0))
    gaps = [
        USERS[u].index(b) - USERS[u].index(a)
        for u, a, b in zip(pairs.user, pairs.older, pairs.newer, strict=True)
    ]
    assert set(gaps) == {1, 2, 3}
    assert len(pairs) > 3_000
    adjacent = {(a, b) for items in USERS for a, b in pairwise(items)}
    assert adjacent >= {
        (a, b) for a, b, gap in zip(pairs.older, pairs.newer, gaps, strict=True) if gap == 1
    }


def test_held_out_pairs_are_never_trained_on_and_those_that_choose_do_not_report() -> None:
    sampler = PairSampler(crowd(), 8)
    trained = keys(sampler.training(20_000, RNG(0)))
    parts = []
    for cold in (False, True):
        for choose in (False, True):
            query, target = sampler.held_out(500, cold, choose)
            assert len(query) > 10
            assert (sampler.cold[target] == cold).all()
            assert not sampler.cold[query].any()
            parts.append(keys(Pairs(query, query, target)))
            assert len(parts[-1]) == len(query)
    assert not trained & set.union(*parts)
    assert sum(map(len, parts)) == len(set.union(*parts))
    assert not sampler.cold[[item for pair in trained for item in pair]].any()


def test_short_sequences_are_drawn_from_until_there_are_enough_pairs() -> None:
    """Of two items only the first has another in reach, at one of eight distances."""
    users = [RNG(u).permutation(np.arange(1, 61))[:2].tolist() for u in range(40)]
    assert len(PairSampler(contexts_of(users, 60), 8).training(512, RNG(0))) == 512


def test_users_without_a_pair_give_none() -> None:
    sampler = PairSampler(contexts_of([[1], [2]], 2), 3)
    assert len(sampler.training(50, RNG(0))) == 0
    assert len(sampler.held_out(50, False, True)[0]) == 0


@given(st.integers(0, 2**32 - 1), st.integers(2, 12))
def test_a_rank_is_the_number_of_other_items_that_are_nearer(seed: int, n_items: int) -> None:
    random = RNG(seed)
    vectors = random.standard_normal((n_items + 1, 3)).astype(np.float32)
    vectors[0] = 0
    vectors[random.random(n_items + 1) < 0.2] = 0
    query, target = random.integers(1, n_items + 1, (2, 20))
    query, target = query[query != target], target[query != target]
    unit = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
    expected = []
    for q, t in zip(query, target, strict=True):
        known = vectors[q].any() and vectors[t].any()
        others = [i for i in range(1, n_items + 1) if i not in (q, t) and vectors[i].any()]
        nearer = sum(unit[q] @ unit[i] >= unit[q] @ unit[t] for i in others)
        expected.append(nearer if known else n_items)
    assert ranks(vectors, query, target).tolist() == expected
