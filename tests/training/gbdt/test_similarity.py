"""mmctr_kit.training.gbdt.similarity: the target against the history's items."""

from collections.abc import Sequence
from math import nan

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from mmctr_kit.data.contract import SPLITS
from mmctr_kit.items.similarity import fit_similarity
from mmctr_kit.recipe import Signals
from mmctr_kit.recipe.blocks import SIGNAL_KINDS, SignalKind
from mmctr_kit.training.gbdt.packed import Columns, Packed
from mmctr_kit.training.gbdt.similarity import (
    Part,
    code_features,
    modality_features,
    part_names,
    signal_features,
    table_parts,
)
from tests.data.test_contexts import ITEMS
from tests.training.gbdt.loops import (
    assert_columns,
    bucket_loops,
    code_loops,
    kind_loops,
    make_fold,
    part_loops,
)
from tests.training.gbdt.worlds import (
    WIDTH,
    Row,
    Vectors,
    World,
    all_rows,
    examples_of,
    in_memory,
    of_strangers,
    worlds,
)

HALF_LIFE = 2.0
MAX_HISTORY = 5


def table_of(vectors: Vectors) -> NDArray[np.float32]:
    """(ITEMS + 1, WIDTH), with zeros for an item without a vector."""
    rows = [vectors.get(item, [0.0] * WIDTH) for item in range(ITEMS + 1)]
    return np.array(rows, np.float32)


def present_of(*modalities: Vectors) -> NDArray[np.bool_]:
    return np.array([[item in m for m in modalities] for item in range(ITEMS + 1)])


def of_rows(part: Part, *asked: tuple[list[int], int]) -> Columns:
    """The part's columns for rows with these (history, target)."""
    rows = [Row(1, history, target, 1, 1, 0) for history, target in asked]
    data = in_memory(World({"train": rows, "valid": [], "test": []}, {}, {}, {}, {}, {}))
    return modality_features(Packed.of(data, data.examples("train", 64), HALF_LIFE), part)


def test_a_table_of_one_modality_is_the_vector_and_of_more_they_are_numbered() -> None:
    assert part_names([0]) == ()
    assert part_names([7]) == ("vector",)
    assert part_names([7, 3]) == ("vector1", "vector2")
    assert part_names([7, 3, 1]) == ("vector1", "vector2", "vector3")


@settings(max_examples=25)
@given(worlds(), st.integers(1, 7))
def test_modality_features_are_what_plain_loops_say(world: World, max_history: int) -> None:
    data = in_memory(world)
    table = np.hstack([table_of(world.text), table_of(world.image)])
    parts = table_parts(table, (WIDTH, WIDTH), present_of(world.text, world.image))
    assert [part.name for part in parts] == ["vector1", "vector2"]
    fold = make_fold(world, [], max_history=max_history, half_life=HALF_LIFE)
    for split, examples in examples_of(data, max_history).items():
        packed = Packed.of(data, examples, HALF_LIFE)
        for part, vectors in zip(parts, (world.text, world.image), strict=True):
            expected = [part_loops(fold, row, part.name, vectors) for row in world.rows[split]]
            assert_columns(modality_features(packed, part), expected)


@settings(max_examples=25)
@given(worlds(), st.integers(2, 11))
def test_buckets_of_similarity_are_counted_as_plain_loops_count_them(
    world: World, buckets: int
) -> None:
    data = in_memory(world)
    table = np.hstack([table_of(world.text), table_of(world.image)])
    parts = table_parts(table, (WIDTH, WIDTH), present_of(world.text, world.image))
    fold = make_fold(world, [], max_history=MAX_HISTORY, half_life=HALF_LIFE)
    for split, examples in examples_of(data, MAX_HISTORY).items():
        packed = Packed.of(data, examples, HALF_LIFE)
        for part, vectors in zip(parts, (world.text, world.image), strict=True):
            before = modality_features(packed, part)
            added = modality_features(packed, part, buckets)
            assert list(added)[: len(before)] == list(before)
            expected = [
                bucket_loops(fold, row, part.name, vectors, buckets) for row in world.rows[split]
            ]
            assert_columns({k: v for k, v in added.items() if k not in before}, expected)


@settings(max_examples=25)
@given(worlds(), st.data())
def test_common_codes_are_what_plain_loops_say(world: World, draw: st.DataObject) -> None:
    levels = draw.draw(st.integers(1, 3))
    of_item = st.one_of(st.none(), st.lists(st.integers(1, 2), min_size=levels, max_size=levels))
    drawn = {item: draw.draw(of_item) for item in range(1, ITEMS + 1)}
    codes = {item: of for item, of in drawn.items() if of} or {1: [1] * levels}
    data = in_memory(world)
    table = np.array([codes.get(item, [0] * levels) for item in range(ITEMS + 1)])
    fold = make_fold(world, [], max_history=MAX_HISTORY, half_life=HALF_LIFE)
    for split, examples in examples_of(data, MAX_HISTORY).items():
        actual = code_features(Packed.of(data, examples, HALF_LIFE), table)
        assert_columns(actual, [code_loops(fold, row, codes) for row in world.rows[split]])


def test_an_item_without_the_modality_has_no_vector_whatever_the_table_holds() -> None:
    """A PCA maps the zero vector of a missing text to something else."""
    table = np.ones((ITEMS + 1, WIDTH), np.float32)
    table[0] = 0
    present = np.ones((ITEMS + 1, 1), np.bool_)
    present[3] = False
    (part,) = table_parts(table, (WIDTH,), present)
    assert part.norm.tolist() == pytest.approx([0, 3**0.5, 3**0.5, 0, *[3**0.5] * 5])
    assert not part.unit[[0, 3]].any()
    assert (table[3] == 1).all()
    actual = of_rows(part, ([1, 2], 3), ([3, 2], 1))
    assert actual["vector_missing"].tolist() == [1, 0]
    assert actual["vector_norm"].tolist() == pytest.approx([0, 3**0.5])
    assert actual["vector_mean"].tolist() == pytest.approx([0, 0.5])


