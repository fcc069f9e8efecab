"""mmctr_kit.data.dataset: examples of rows, taken, joined and cut into chunks."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmctr_kit.data.contract import SPLITS
from mmctr_kit.data.dataset import ChallengeData, Examples

lengths = st.lists(st.integers(0, 9), max_size=15)


def examples_of(history_lengths: list[int], labels: bool = True) -> Examples:
    """Examples whose columns all differ from row to row, their spans apart from each other."""
    n = len(history_lengths)
    length = np.array(history_lengths, np.int64)
    begin = np.arange(n) * 20 + 3
    return Examples(
        user_id=np.arange(n) * 7,
        item_id=np.arange(1, n + 1, dtype=np.int32),
        likes_level=np.arange(n).astype(np.int8),
        views_level=np.arange(n)[::-1].astype(np.int8),
        begin=begin,
        end=begin + length,
        label=(np.arange(n) % 2).astype(np.int8) if labels else None,
    )


def assert_rows(found: Examples, source: Examples, rows: list[int]) -> None:
    """The found examples are these rows of the source, in this order and of the same types."""
    for name, column in vars(source).items():
        own = getattr(found, name)
        if column is None:
            assert own is None
        else:
            assert own.tolist() == [column[r] for r in rows]
            assert own.dtype == column.dtype


@pytest.mark.parametrize("split", SPLITS)
@pytest.mark.parametrize("most", [1, 5, 64])
def test_examples_are_the_splits_rows_with_their_most_recent_items(
    tiny: ChallengeData, split: str, most: int
) -> None:
    assert split in SPLITS
    rows, histories = tiny.rows[split], tiny.histories
    examples = tiny.examples(split, most)
    for name in ("user_id", "item_id", "likes_level", "views_level", "label"):
        assert getattr(examples, name) is getattr(rows, name)
    assert len(examples) == len(rows)
    assert (examples.label is None) == (split == "test")
    assert (examples.lengths <= most).all()
    for row in range(0, len(rows), 17):
        h = rows.history[row]
        whole = histories.values[histories.offsets[h] : histories.offsets[h + 1]].tolist()
        own = histories.values[examples.begin[row] : examples.end[row]].tolist()
        assert own == whole[-most:]


@pytest.mark.parametrize("labels", [True, False])
@given(history_lengths=lengths, data=st.data())
def test_examples_are_taken_in_the_order_asked_for(
    labels: bool, history_lengths: list[int], data: st.DataObject
) -> None:
    examples = examples_of(history_lengths, labels)
    n = len(examples)
    index = data.draw(st.lists(st.integers(0, n - 1), max_size=20)) if n else []
    assert_rows(examples.take(np.array(index, np.int64)), examples, index)
    begin, end = sorted(data.draw(st.tuples(st.integers(0, n), st.integers(0, n))))
    assert_rows(examples.take(slice(begin, end)), examples, list(range(begin, end)))


@given(lengths, st.integers(1, 25))
def test_chunks_are_all_examples_in_order_none_much_larger_than_asked(
    history_lengths: list[int], positions: int
) -> None:
    examples = examples_of(history_lengths)
    chunks = list(examples.chunks(positions))
    begin = 0
    for chunk in chunks:
        assert_rows(chunk, examples, list(range(begin, begin + len(chunk))))
        begin += len(chunk)
        size = (chunk.lengths + 1).tolist()
        assert sum(size) < positions + max(size, default=0)
    assert begin == len(examples)
    if examples:
        total = sum(history_lengths) + len(examples)
        assert 1 <= len(chunks) <= total // positions + 1
        assert all(len(c) for c in chunks)


@pytest.mark.parametrize("labels", [True, False])
def test_joined_examples_are_the_one_then_the_other(labels: bool) -> None:
    one, two = examples_of([3, 0, 1], labels), examples_of([2, 5], labels)
    joined = one.join(two)
    assert_rows(joined.take(slice(0, 3)), one, [0, 1, 2])
    assert_rows(joined.take(slice(3, 5)), two, [0, 1])
    assert joined.lengths.tolist() == [3, 0, 1, 2, 5]
    wide = replace(two, item_id=two.item_id.astype(np.int64))
    assert_rows(one.join(wide).take(slice(3, 5)), two, [0, 1])


def test_examples_with_and_without_labels_are_not_joined() -> None:
    with_labels, without = examples_of([3]), examples_of([2], labels=False)
    with pytest.raises(ValueError, match="labels"):
        with_labels.join(without)
    with pytest.raises(ValueError, match="labels"):
        without.join(with_labels)


@pytest.mark.parametrize(
    ("last_of_train", "first_of_test", "expected"), [(7, 9, True), (9, 9, True), (10, 9, False)]
)
def test_data_is_split_by_time_if_nothing_of_train_is_later_than_valid_or_test(
    tiny: ChallengeData, last_of_train: int, first_of_test: int, expected: bool
) -> None:
    assert not tiny.split_by_time
    ends = {"train": last_of_train, "valid": 11, "test": first_of_test}
    rows = {s: replace(r, time=np.full(len(r), ends[s])) for s, r in tiny.rows.items()}
    assert replace(tiny, rows=rows).split_by_time == expected
