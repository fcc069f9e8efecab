import hashlib
from collections.abc import Sequence

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from mmctr_kit.data.hashing import (
    among,
    digest,
    distinct,
    pair_keys,
    quick_digest,
    sequence_keys,
    splitmix64,
    vector_keys,
)

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


def test_splitmix64_is_the_published_function() -> None:
    state = np.arange(3, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    assert [hex(x) for x in splitmix64(state).tolist()] == [
        "0xe220a8397b1dcdaf",
        "0x6e789e6aa1b965f4",
        "0x6c45d188009454f",
    ]


def test_a_digest_is_sha256_of_each_header_and_the_bytes_in_c_order() -> None:
    a, b = np.arange(6.0).reshape(2, 3), np.zeros((0, 2), np.int8)
    text = b"a float64 (2, 3)" + a.tobytes() + b"b int8 (0, 2)"
    assert digest(a=a, b=b) == hashlib.sha256(text).hexdigest()
    assert digest("", a=a) == hashlib.sha256(a.tobytes()).hexdigest()
    assert digest("{shape}", a=a) == hashlib.sha256(b"(2, 3)" + a.tobytes()).hexdigest()
    assert digest(a=np.asfortranarray(a), b=b) == digest(a=a, b=b)
    others = (digest(a=a), digest(b=b, a=a), digest(a=a.T, b=b), digest(a=a.astype(int), b=b))
    assert len({digest(a=a, b=b), *others}) == 5


@given(
    content=st.binary(min_size=1, max_size=200_000),
    place=st.integers(0),
    bit=st.integers(0, 7),
)
def test_a_quick_digest_tells_a_flipped_bit_and_a_lost_end(
    content: bytes, place: int, bit: int
) -> None:
    before = np.frombuffer(content, np.uint8)
    after = before.copy()
    after[place % len(after)] ^= 1 << bit
    assert quick_digest(after) != quick_digest(before)
    assert quick_digest(before[: place % len(before)]) != quick_digest(before)
    assert quick_digest(before.copy()) == quick_digest(before)


def test_a_quick_digest_tells_blocks_that_changed_places() -> None:
    blocks = np.arange(3 * 8192, dtype=np.uint64).reshape(3, -1)
    assert quick_digest(blocks[[1, 0, 2]]) != quick_digest(blocks)
    assert quick_digest(np.zeros(0)) != quick_digest(np.zeros(1))
