"""mmctr_kit.items.signals: signals of rows, their pooling and their scale."""

from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from mmctr_kit.data.contract import SPLITS
from mmctr_kit.data.dataset import ChallengeData, Examples
from mmctr_kit.items import signals as signals_module
from mmctr_kit.items.signals import (
    POPULARITY,
    SignalValues,
    fit_scale,
    fold_signals,
    history_of,
    pool,
    row_columns,
    signal_values,
)
from mmctr_kit.items.similarity import Similarity, fit_similarity
from mmctr_kit.recipe import Signals, load_recipe
from mmctr_kit.recipe.blocks import SIGNAL_KINDS, SignalKind

KINDS: tuple[SignalKind, ...] = ("cosine", "next", "ease")
Values = NDArray[np.float32]


@pytest.fixture(scope="module")
def similarity(tiny: ChallengeData) -> Similarity:
    half = np.arange(len(tiny.train) // 2)
    return fit_similarity(tiny, half, Signals(kinds=KINDS, ease_l2=20.0), 64)


def examples_of(lengths: list[int]) -> Examples:
    """Examples with histories of these lengths, one after another."""
    ends, n = np.cumsum(np.array(lengths, np.int64)), len(lengths)
    level = np.ones(n, np.int8)
    return Examples(
        np.arange(n), np.ones(n, np.int32), level, level, ends - np.array(lengths), ends, None
    )


NAIVE: dict[str, Callable[[list[float], float], float]] = {
    "max": lambda v, _: max(v),
    "mean": lambda v, _: sum(v) / len(v),
    "recent": lambda v, half_life: float(
        np.average(v, weights=[2 ** (-age / half_life) for age in reversed(range(len(v)))])
    ),
    "top3": lambda v, _: float(np.mean(sorted(v)[-3:])),
}


@st.composite
def positions(draw: st.DrawFn) -> tuple[list[int], Values]:
    """Lengths of rows, often 0, and (positions, kinds) values with many equal ones."""
    lengths = draw(st.lists(st.integers(0, 6), max_size=8))
    kinds = draw(st.integers(1, len(SIGNAL_KINDS)))
    value = st.sampled_from([-1.5, 0.0, 0.25, 0.25, 1.0, 3.0])
    size = sum(lengths) * kinds
    values = draw(st.lists(value, min_size=size, max_size=size))
    return lengths, np.array(values, np.float32).reshape(-1, kinds)


@settings(deadline=None)
@given(positions(), st.sampled_from([0.3, 2.0, 50.0]))
def test_rows_are_pooled_as_their_columns_are_named(
    drawn: tuple[list[int], Values], half_life: float
) -> None:
    lengths, values = drawn
    kinds = SIGNAL_KINDS[: values.shape[1]]
    names = row_columns(kinds)
    assert names[-1] == POPULARITY
    pooled = pool(values, np.array(lengths, np.int64), half_life)
    assert pooled.shape == (len(lengths), len(names) - 1)
    assert pooled.dtype == np.float32
    ends = np.cumsum([0, *lengths]).tolist()
    for row, (begin, end) in enumerate(pairwise(ends)):
        for column, name in enumerate(names[:-1]):
            kind, _, how = name.partition("_")
            own = values[begin:end, [str(k) for k in kinds].index(kind)].tolist()
            expected = NAIVE[how](own, half_life) if own else 0.0
            assert pooled[row, column] == pytest.approx(expected, rel=1e-5, abs=1e-6)


def test_without_kinds_there_are_no_columns() -> None:
    assert row_columns(()) == []


@pytest.mark.parametrize("split", SPLITS)
def test_a_rows_signals_are_its_similarities_pooled_and_its_targets_count(
    tiny: ChallengeData, similarity: Similarity, split: str
) -> None:
    assert split in SPLITS
    examples = tiny.examples(split, 5)
    found = signal_values(similarity, tiny, examples, 3.0)
    expected = similarity.of(examples, history_of(tiny, examples))
    assert expected.any(0).all()
    assert np.array_equal(found.position, expected)
    assert np.array_equal(found.row[:, :-1], pool(expected, examples.lengths, 3.0))
    count = similarity.count(examples)
    np.testing.assert_allclose(np.exp(found.row[:, -1]) - 1, count, rtol=1e-4, atol=1e-5)
    assert count.max() > 3


@pytest.mark.parametrize("size", [1, 7, 1000])
def test_signals_do_not_depend_on_the_size_of_chunks(
    tiny: ChallengeData, similarity: Similarity, size: int
) -> None:
    examples = tiny.examples("train", 64).take(slice(0, 300))
    whole = signal_values(similarity, tiny, examples, 3.0)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(signals_module, "_CHUNK_POSITIONS", size)
        parts = signal_values(similarity, tiny, examples, 3.0)
    np.testing.assert_allclose(parts.position, whole.position, rtol=1e-6, atol=1e-7)
    np.testing.assert_allclose(parts.row, whole.row, rtol=1e-6, atol=1e-7)


def test_no_rows_have_no_signals(tiny: ChallengeData, similarity: Similarity) -> None:
    nothing = tiny.examples("test", 64).take(slice(0, 0))
    found = signal_values(similarity, tiny, nothing, 3.0)
    assert found.position.shape == (0, len(KINDS))
    assert found.row.shape == (0, len(row_columns(KINDS)))


def test_a_history_is_read_where_the_examples_say(tiny: ChallengeData) -> None:
    examples = tiny.examples("valid", 3).take(np.array([5, 0, 5, 9]))
    spans = zip(examples.begin.tolist(), examples.end.tolist(), strict=True)
    expected = [tiny.histories.values[begin:end].tolist() for begin, end in spans]
    assert history_of(tiny, examples).tolist() == [i for h in expected for i in h]


LENGTHS = [3, 0, 2, 4, 1, 2]
TRAINING = np.array([0, 1, 3, 5])


def made_up(seed: int = 0) -> SignalValues:
    """Values of 6 rows: the last position column is 0, the last row column 2.5."""
    random = np.random.default_rng(seed)
    position = random.normal(3, 5, (sum(LENGTHS), 3)).astype(np.float32)
    row = random.normal(-2, 7, (len(LENGTHS), 4)).astype(np.float32)
    position[:, -1], row[:, -1] = 0, 2.5
    return SignalValues(position, row)


def is_training_position() -> NDArray[np.bool_]:
    return np.isin(np.repeat(np.arange(len(LENGTHS)), LENGTHS), TRAINING)


def test_training_rows_come_out_at_unit_size() -> None:
    values = made_up()
    scaled = fit_scale(values, examples_of(LENGTHS), TRAINING).apply(values)
    position = scaled.position[is_training_position()]
    np.testing.assert_allclose(np.sqrt((position**2).mean(0)), [1, 1, 0], atol=1e-5)
    np.testing.assert_allclose(scaled.row[TRAINING].mean(0), 0, atol=1e-5)
    np.testing.assert_allclose(scaled.row[TRAINING].std(0), [1, 1, 1, 0], atol=1e-5)
    assert scaled.position.dtype == scaled.row.dtype == np.float32


def test_a_similarity_of_zero_stays_zero() -> None:
    values = made_up()
    values.position[::2] = 0
    scaled = fit_scale(values, examples_of(LENGTHS), TRAINING).apply(values)
    assert np.array_equal(scaled.position == 0, values.position == 0)


def test_the_scale_is_measured_on_training_rows_alone() -> None:
    values, other = made_up(0), made_up(1)
    place = is_training_position()
    other.position[place] = values.position[place]
    other.row[TRAINING] = values.row[TRAINING]
    one, two = (fit_scale(v, examples_of(LENGTHS), TRAINING) for v in (values, other))
    for name, value in vars(one).items():
        np.testing.assert_array_equal(value, getattr(two, name))
    three = fit_scale(made_up(1), examples_of(LENGTHS), TRAINING)
    assert not np.allclose(one.position, three.position)


def test_training_rows_without_any_history_leave_positions_as_they_are() -> None:
    values = made_up()
    scaled = fit_scale(values, examples_of(LENGTHS), np.array([1])).apply(values)
    assert np.array_equal(scaled.position, values.position)


def test_a_folds_signals_are_counted_and_scaled_on_its_training_rows(tiny: ChallengeData) -> None:
    recipe = load_recipe("din_demo", ["signals.kinds=[cosine, ease]", "training.max_history=7"])
    rows = np.arange(0, len(tiny.train), 2)
    examples = {split: tiny.examples(split, 7) for split in SPLITS}
    found = fold_signals(tiny, recipe, rows, examples)
    similarity = fit_similarity(tiny, rows, recipe.signals, 7)
    half_life = recipe.signals.half_life
    raw = {s: signal_values(similarity, tiny, e, half_life) for s, e in examples.items()}
    scale = fit_scale(raw["train"], examples["train"], rows)
    for split in SPLITS:
        values, expected = found[split], scale.apply(raw[split])
        assert values is not None
        assert np.array_equal(values.position, expected.position)
        assert np.array_equal(values.row, expected.row)


def test_a_folds_signals_know_no_label_of_other_rows(tiny: ChallengeData) -> None:
    recipe = load_recipe("din_demo", ["signals.kinds=all"])
    rows = np.arange(400)
    label = tiny.train.labels().copy()
    label[len(rows) :] = 1 - label[len(rows) :]
    valid = replace(tiny.valid, label=1 - tiny.valid.labels())
    flipped = {**tiny.rows, "train": replace(tiny.train, label=label), "valid": valid}
    found = []
    for data in (tiny, replace(tiny, rows=flipped)):
        examples = {split: data.examples(split, 64) for split in SPLITS}
        found.append(fold_signals(data, recipe, rows, examples))
    for split in SPLITS:
        one, two = (f[split] for f in found)
        assert one is not None
        assert two is not None
        assert np.array_equal(one.position, two.position)
        assert np.array_equal(one.row, two.row)


def test_a_recipe_without_signals_has_none(tiny: ChallengeData) -> None:
    examples = {split: tiny.examples(split, 64) for split in SPLITS}
    recipe = load_recipe("din_demo", ["signals.kinds=none"])
    assert fold_signals(tiny, recipe, np.arange(10), examples) == dict.fromkeys(SPLITS)
