"""mmctr_kit.items.similarity: what a row reads, against counting from scratch without its user."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from math import log, sqrt

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from mmctr_kit.data.contexts import contexts
from mmctr_kit.data.contract import SPLITS
from mmctr_kit.data.dataset import ChallengeData, Examples
from mmctr_kit.items.signals import history_of
from mmctr_kit.items.similarity import Similarity, fit_similarity
from mmctr_kit.recipe import Signals
from mmctr_kit.recipe.blocks import SIGNAL_KINDS, SignalKind
from tests.data.test_contexts import (
    ITEMS,
    UNKNOWN,
    Row,
    all_rows,
    sequences,
    world,
    worlds,
)
from tests.items.similarity.test_ease import ridge

COUNTED: tuple[SignalKind, ...] = ("cosine", "pmi", "near", "next", "recent")
SYMMETRIC: tuple[SignalKind, ...] = ("cosine", "pmi", "near", "recent")


def signals(kinds: Sequence[SignalKind] = SIGNAL_KINDS, **options: float) -> Signals:
    """All pairs and all items of these small data sets are kept."""
    return Signals.model_validate({"kinds": tuple(kinds), **options})


@st.composite
def options(draw: st.DrawFn) -> Signals:
    return signals(
        window=draw(st.integers(1, 6)),
        half_life=draw(st.sampled_from([0.7, 4.0])),
        shrinkage=draw(st.sampled_from([0.0, 2.5])),
        ease_l2=draw(st.sampled_from([0.5, 20.0])),
    )


def read(similarity: Similarity, data: ChallengeData, examples: Examples) -> NDArray[np.float32]:
    return similarity.of(examples, history_of(data, examples))


def ask(user: int, pairs: Sequence[tuple[int, int]]) -> tuple[Examples, NDArray[np.int64]]:
    """One example of the user for each (target, history item), and the history items."""
    target = np.array([t for t, _ in pairs], np.int32)
    level, begin = np.ones(len(pairs), np.int8), np.arange(len(pairs))
    users = np.full(len(pairs), user)
    examples = Examples(users, target, level, level, begin, begin + 1, None)
    return examples, np.array([h for _, h in pairs])


def table(similarity: Similarity, user: int) -> dict[SignalKind, NDArray[np.float32]]:
    """Of each kind (n_items, n_items): target (from item 1) against history item."""
    grid = [(t, h) for t in range(1, ITEMS + 1) for h in range(1, ITEMS + 1)]
    found = similarity.of(*ask(user, grid)).T.reshape(-1, ITEMS, ITEMS)
    return dict(zip(similarity.kinds, found, strict=True))


def without(data: ChallengeData, user: int) -> NDArray[np.int64]:
    return np.flatnonzero(data.train.user_id != user)


def naive(
    kind: SignalKind, others: Sequence[Sequence[int]], target: int, item: int, options: Signals
) -> float:
    """The package's formulas, from the sequences of the other users, pair by pair."""
    both = [s for s in others if target in s and item in s]
    if target == item or not both:
        return 0.0
    c_target, c_item = (sum(i in s for s in others) for i in (target, item))
    trust = len(both) / (len(both) + options.shrinkage)
    if kind == "pmi":
        return max(0.0, log(len(others) * len(both) / (c_target * c_item))) * trust
    total = 0.0
    for s in both:
        p, q = sorted((s.index(target), s.index(item)))
        near = 1 / (q - p) if q - p <= options.window else 0.0
        total += {
            "cosine": 1.0,
            "near": near,
            "next": near if s.index(item) < s.index(target) else 0.0,
            "recent": 2 ** (-(len(s) - 1 - p) / options.half_life),
        }[kind]
    return total / sqrt(c_target * c_item) * trust


def naive_ease(others: Sequence[Sequence[int]], l2: float) -> NDArray[np.float64]:
    x = np.zeros((len(others), ITEMS + 1))
    for row, items in enumerate(others):
        x[row, list(items)] = 1
    return ridge(x, l2)


