"""mmctr_kit.training.gbdt.statistics: counts and label means."""

from math import log

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from mmctr_kit.data.contexts import contexts
from mmctr_kit.data.contract import SPLITS
from mmctr_kit.data.dataset import ChallengeData, Examples
from mmctr_kit.training.gbdt.history import Tags
from mmctr_kit.training.gbdt.packed import Columns, Packed
from mmctr_kit.training.gbdt.statistics import (
    Statistics,
    label_means,
    shrunk,
    statistic_features,
)
from tests.training.gbdt.loops import assert_columns, count_loops, make_fold, rate_loops
from tests.training.gbdt.worlds import (
    SHRINKAGE,
    Row,
    World,
    all_rows,
    in_memory,
    worlds,
)

HALF_LIFE, MAX_HISTORY = 2.0, 5
COUNTS = (
    "history_users",
    "target_rows",
    "users_over_rows",
    "history_users_mean",
    "history_users_recent",
    "history_users_last",
    "users_over_history",
)


def columns_of(
    data: ChallengeData,
    rows: NDArray[np.int64],
    examples: Examples,
) -> Columns:
    """The columns of the examples, from the statistics of these training rows."""
    tags, users = Tags.read(data), contexts(data, rows, MAX_HISTORY)
    statistics = Statistics.fit(data, rows, users, tags, SHRINKAGE.rate)
    return statistic_features(Packed.of(data, examples, HALF_LIFE), statistics, tags)


@settings(max_examples=25)
@given(worlds(), st.integers(1, 3))
def test_statistics_are_what_plain_loops_say(world: World, step: int) -> None:
    data = in_memory(world)
    rows = all_rows(data)[::step]
    fold = make_fold(world, rows.tolist(), max_history=MAX_HISTORY, half_life=HALF_LIFE)
    for split in SPLITS:
        actual = columns_of(data, rows, data.examples(split, MAX_HISTORY))
        loops = [{**count_loops(fold, r), **rate_loops(fold, r)} for r in world.rows[split]]
        assert_columns(actual, loops)


def test_a_shrunk_mean_is_that_of_more_rows_with_the_usual_mean() -> None:
    seen, hits, prior = np.array([[8.0, 0.0]]), np.array([[6.0, 0.0]]), np.array([[0.25]])
    for shrinkage, expected in ((2.0, (6 + 0.5) / 10), (0.0, 0.75)):
        actual = shrunk(seen, hits, prior, shrinkage)
        assert actual.dtype == np.float32
        assert actual[0].tolist() == pytest.approx([expected, 0.25])


def test_label_means_of_no_rows_are_0() -> None:
    nothing = np.zeros(0, np.int64)
    assert label_means(nothing, nothing.astype(np.int8), 3, 2.0).tolist() == [0, 0, 0]


def test_the_statistics_of_three_users() -> None:
    """User 1 has items 2 and 3 in the history, user 2 item 3, user 3 items 3 and 4. Each has a row
    with target 5."""
    train = [
        Row(1, [2, 3], 5, 1, 2, 1),
        Row(1, [2, 3], 6, 1, 2, 0),
        Row(2, [3], 5, 1, 2, 0),
        Row(3, [3, 4, 3], 5, 1, 2, 0),
    ]
    test = [Row(9, [3, 4], 5, 1, 2, 0)]
    tags = {item: [1] for item in range(1, 8)} | {8: [2], 6: []}
    data = in_memory(World({"train": train, "valid": [], "test": test}, tags, {}, {}, {}, {}))
    of_test = {
        name: float(column[0])
        for name, column in columns_of(
            data, all_rows(data), data.examples("test", MAX_HISTORY)
        ).items()
    }
    s, overall = SHRINKAGE.rate, 1 / 4
    rate, of_unseen = (1 + s * overall) / (3 + s), overall
    assert of_test == pytest.approx(
        {
            "history_users": log(2),  # user 1 took item 5: the row's label is 1
            "target_rows": log(1 + 3),
            "users_over_rows": log(2) - log(4),
            "history_users_mean": (log(4) + log(2)) / 2,
            "history_users_recent": (2**-0.5 * log(4) + log(2)) / (2**-0.5 + 1),
            "history_users_last": log(2),
            "users_over_history": log(2) - (log(4) + log(2)) / 2,
            "item_rate": rate,
            # The row of item 6, which has no tags, is no row of a tag.
            "tag_rate_max": (1 + s / 3) / (3 + s),
            "tag_rate_mean": (1 + s / 3) / (3 + s),
            "level_rate": (1 + s * overall) / (4 + s),
            "history_rate_mean": of_unseen,
            "history_rate_recent": of_unseen,
            "rate_over_history": rate - of_unseen,
        },
        rel=1e-5,
    )


def test_a_target_without_tags_has_no_tag_rate_and_a_row_without_history_no_mean() -> None:
    tags = {item: [1] for item in range(1, 8)} | {8: []}
    rows = [Row(9, [], 1, 1, 2, 0), Row(9, [1], 8, 1, 2, 0)]
    train = [Row(1, [2, 3], 1, 1, 2, 1)]
    data = in_memory(World({"train": train, "valid": [], "test": rows}, tags, {}, {}, {}, {}))
    actual = columns_of(data, all_rows(data), data.examples("test", MAX_HISTORY))
    of_history = {n for n in actual if "history" in n} - {"history_users"}
    of_tags = {"tag_rate_max", "tag_rate_mean"}
    for name, column in actual.items():
        expected = [name in of_history, name in of_tags]
        np.testing.assert_array_equal(np.isnan(column), expected, err_msg=name)