def test_lengths_count_in_the_norm_alone() -> None:
    vectors = {item: [item + 0.5, 3.0 - item, 1.0] for item in range(1, ITEMS + 1)}
    longer = {item: [item * v for v in vector] for item, vector in vectors.items()}
    asked = ([1, 2, 3, 4], 5), ([8, 1], 2)
    one, two = (
        of_rows(table_parts(table_of(v), (WIDTH,), present_of(v))[0], *asked)
        for v in (vectors, longer)
    )
    for name, column in one.items():
        scale = np.array([5, 2]) if name == "vector_norm" else 1
        np.testing.assert_allclose(two[name], scale * column, rtol=1e-5, err_msg=name)


def test_cosines_by_eye() -> None:
    """The target points along the first axis. Item 4 points in the same direction, item 3 in the
    opposite direction, item 2 along another axis."""
    vectors = {1: [2.0, 0.0, 0.0], 2: [0.0, 3.0, 0.0], 3: [-1.0, 0.0, 0.0], 4: [5.0, 0.0, 0.0]}
    (part,) = table_parts(table_of(vectors), (WIDTH,), present_of(vectors))
    actual = of_rows(part, ([3, 2, 4], 1), ([2, 4], 1), ([], 1))
    w1, w2 = 2**-0.5, 0.5  # of ages 1 and 2
    expected = {
        "max": [1, 1, nan],
        "mean": [0, 0.5, nan],
        "recent": [(1 - w2) / (1 + w1 + w2), 1 / (1 + w1), nan],
        "top3": [0, 0.5, nan],
        "last": [1, 1, nan],
        "centre": [0, 0.5**0.5, nan],
        "centre_recent": [
            (1 - w2) / ((1 - w2) ** 2 + w1**2) ** 0.5,
            1 / (1 + w1**2) ** 0.5,
            nan,
        ],
        "norm": [2, 2, 2],
        "missing": [0, 0, 0],
    }
    assert set(actual) == {f"vector_{name}" for name in expected}
    for name, values in expected.items():
        np.testing.assert_allclose(actual[f"vector_{name}"], values, rtol=1e-5, atol=1e-6)


def test_a_history_without_vectors_has_no_centre() -> None:
    vectors = {1: [1.0, 0.0, 0.0]}
    (part,) = table_parts(table_of(vectors), (WIDTH,), present_of(vectors))
    actual = of_rows(part, ([2, 3], 1))
    assert np.isnan([actual["vector_centre"][0], actual["vector_centre_recent"][0]]).all()
    assert actual["vector_mean"].tolist() == actual["vector_last"].tolist() == [0]


@settings(max_examples=25)
@given(worlds(), st.permutations(SIGNAL_KINDS), st.integers(1, len(SIGNAL_KINDS)))
def test_signals_are_what_plain_loops_say(
    world: World, kinds: Sequence[SignalKind], count: int
) -> None:
    data = in_memory(world)
    signals = Signals(kinds=tuple(kinds[:count]))
    fold = make_fold(
        world,
        range(0, len(data.train), 2),
        max_history=MAX_HISTORY,
        half_life=99.0,
        signals=signals,
    )
    similarity = fit_similarity(data, all_rows(data)[::2], signals, MAX_HISTORY)
    for split in SPLITS:
        packed = Packed.of(data, of_strangers(data.examples(split, MAX_HISTORY)), 99.0)
        loops = [
            {k: v for kind in signals.kinds for k, v in kind_loops(fold, row, kind).items()}
            for row in world.rows[split]
        ]
        assert_columns(signal_features(packed, similarity, data, signals.half_life), loops)


def test_a_row_without_history_has_no_similarity() -> None:
    train = [Row(user, [1, 2], 3, 1, 1, 0) for user in range(4)] + [Row(5, [4], 3, 1, 1, 0)]
    test = [Row(9, [], 2, 1, 1, 0), Row(9, [1], 2, 1, 1, 0)]
    data = in_memory(World({"train": train, "valid": [], "test": test}, {}, {}, {}, {}, {}))
    similarity = fit_similarity(data, all_rows(data), Signals(kinds=SIGNAL_KINDS), MAX_HISTORY)
    packed = Packed.of(data, data.examples("test", MAX_HISTORY), HALF_LIFE)
    for name, column in signal_features(packed, similarity, data, HALF_LIFE).items():
        assert np.isnan(column).tolist() == [True, False], name
        assert column[1] > 0, name


def test_the_sum_of_ease_is_over_the_history() -> None:
    train = [Row(user, [1, 2, 3], 4, 1, 1, 0) for user in range(9)]
    test = [Row(99, [1, 2, 1], 3, 1, 1, 0)]
    data = in_memory(World({"train": train, "valid": [], "test": test}, {}, {}, {}, {}, {}))
    similarity = fit_similarity(data, all_rows(data), Signals(kinds=("ease",)), MAX_HISTORY)
    packed = Packed.of(data, data.examples("test", MAX_HISTORY), HALF_LIFE)
    actual = signal_features(packed, similarity, data, HALF_LIFE)
    np.testing.assert_allclose(actual["ease_sum"], 3 * actual["ease_mean"], rtol=1e-6)
    assert actual["ease_sum"][0] > 2 * actual["ease_max"][0] > 0