def naive_table(
    by_user: Mapping[int, list[int]], user: int, options: Signals
) -> dict[SignalKind, list[list[float]]]:
    others = [s for u, s in by_user.items() if u != user]
    ids = range(1, ITEMS + 1)
    found = {k: [[naive(k, others, t, h, options) for h in ids] for t in ids] for k in COUNTED}
    return {**found, "ease": naive_ease(others, options.ease_l2)[1:, 1:].T.tolist()}


@pytest.mark.slow
@settings(deadline=None, max_examples=40)
@given(worlds(), options(), st.sampled_from([2, 64]))
def test_a_row_reads_what_is_counted_from_scratch_without_its_user(
    data: ChallengeData, options: Signals, max_history: int
) -> None:
    everybody = fit_similarity(data, all_rows(data), options, max_history)
    for split in SPLITS:
        examples = data.examples(split, max_history)
        for user in np.unique(examples.user_id).tolist():
            own = examples.take(np.flatnonzero(examples.user_id == user))
            others = fit_similarity(data, without(data, user), options, max_history)
            expected, found = read(others, data, own), read(everybody, data, own)
            np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-6)
            assert np.array_equal(found == 0, expected == 0)
            assert np.array_equal(everybody.count(own), others.count(own))


@settings(deadline=None, max_examples=40)
@given(worlds(), options(), st.sampled_from([2, 64]))
def test_similarities_are_those_of_the_formulas(
    data: ChallengeData, options: Signals, max_history: int
) -> None:
    similarity = fit_similarity(data, all_rows(data), options, max_history)
    by_user = sequences(contexts(data, all_rows(data), max_history))
    for user in (*by_user, UNKNOWN):
        expected = naive_table(by_user, user, options)
        for kind, found in table(similarity, user).items():
            np.testing.assert_allclose(found, expected[kind], rtol=1e-4, atol=1e-6, err_msg=kind)


@pytest.mark.slow
@settings(deadline=None, max_examples=25)
@given(worlds())
def test_targets_with_label_0_and_the_other_splits_are_never_looked_at(
    data: ChallengeData,
) -> None:
    train = data.train
    other_item = (train.item_id % ITEMS + 1).astype(np.int32)
    changed = replace(train, item_id=np.where(train.labels() == 1, train.item_id, other_item))
    emptied = {s: replace(data.rows[s], history=data.rows[s].history * 0) for s in SPLITS[1:]}
    assume(len(data.histories))
    other = replace(data, rows={"train": changed, **emptied})
    one, two = (fit_similarity(d, all_rows(d), signals(), 64) for d in (data, other))
    for user in (*one.contexts.users.tolist(), UNKNOWN):
        for kind, found in table(one, user).items():
            np.testing.assert_array_equal(found, table(two, user)[kind])
    for split in SPLITS:
        examples = data.examples(split, 64)
        if examples.label is None:
            continue
        relabelled = replace(examples, label=1 - examples.label)
        assert np.array_equal(read(one, data, examples), read(one, data, relabelled))


@settings(deadline=None, max_examples=25)
@given(worlds())
def test_a_similarity_is_the_same_both_ways_but_for_the_order_of_next(data: ChallengeData) -> None:
    similarity = fit_similarity(data, all_rows(data), signals(shrinkage=1.0), 64)
    for user in (*similarity.contexts.users.tolist(), UNKNOWN):
        found = table(similarity, user)
        for kind in SYMMETRIC:
            np.testing.assert_array_equal(found[kind], found[kind].T)
        both = found["next"] + found["next"].T
        np.testing.assert_allclose(both, found["near"], rtol=1e-5, atol=1e-6)
        for kind in SIGNAL_KINDS:
            assert not np.diag(found[kind]).any()


def test_next_is_the_historys_item_before_the_target() -> None:
    data = world([(user, [1, 2, 5, 4], 7) for user in (3, 10)])
    similarity = fit_similarity(data, all_rows(data), signals(["next"], window=1), 64)
    examples, items = ask(UNKNOWN, [(2, 1), (1, 2), (4, 5), (5, 4), (5, 1)])
    follows = similarity.of(examples, items)[:, 0] > 0
    assert follows.tolist() == [True, False, True, False, False]


