from collections.abc import Sequence

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from mmctr_kit.data.hashing import among, distinct, pair_keys, sequence_keys, vector_keys

SMALL = st.integers(-3, 3)
RUNS = st.lists(st.lists(SMALL, max_size=4), max_size=12)
MANY = st.lists(st.integers(-(2**63), 2**63 - 1) | SMALL, max_size=30)


def same(keys: NDArray[np.uint64]) -> list[list[bool]]:
    return [[bool(a == b) for a in keys] for b in keys]


def equal(values: Sequence[object]) -> list[list[bool]]:
    return [[a == b for a in values] for b in values]


@given(RUNS)
def test_two_sequences_share_a_key_only_if_equal_in_content_order_and_length(
    runs: list[list[int]],
) -> None:
    values = np.array([v for r in runs for v in r], np.int64)
    keys = sequence_keys(values, np.array([len(r) for r in runs], np.int64))
    assert same(keys) == equal(runs)


@given(st.lists(st.tuples(SMALL, SMALL), max_size=20))
def test_two_pairs_share_a_key_only_if_equal(pairs: list[tuple[int, int]]) -> None:
    array = np.array(pairs, np.int64).reshape(-1, 2)
    assert same(pair_keys(array[:, 0], array[:, 1])) == equal(pairs)


@given(st.lists(st.tuples(SMALL, SMALL, SMALL), max_size=20))
def test_two_vectors_share_a_key_only_if_equal(rows: list[tuple[int, int, int]]) -> None:
    assert same(vector_keys(np.array(rows, np.float32).reshape(-1, 3))) == equal(rows)


@given(MANY, MANY)
def test_distinct_and_among_are_numpys_unique_and_isin(a: list[int], b: list[int]) -> None:
    x, y = np.array(a, np.int64), np.array(b, np.int64)
    assert distinct(x).tolist() == sorted(set(a))
    assert among(x, distinct(y)).tolist() == np.isin(x, y).tolist()
