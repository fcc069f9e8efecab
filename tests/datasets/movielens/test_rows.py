"""The rows made of ratings, and what a row must not tell."""

from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmctr_kit.data.contract import MAX_HISTORY
from mmctr_kit.datasets.movielens import convert
from mmctr_kit.datasets.movielens import rows as rows_module
from mmctr_kit.datasets.movielens.read import Ratings
from mmctr_kit.datasets.movielens.rows import item_levels, user_rows
from tests.datasets.movielens.made import N_ITEMS, RATINGS, make_source, split_tables, tables


def test_users_are_disjoint_between_splits_and_every_split_has_some(out: Path) -> None:
    users = [set(t["user_id"].to_pylist()) for t in split_tables(out).values()]
    assert [len(u) for u in users] == [12, 2, 2]
    assert len(set.union(*users)) == 16


def test_a_users_rows_share_one_history_which_holds_none_of_their_items(
    all_rows: dict[str, np.ndarray],
) -> None:
    for user in np.unique(all_rows["user_id"]):
        mine = all_rows["user_id"] == user
        history = np.unique(all_rows["item_seq"][mine], axis=0)
        assert len(history) == 1
        assert not np.isin(all_rows["item_id"][mine], history[history > 0]).any()


def test_histories_are_left_padded_positives_by_time(all_rows: dict[str, np.ndarray]) -> None:
    rated = {(u, i // 3): (r, t) for u, i, r, t in RATINGS}
    for user, history in zip(all_rows["user_id"].tolist(), all_rows["item_seq"], strict=True):
        n = int((history > 0).sum())
        assert not history[: MAX_HISTORY - n].any()
        stars, times = zip(*(rated[user, i] for i in history[-n:].tolist()), strict=True)
        assert min(stars) >= 4
        assert list(times) == sorted(times)


def test_every_user_has_one_positive_in_four_so_no_value_of_a_user_tells_labels(
    all_rows: dict[str, np.ndarray],
) -> None:
    for user in np.unique(all_rows["user_id"]):
        assert all_rows["label"][all_rows["user_id"] == user].mean() == 0.25


def test_the_place_of_a_row_tells_neither_user_nor_label(out: Path) -> None:
    train = split_tables(out)["train"].to_pandas()
    assert (np.diff(train["user_id"]) == 0).mean() < 0.5
    first = train["label"].to_numpy()[: len(train) // 4]
    assert 0.05 < first.mean() < 0.6


def test_levels_count_all_ratings_but_those_that_are_rows(all_rows: dict[str, np.ndarray]) -> None:
    targets = set(zip(all_rows["user_id"].tolist(), all_rows["item_id"].tolist(), strict=True))
    views, likes = np.zeros(N_ITEMS + 1, int), np.zeros(N_ITEMS + 1, int)
    for user, original, rating, _ in RATINGS:
        if (user, original // 3) not in targets:
            views[original // 3] += 1
            likes[original // 3] += rating >= 4
    for name, counts in (("views_level", views), ("likes_level", likes)):
        fewer = (counts[1:, None] > counts[None, 1:]).sum(axis=1)
        level = np.append(0, 1 + 10 * fewer // N_ITEMS)
        np.testing.assert_array_equal(all_rows[name], level[all_rows["item_id"]])
    assert all_rows["views_level"].min() >= 1
    assert all_rows["views_level"].max() > 5


def test_other_stars_for_a_target_on_the_same_side_change_no_file(
    out: Path, all_rows: dict[str, np.ndarray], tmp_path: Path
) -> None:
    targets = set(zip(all_rows["user_id"].tolist(), all_rows["item_id"].tolist(), strict=True))
    other = {5: 4, 4: 5, 3: 1, 2: 1, 1: 3}
    changed = [(u, i, other[r] if (u, i // 3) in targets else r, t) for u, i, r, t in RATINGS]
    assert sum(a != b for a, b in zip(changed, RATINGS, strict=True)) > 60
    convert(make_source(tmp_path / "src", ratings=changed), tmp_path / "out")
    assert tables(tmp_path / "out") == tables(out)


def random_ratings(seed: int, n_users: int, n_items: int, n_times: int) -> Ratings:
    rng = np.random.default_rng(seed)
    rated = [rng.permutation(n_items)[: rng.integers(1, n_items)] + 1 for _ in range(n_users)]
    user = np.repeat(np.arange(1, n_users + 1), [len(r) for r in rated])
    item = np.concatenate(rated)
    stars = rng.choice([0.5, 2, 3, 3.5, 4, 5], len(item), p=[0.05, 0.1, 0.15, 0.1, 0.3, 0.3])
    time = rng.integers(n_times, size=len(item)).astype(np.float64)
    return Ratings(user, item, stars, time, n_items, 0)


ratings_strategy = st.builds(
    random_ratings,
    seed=st.integers(0, 2**16),
    n_users=st.integers(2, 12),
    n_items=st.integers(5, 120),
    n_times=st.sampled_from([1, 4, 10**6]),
)


constants_strategy = st.fixed_dictionaries(
    {
        "TARGET_SHARE": st.floats(0.05, 0.95),
        "MAX_TARGETS": st.integers(1, 12),
        "NEGATIVES_PER_POSITIVE": st.integers(1, 4),
        "LOW_SHARE": st.floats(0, 1),
    }
)


@settings(max_examples=60, deadline=None)
@given(ratings=ratings_strategy, constants=constants_strategy, seed=st.integers(0, 99))
def test_rows_of_any_ratings_keep_the_rules(
    ratings: Ratings, constants: dict[str, Any], seed: int
) -> None:
    with patch.multiple(rows_module, **constants):
        users = list(user_rows(ratings, seed))
    first_rated = np.full(ratings.n_items + 1, np.inf)
    np.minimum.at(first_rated, ratings.item, ratings.time)
    for u in users:
        mine = ratings.user == u.user
        stars = dict(zip(ratings.item[mine], ratings.value[mine], strict=True))
        when = dict(zip(ratings.item[mine], ratings.time[mine], strict=True))
        positives = u.items[u.labels == 1]
        negatives = u.items[u.labels == 0]
        low = [i for i in negatives if i in stars]
        drawn = [i for i in negatives if i not in stars]

        assert 1 <= len(positives) <= constants["MAX_TARGETS"]
        assert len(negatives) == constants["NEGATIVES_PER_POSITIVE"] * len(positives)
        assert len(set(u.items)) == len(u.items)
        assert not set(u.items) & set(u.history)
        assert 3 <= len(u.history) <= MAX_HISTORY
        assert all(stars[i] >= 4 for i in [*u.history, *positives])
        assert all(stars[i] <= 3 for i in low)
        assert len(low) <= constants["LOW_SHARE"] * len(negatives)
        history_times = [when[i] for i in u.history]
        assert history_times == sorted(history_times)
        assert all(when[i] >= history_times[-1] for i in [*positives, *low])
        assert all(first_rated[i] <= max(when.values()) for i in drawn)
        assert sorted(ratings.item[u.used]) == sorted([*positives, *low])
        # Nothing positive is skipped between the history's first item and its last.
        between = [
            i for i, s in stars.items() if s >= 4 and history_times[0] < when[i] < history_times[-1]
        ]
        assert set(between) <= set(u.history)


def one_user(n_positive: int, n_unrated: int) -> Ratings:
    """User 1 likes items 1.. one after another; user 2 rated all items, before."""
    n = n_positive + n_unrated
    return Ratings(
        user=np.repeat([1, 2], [n_positive, n]),
        item=np.concatenate([np.arange(1, n_positive + 1), np.arange(1, n + 1)]),
        value=np.repeat([5.0, 1.0], [n_positive, n]),
        time=np.concatenate([np.arange(1.0, n_positive + 1), np.zeros(n)]),
        n_items=n,
        repeated=0,
    )


def test_the_history_is_the_64_most_recent_positives_before_the_first_target() -> None:
    (rows,) = user_rows(one_user(150, 200), 0)
    np.testing.assert_array_equal(rows.history, np.arange(110 - 63, 111))
    np.testing.assert_array_equal(rows.items[rows.labels == 1], np.arange(111, 151))


def test_where_unrated_items_run_short_the_later_targets_are_left_out() -> None:
    (rows,) = user_rows(one_user(20, 7), 0)
    np.testing.assert_array_equal(rows.items[rows.labels == 1], [13, 14])
    np.testing.assert_array_equal(rows.history, np.arange(1, 13))
    assert list(user_rows(one_user(20, 2), 0)) == []


def test_the_order_of_ratings_of_the_same_second_does_not_follow_item_ids() -> None:
    base = one_user(100, 150)
    ratings = replace(base, time=np.where(base.user == 1, 1.0, 0.0))
    (rows,) = user_rows(ratings, 0)
    positives = rows.items[rows.labels == 1]
    # By id, every target would be above every history item; here the chance is one in two.
    above = (positives[:, None] > rows.history[None, :]).mean()
    assert 0.3 < above < 0.7


def test_users_with_fewer_than_four_positives_give_no_rows() -> None:
    assert list(user_rows(one_user(3, 20), 0)) == []
    (rows,) = user_rows(one_user(4, 20), 0)
    np.testing.assert_array_equal(rows.history, [1, 2, 3])


def test_an_item_is_no_negative_before_anyone_has_rated_it() -> None:
    early = one_user(10, 60)
    late = np.where((early.user == 2) & (early.item > 40), 99.0, early.time)
    (rows,) = user_rows(replace(early, time=late), 0)
    assert rows.items.max() <= 40


def test_unrated_items_are_drawn_by_popularity(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rows_module, "MAX_TARGETS", 1)
    # Items 11..20 have 81 ratings each, items 21..30 one each: weights 27 to 1.
    many = np.repeat(np.arange(2, 83), 10)
    users = np.concatenate([np.ones(10, np.int64), many, np.full(10, 90)])
    items = np.concatenate([np.arange(1, 11), np.tile(np.arange(11, 21), 81), np.arange(21, 31)])
    ratings = Ratings(
        users, items, np.where(users == 1, 5.0, 1.0), np.where(users == 1, 1.0, 0.0), 30, 0
    )
    drawn = np.concatenate([next(user_rows(ratings, seed)).items[1:] for seed in range(200)])
    # 600 draws; the expected share of popular items is about 0.96.
    assert 0.9 < (drawn <= 20).mean() < 0.995


def test_low_later_ratings_come_first_up_to_their_share() -> None:
    base = one_user(10, 60)
    low_items = np.arange(11, 31)
    ratings = Ratings(
        user=np.concatenate([base.user, np.ones(20, np.int64)]),
        item=np.concatenate([base.item, low_items]),
        value=np.concatenate([base.value, np.full(20, 2.0)]),
        time=np.concatenate([base.time, np.repeat([0.5, 50.0], 10)]),  # 11..20 before, 21..30 after
        n_items=base.n_items,
        repeated=0,
    )
    (rows,) = user_rows(ratings, 0)
    negatives = rows.items[rows.labels == 0]
    own = negatives[(negatives >= 11) & (negatives <= 30)]
    assert len(negatives) == 12
    assert len(own) == 6
    assert own.min() > 20


def test_levels_are_tenths_by_rank_and_items_without_a_count_have_level_one() -> None:
    item = np.repeat(np.arange(1, 21), np.r_[0, np.arange(19)])
    n = len(item)
    ratings = Ratings(np.arange(n), item, np.full(n, 3.0), np.zeros(n), 20, 0)
    levels = item_levels(ratings, np.zeros(0, np.int64))
    # Items 1 and 2 have no rating, item 3 has one, ... item 20 has 18.
    expected = [0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7, 8, 8, 9, 9, 10, 10]
    assert levels["views_level"].tolist() == expected
    assert levels["likes_level"].tolist() == [0] + [1] * 20