def test_the_documented_values_of_a_small_crowd() -> None:
    """1 and 2 are together in two of four histories, one apart in each, one time in each order."""
    train = [(3, [1, 2], 7), (10, [2, 1, 4], 7), (11, [1], 7), (12, [4, 5], 7)]
    data = world(train, positive=False)
    options = signals(COUNTED, shrinkage=2.0, half_life=1.0)
    similarity = fit_similarity(data, all_rows(data), options, 64)
    found = {k: float(v[1, 0]) for k, v in table(similarity, UNKNOWN).items()}
    trust = 2 / (2 + 2)
    assert found == pytest.approx(
        {
            "cosine": 2 / sqrt(3 * 2) * trust,
            "pmi": log(4 * 2 / (3 * 2)) * trust,
            "near": 2 / sqrt(3 * 2) * trust,
            "next": 1 / sqrt(3 * 2) * trust,
            "recent": (1 / 2 + 1 / 4) / sqrt(3 * 2) * trust,
        }
    )
    without_3 = {k: float(v[1, 0]) for k, v in table(similarity, 3).items()}
    assert without_3["cosine"] == pytest.approx(1 / sqrt(2 * 1) / 3)
    assert without_3["next"] == 0.0


@settings(deadline=None, max_examples=25)
@given(worlds(), st.permutations(SIGNAL_KINDS), st.integers(1, 6))
def test_a_column_is_its_kinds_whatever_the_others(
    data: ChallengeData, kinds: list[SignalKind], count: int
) -> None:
    everything = table(fit_similarity(data, all_rows(data), signals(), 64), UNKNOWN)
    chosen = fit_similarity(data, all_rows(data), signals(kinds[:count]), 64)
    assert chosen.kinds == tuple(kinds[:count])
    for kind, found in table(chosen, UNKNOWN).items():
        np.testing.assert_array_equal(found, everything[kind])


@settings(deadline=None, max_examples=25)
@given(worlds(), st.integers(1, 3))
def test_a_pair_that_is_not_kept_reads_as_zero_and_the_others_as_before(
    data: ChallengeData, neighbours: int
) -> None:
    whole = fit_similarity(data, all_rows(data), signals(COUNTED), 64)
    pruned = fit_similarity(data, all_rows(data), signals(COUNTED, neighbours=neighbours), 64)
    a, b = np.divmod(whole.pairs.keys, ITEMS + 1)
    kept = np.zeros((ITEMS, ITEMS), np.bool_)
    kept[a - 1, b - 1] = kept[b - 1, a - 1] = pruned.pairs.find(a, b) >= 0
    for user in (*whole.contexts.users.tolist(), UNKNOWN):
        before = table(whole, user)
        for kind, found in table(pruned, user).items():
            np.testing.assert_array_equal(found, np.where(kept, before[kind], 0))


@pytest.mark.parametrize(
    "rows", [[], [(3, [], 1)], [(3, [1], 1), (10, [2], 1)]], ids=["nobody", "no items", "no pairs"]
)
def test_where_nobody_has_two_items_every_similarity_is_zero(rows: list[Row]) -> None:
    data = world(rows, positive=False)
    similarity = fit_similarity(data, np.arange(len(rows)), signals(), 64)
    for user in (3, UNKNOWN):
        assert not any(found.any() for found in table(similarity, user).values())


@settings(deadline=None, max_examples=25)
@given(worlds())
def test_the_count_is_of_other_users_who_have_the_target(data: ChallengeData) -> None:
    similarity = fit_similarity(data, all_rows(data), signals(["cosine"]), 64)
    by_user = sequences(similarity.contexts)
    for split in SPLITS:
        examples = data.examples(split, 64)
        asked = zip(examples.user_id.tolist(), examples.item_id.tolist(), strict=True)
        expected = [sum(u != user and t in s for u, s in by_user.items()) for user, t in asked]
        assert similarity.count(examples).tolist() == expected
