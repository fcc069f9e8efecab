import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmctr_kit.data.contract import FILES, GIVEN_DIM, MAX_HISTORY, SPLITS
from mmctr_kit.datasets import movielens
from mmctr_kit.datasets.movielens import TEST_LABELS, convert
from mmctr_kit.datasets.movielens.movies import Movie, describe, read_movies_dat
from mmctr_kit.datasets.movielens.read import Ratings
from mmctr_kit.datasets.movielens.rows import Options, item_levels, user_rows
from mmctr_kit.errors import DataError, MmctrKitError, UsageError

GENRES = ["Action", "Children's", "Comedy", "Drama", "Film-Noir", "Sci-Fi", "War"]
FLAGS = ["unknown", *GENRES]
N_ITEMS = 70
DEFAULTS = Options(target_share=0.4, max_targets=40, negatives_per_positive=3, low_share=0.5)

Rating = tuple[int, int, int, int]
"""user, item, rating, timestamp; item ids are 3, 6, 9 ... so that new ids differ from them."""


@dataclass(frozen=True)
class Film:
    title: str
    year: int
    genres: list[str]


def make_ratings(n_users: int = 16, seed: int = 0) -> list[Rating]:
    rng = np.random.default_rng(seed)
    rows = []
    for user in range(101, 101 + n_users):
        items = rng.choice(N_ITEMS, rng.integers(14, 24), replace=False)
        stars, times = rng.integers(1, 6, len(items)), rng.integers(40, size=len(items))
        stars[:5] = 5
        rows += [(user, 3 * i + 3, r, t) for i, r, t in zip(items, stars, times, strict=True)]
    # One early user, who is left out for having no positive, so that all items are on offer.
    rows += [(100, 3 * i + 3, 1, -1) for i in range(N_ITEMS)]
    rng.shuffle(rows)
    return [(int(u), int(i), int(r), int(t)) for u, i, r, t in rows]


def make_films() -> dict[int, Film]:
    rng = np.random.default_rng(7)
    films = {
        3 * i + 3: Film(
            f"Word{i} Common{i % 5}", 1930 + i, sorted(rng.choice(GENRES, i % 3 + 1, replace=False))
        )
        for i in range(N_ITEMS)
    }
    films[3] = Film("Amélie, la série", 1999, GENRES)
    return films


RATINGS, FILMS = make_ratings(), make_films()


def write_ml_100k(folder: Path, ratings: list[Rating], films: dict[int, Film]) -> None:
    (folder / "u.data").write_text("".join(f"{u}\t{i}\t{r}\t{t}\n" for u, i, r, t in ratings))
    (folder / "u.genre").write_text("".join(f"{g}|{n}\n" for n, g in enumerate(FLAGS)) + "\n")
    lines = [
        f"{i}|{f.title} ({f.year})|01-Jan-{f.year}||http://x|"
        + "|".join(str(int(g in f.genres)) for g in FLAGS)
        for i, f in films.items()
    ]
    (folder / "u.item").write_bytes(("\n".join(lines) + "\n").encode("latin-1"))


def write_ml_1m(folder: Path, ratings: list[Rating], films: dict[int, Film]) -> None:
    text = "".join(f"{u}::{i}::{r}::{t}\n" for u, i, r, t in ratings)
    (folder / "ratings.dat").write_text(text)
    lines = [f"{i}::{f.title} ({f.year})::{'|'.join(f.genres)}\n" for i, f in films.items()]
    (folder / "movies.dat").write_bytes("".join(lines).encode("latin-1"))


def write_ml_latest(folder: Path, ratings: list[Rating], films: dict[int, Film]) -> None:
    text = "".join(f"{u},{i},{r}.0,{t}\n" for u, i, r, t in ratings)
    (folder / "ratings.csv").write_text("userId,movieId,rating,timestamp\n" + text)
    lines = [f'{i},"{f.title} ({f.year})",{"|".join(f.genres)}\r\n' for i, f in films.items()]
    text = "movieId,title,genres\r\n" + "".join(lines)
    (folder / "movies.csv").write_bytes(text.encode("utf-8"))


def write_recbole(folder: Path, ratings: list[Rating], films: dict[int, Film]) -> None:
    header = "rating:float\ttimestamp:float\tuser_id:token\titem_id:token\n"  # in another order
    text = "".join(f"{r}\t{t}\t{u}\t{i}\n" for u, i, r, t in ratings)
    (folder / "x.inter").write_text(header + text)
    header = "class:token_seq\titem_id:token\trelease_year:token\tmovie_title:token_seq\n"
    lines = [f"{' '.join(f.genres)}\t{i}\t{f.year}\t{f.title}\n" for i, f in films.items()]
    (folder / "x.item").write_text(header + "".join(lines), encoding="utf-8")


Writer = Callable[[Path, list[Rating], dict[int, Film]], None]
WRITERS: dict[str, Writer] = {
    "ml-100k": write_ml_100k,
    "ml-1m": write_ml_1m,
    "ml-latest": write_ml_latest,
    "recbole": write_recbole,
}


def make_source(
    folder: Path,
    writer: Writer = write_ml_100k,
    ratings: list[Rating] = RATINGS,
    films: dict[int, Film] = FILMS,
) -> Path:
    folder.mkdir()
    writer(folder, ratings, films)
    return folder


def tables(out: Path) -> dict[str, pa.Table]:
    return {str(p.relative_to(out)): pq.read_table(p) for p in sorted(out.rglob("*.parquet"))}


def split_tables(out: Path) -> dict[str, pa.Table]:
    found = {s: pq.read_table(out / FILES[s].path) for s in SPLITS}
    labels = pq.read_table(out / TEST_LABELS)
    assert found["test"]["ID"].equals(labels["ID"])
    found["test"] = found["test"].append_column("label", labels["label"])
    return found


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("movielens")
    convert(make_source(folder / "src"), folder / "out")
    return folder / "out"


@pytest.fixture(scope="module")
def all_rows(out: Path) -> dict[str, np.ndarray]:
    parts = [t.to_pandas() for t in split_tables(out).values()]
    names = ("user_id", "item_id", "label", "likes_level", "views_level", "item_seq")
    columns = {n: np.concatenate([p[n].to_numpy() for p in parts]) for n in names[:-1]}
    return columns | {"item_seq": np.concatenate([np.stack(p["item_seq"]) for p in parts])}


# ---- formats ----


@pytest.mark.parametrize("name", ["ml-1m", "ml-latest", "recbole"])
def test_every_format_of_the_same_data_gives_the_same_files(
    name: str, out: Path, tmp_path: Path
) -> None:
    convert(make_source(tmp_path / "src", WRITERS[name]), tmp_path / "out")
    found, expected = tables(tmp_path / "out"), tables(out)
    assert found.keys() == expected.keys()
    assert [n for n in expected if not found[n].equals(expected[n])] == []


def test_the_ratings_file_itself_and_a_missing_u_genre_are_accepted(
    out: Path, tmp_path: Path
) -> None:
    source = make_source(tmp_path / "src")
    (source / "ratings.csv").write_text("userId,movieId,rating,timestamp\n")
    with pytest.raises(UsageError, match=r"several ratings files .*u\.data, ratings\.csv"):
        convert(source, tmp_path / "out")
    convert(source / "u.data", tmp_path / "out")
    assert tables(tmp_path / "out").keys() == tables(out).keys()
    # The 19 genres that every ml-100k has: found without u.genre, in u.item's order.
    (source / "u.genre").unlink()
    (source / "u.item").write_text("3|Star (1977)|||" + "|0" * 14 + "|1|1|0|0|0\n")
    convert(source / "u.data", tmp_path / "two")
    tags = pq.read_table(tmp_path / "two" / "item_feature.parquet")["item_tags"].to_pylist()
    assert tags[0] == [1, 2]
    assert not any(tags[1:])


def test_the_order_of_lines_changes_nothing(out: Path, tmp_path: Path) -> None:
    films = dict(reversed(FILMS.items()))
    convert(make_source(tmp_path / "src", ratings=RATINGS[::-1], films=films), tmp_path / "out")
    assert tables(tmp_path / "out") == tables(out)


def test_a_seed_decides_everything_and_another_seed_gives_other_rows(
    out: Path, tmp_path: Path
) -> None:
    source = make_source(tmp_path / "src")
    convert(source, tmp_path / "same")
    convert(source, tmp_path / "other", seed=1)
    for path in sorted(p for p in out.rglob("*") if p.is_file()):
        assert (tmp_path / "same" / path.relative_to(out)).read_bytes() == path.read_bytes()
    same, other = split_tables(out), split_tables(tmp_path / "other")
    assert set(same["valid"]["user_id"].to_pylist()) != set(other["valid"]["user_id"].to_pylist())


# ---- the layout ----


def test_files_have_the_contracts_columns_and_types(out: Path) -> None:
    i64 = pa.int64()
    rows = {
        "user_id": i64,
        "item_seq": pa.list_(i64, 64),
        "item_id": i64,
        "likes_level": i64,
        "views_level": i64,
    }
    f32 = pa.float32()
    text = pq.read_schema(out / "item_feature.parquet").field("txt_emb_BERT").type
    assert text == pa.list_(f32, text.list_size)
    assert text.list_size <= GIVEN_DIM
    expected = {
        "train": rows | {"label": i64},
        "valid": rows | {"label": i64},
        "test": {"ID": i64} | rows,
        "item_info": {
            "item_id": i64,
            "item_tags": pa.list_(i64, 5),
            "item_emb_d128": pa.list_(pa.float64(), 128),
        },
        "item_feature": {
            "item_id": i64,
            "item_title": pa.string(),
            "item_tags": pa.list_(i64),
            "likes_level": i64,
            "views_level": i64,
            "txt_emb_BERT": text,
        },
        "item_emb": {"item_id": i64, "item_emb_d128_v1": pa.list_(f32, 128)},
    }
    for name, types in expected.items():
        schema = pq.read_schema(out / FILES[name].path)
        assert {n: schema.field(n).type for n in schema.names} == types
        assert schema.names == [n for n in FILES[name].column_names if n in types]


def test_items_are_numbered_by_their_original_order_and_keep_title_and_tags(out: Path) -> None:
    feature = pq.read_table(out / "item_feature.parquet").to_pydict()
    info = pq.read_table(out / FILES["item_info"].path).to_pydict()
    assert feature["item_id"] == list(range(1, N_ITEMS + 1))
    assert info["item_id"] == list(range(N_ITEMS + 1))
    films = [FILMS[i] for i in sorted(FILMS)]
    assert feature["item_title"] == [f"{f.title} ({f.year})" for f in films]
    assert feature["item_tags"] == [[GENRES.index(g) + 1 for g in f.genres] for f in films]
    padded = [([0] * 5 + tags)[-5:] for tags in feature["item_tags"]]
    assert info["item_tags"] == [[0] * 5, *padded]


def test_the_three_embeddings_are_one_of_unit_length_and_the_padding_row_is_zero(
    out: Path,
) -> None:
    text = np.stack(pq.read_table(out / "item_feature.parquet").to_pandas()["txt_emb_BERT"])
    v1 = np.stack(pq.read_table(out / "item_emb.parquet").to_pandas()["item_emb_d128_v1"])
    info = np.stack(pq.read_table(out / FILES["item_info"].path).to_pandas()["item_emb_d128"])
    np.testing.assert_allclose(np.linalg.norm(text, axis=1), 1, atol=1e-5)
    np.testing.assert_array_equal(v1[:, : text.shape[1]], text)
    assert not v1[:, text.shape[1] :].any()
    np.testing.assert_array_equal(info[1:], v1)
    assert not info[0].any()


def test_test_ids_count_from_zero_and_their_labels_lie_beside_the_layout(out: Path) -> None:
    test = pq.read_table(out / FILES["test"].path)
    truth = pq.read_table(out / TEST_LABELS)
    assert test["ID"].to_pylist() == list(range(len(test))) == truth["ID"].to_pylist()
    assert "label" not in test.column_names
    assert sum(truth["label"].to_pylist()) == len(test) / 4


def test_the_summary_counts_what_was_written(
    out: Path, all_rows: dict[str, np.ndarray], tmp_path: Path
) -> None:
    summary = convert(make_source(tmp_path / "src"), tmp_path / "out")
    users, first = np.unique(all_rows["user_id"], return_index=True)
    assert summary.users == len(users) == 16
    assert summary.items == N_ITEMS
    assert dict(summary.rows) == {s: len(t) for s, t in split_tables(out).items()}
    lengths = (all_rows["item_seq"][first] > 0).sum(axis=1)
    assert summary.mean_history == pytest.approx(lengths.mean())
    assert summary.label_mean == pytest.approx(0.25)
    assert any("image absent" in n for n in summary.notes)
    assert any("1 users left out" in n for n in summary.notes)


# ---- what a row must not tell ----


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
options_strategy = st.builds(
    Options,
    target_share=st.floats(0.05, 0.95),
    max_targets=st.integers(1, 12),
    negatives_per_positive=st.integers(1, 4),
    low_share=st.floats(0, 1),
)


@settings(max_examples=60, deadline=None)
@given(ratings=ratings_strategy, options=options_strategy, seed=st.integers(0, 99))
def test_rows_of_any_ratings_keep_the_rules(ratings: Ratings, options: Options, seed: int) -> None:
    first_rated = np.full(ratings.n_items + 1, np.inf)
    np.minimum.at(first_rated, ratings.item, ratings.time)
    for u in user_rows(ratings, options, seed):
        mine = ratings.user == u.user
        stars = dict(zip(ratings.item[mine], ratings.value[mine], strict=True))
        when = dict(zip(ratings.item[mine], ratings.time[mine], strict=True))
        positives = u.items[u.labels == 1]
        negatives = u.items[u.labels == 0]
        low = [i for i in negatives if i in stars]
        drawn = [i for i in negatives if i not in stars]

        assert 1 <= len(positives) <= options.max_targets
        assert len(negatives) == options.negatives_per_positive * len(positives)
        assert len(set(u.items)) == len(u.items)
        assert not set(u.items) & set(u.history)
        assert 3 <= len(u.history) <= MAX_HISTORY
        assert all(stars[i] >= 4 for i in [*u.history, *positives])
        assert all(stars[i] <= 3 for i in low)
        assert len(low) <= options.low_share * len(negatives)
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
    (rows,) = user_rows(one_user(150, 200), DEFAULTS, 0)
    np.testing.assert_array_equal(rows.history, np.arange(110 - 63, 111))
    np.testing.assert_array_equal(rows.items[rows.labels == 1], np.arange(111, 151))


def test_where_unrated_items_run_short_the_later_targets_are_left_out() -> None:
    (rows,) = user_rows(one_user(20, 7), DEFAULTS, 0)
    np.testing.assert_array_equal(rows.items[rows.labels == 1], [13, 14])
    np.testing.assert_array_equal(rows.history, np.arange(1, 13))
    assert list(user_rows(one_user(20, 2), DEFAULTS, 0)) == []


def test_the_order_of_ratings_of_the_same_second_does_not_follow_item_ids() -> None:
    base = one_user(100, 150)
    ratings = replace(base, time=np.where(base.user == 1, 1.0, 0.0))
    (rows,) = user_rows(ratings, DEFAULTS, 0)
    positives = rows.items[rows.labels == 1]
    # By id, every target would be above every history item; here the chance is one in two.
    above = (positives[:, None] > rows.history[None, :]).mean()
    assert 0.3 < above < 0.7


def test_users_with_fewer_than_four_positives_give_no_rows() -> None:
    assert list(user_rows(one_user(3, 20), DEFAULTS, 0)) == []
    (rows,) = user_rows(one_user(4, 20), DEFAULTS, 0)
    np.testing.assert_array_equal(rows.history, [1, 2, 3])


def test_an_item_is_no_negative_before_anyone_has_rated_it() -> None:
    early = one_user(10, 60)
    late = np.where((early.user == 2) & (early.item > 40), 99.0, early.time)
    (rows,) = user_rows(replace(early, time=late), DEFAULTS, 0)
    assert rows.items.max() <= 40


def test_unrated_items_are_drawn_by_popularity() -> None:
    # Items 11..20 have 81 ratings each, items 21..30 one each: weights 27 to 1.
    many = np.repeat(np.arange(2, 83), 10)
    users = np.concatenate([np.ones(10, np.int64), many, np.full(10, 90)])
    items = np.concatenate([np.arange(1, 11), np.tile(np.arange(11, 21), 81), np.arange(21, 31)])
    ratings = Ratings(
        users, items, np.where(users == 1, 5.0, 1.0), np.where(users == 1, 1.0, 0.0), 30, 0
    )
    options = replace(DEFAULTS, max_targets=1)
    drawn = np.concatenate(
        [next(user_rows(ratings, options, seed)).items[1:] for seed in range(200)]
    )
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
    (rows,) = user_rows(ratings, DEFAULTS, 0)
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
    assert levels.views.tolist() == expected
    assert levels.likes.tolist() == [0] + [1] * 20


# ---- ids, titles, repeated ratings ----


def test_ids_that_are_no_numbers_are_numbered_in_order(tmp_path: Path) -> None:
    source = make_source(tmp_path / "src", write_recbole)
    for name, column in (("x.inter", 3), ("x.item", 1)):
        header, *lines = (source / name).read_text(encoding="utf-8").splitlines()
        rows = [line.split("\t") for line in lines]
        for fields in rows:
            fields[column] = f"tt{int(fields[column]):04d}"
            if name == "x.inter":
                fields[2] = f"user{fields[2]}"
        text = "\n".join([header, *("\t".join(f) for f in rows)])
        (source / name).write_text(text, encoding="utf-8")
    convert(source, tmp_path / "out")
    users = set().union(
        *(t["user_id"].to_pylist() for t in split_tables(tmp_path / "out").values())
    )
    assert users == set(range(2, 18))  # user 1 is the one without positives
    titles = pq.read_table(tmp_path / "out" / "item_feature.parquet")["item_title"].to_pylist()
    assert titles == [f"{FILMS[i].title} ({FILMS[i].year})" for i in sorted(FILMS)]


def test_of_a_repeated_rating_the_latest_counts(out: Path, tmp_path: Path) -> None:
    user, item, stars, _ = next(r for r in RATINGS if r[3] > 5)
    repeated = [(user, item, 6 - stars, -5), *RATINGS]
    summary = convert(make_source(tmp_path / "src", ratings=repeated), tmp_path / "out")
    assert tables(tmp_path / "out") == tables(out)
    assert any("1 ratings left out" in n for n in summary.notes)


def test_films_without_titles_are_described_by_their_genres_and_notes_say_so(
    tmp_path: Path,
) -> None:
    source = make_source(tmp_path / "src", write_recbole)
    text = "item_id:token\tclass:token_seq\n"
    (source / "x.item").write_text(text + "".join(f"{i}\tDrama War\n" for i in range(3, 100, 3)))
    summary = convert(source, tmp_path / "out")
    feature = pq.read_table(tmp_path / "out" / "item_feature.parquet").to_pandas()
    lengths = np.linalg.norm(np.stack(feature["txt_emb_BERT"]), axis=1)
    np.testing.assert_allclose(lengths, np.repeat([1.0, 0.0], [33, N_ITEMS - 33]), atol=1e-5)
    assert any(f"{N_ITEMS} items have no title" in n for n in summary.notes)
    assert any("37 items have neither" in n for n in summary.notes)


def test_films_that_share_words_genres_or_a_decade_have_closer_embeddings() -> None:
    words = [Movie(f"w{i} v{i}", 1900 + 10 * (i % 9), ("Drama",)) for i in range(30)]
    films = [
        Movie("Star Wars", 1977, ("Sci-Fi",)),
        Movie("Star Trek", 1979, ("Sci-Fi",)),
        Movie("Emma", 1996, ("Romance",)),
    ]
    items = describe([*films, *words, None])
    near, far = items.text[0] @ items.text[1], items.text[0] @ items.text[2]
    assert near > far + 0.3
    same_words = describe([Movie("Dune", y, ("Sci-Fi",)) for y in (1984, 1981, 2021)]).text
    assert same_words[0] @ same_words[1] > same_words[0] @ same_words[2] + 0.1
    assert not items.text[-1].any()


def test_a_year_is_read_from_the_title_and_no_genre_is_no_tag(tmp_path: Path) -> None:
    text = "1::Land III (1995) (V)::unknown\n2::Seven::(no genres listed)\n3::2001::Sci-Fi|War\n"
    (tmp_path / "movies.dat").write_text(text)
    assert read_movies_dat(tmp_path / "movies.dat") == {
        "1": Movie("Land III", 1995, ()),
        "2": Movie("Seven", None, ()),
        "3": Movie("2001", None, ("Sci-Fi", "War")),
    }


# ---- errors ----


def _replace(path: Path, number: int, line: str) -> None:
    lines = path.read_text(encoding="latin-1").split("\n")
    lines[number - 1] = line
    path.write_text("\n".join(lines), encoding="latin-1")


@pytest.mark.parametrize(
    ("name", "file", "number", "line", "message"),
    [
        ("ml-100k", "u.data", 3, "1\t2\t3", "u.data, line 3: expected 4 fields, found 3"),
        ("ml-100k", "u.data", 5, "1\t2\tgood\t9", "u.data, line 5: .* rating 'good'"),
        ("ml-100k", "u.data", 5, "1\t2\t9\t9", "line 5: .* rating '9'.* from 0 to 5"),
        ("ml-100k", "u.data", 5, "1\t2\t3\tnan", "line 5: .* timestamp 'nan'"),
        ("ml-100k", "u.data", 5, "\t2\t3\t4", "line 5: user ''"),
        ("ml-100k", "u.item", 2, "6|Title|x||", "u.item, line 2: .* 8 genre flags"),
        ("ml-100k", "u.genre", 2, "Action", "u.genre, line 2: expected name|number"),
        ("ml-100k", "u.genre", 2, "Action|20", "u.genre: genre numbers"),
        ("ml-1m", "ratings.dat", 2, "1:2:3:4", "ratings.dat, line 2: expected 4 fields"),
        ("ml-1m", "movies.dat", 4, "1::Title", "movies.dat, line 4: expected 3 fields"),
        ("ml-latest", "ratings.csv", 1, "userId,movieId,timestamp", "line 1: no rating column"),
        ("ml-latest", "movies.csv", 3, "3,a,b,c", "movies.csv, line 3: expected 3 fields"),
        ("ml-latest", "movies.csv", 1, "", "movies.csv, line 1: no movieId column"),
        ("recbole", "x.inter", 1, "user_id:token\titem_id:token", "line 1: no rating column"),
        ("recbole", "x.inter", 7, "5\t1", "x.inter, line 7: expected 4 fields, found 2"),
        ("recbole", "x.item", 1, "id\ttitle\tyear\tclass", "line 1: no item_id column"),
        ("recbole", "x.item", 6, "12", "x.item, line 6: expected 4 fields, found 1"),
    ],
)
def test_a_line_that_cannot_be_read_is_named_by_file_and_number(
    name: str, file: str, number: int, line: str, message: str, tmp_path: Path
) -> None:
    source = make_source(tmp_path / "src", WRITERS[name])
    _replace(source / file, number, line)
    with pytest.raises(DataError, match=message) as raised:
        convert(source, tmp_path / "out")
    assert "\n" not in str(raised.value)
    assert [p.name for p in tmp_path.iterdir()] == ["src"]


@pytest.mark.parametrize(
    ("name", "file", "message"),
    [
        ("ml-100k", "u.data", "no ratings file in .*u.data, ratings.dat, ratings.csv or"),
        ("ml-100k", "u.item", r"no u\.item next to .*u\.data"),
        ("ml-1m", "movies.dat", r"no movies\.dat next to"),
        ("recbole", "x.item", r"no x\.item next to .*x\.inter"),
    ],
)
def test_a_folder_that_lacks_a_file_is_faulty_as_a_data_folder_is(
    name: str, file: str, message: str, tmp_path: Path
) -> None:
    source = make_source(tmp_path / "src", WRITERS[name])
    (source / file).unlink()
    with pytest.raises(DataError, match=message):
        convert(source, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_source_that_is_not_there_or_no_ratings_file_is_wrong_usage(tmp_path: Path) -> None:
    source = make_source(tmp_path / "src")
    with pytest.raises(UsageError, match="nothing at"):
        convert(tmp_path / "nowhere", tmp_path / "out")
    with pytest.raises(UsageError, match=r"u\.item' is no ratings file by its name"):
        convert(source / "u.item", tmp_path / "out")


def test_films_with_neither_title_nor_genre_are_refused(tmp_path: Path) -> None:
    source = make_source(tmp_path / "src", write_recbole)
    (source / "x.item").write_text("item_id:token\trelease_year:token\n3\t1990\n")
    with pytest.raises(DataError, match="neither a title nor a genre"):
        convert(source, tmp_path / "out")


def test_too_few_users_and_an_empty_file_are_refused(tmp_path: Path) -> None:
    few = make_source(tmp_path / "few", ratings=make_ratings(9))
    with pytest.raises(DataError, match=r"has 9 users .* at least 10"):
        convert(few, tmp_path / "out")
    none = make_source(tmp_path / "none", ratings=[])
    with pytest.raises(DataError, match="holds no rating"):
        convert(none, tmp_path / "out")


def test_an_out_that_holds_anything_is_refused_and_an_empty_one_filled(tmp_path: Path) -> None:
    source = make_source(tmp_path / "src")
    out = tmp_path / "deep" / "out"
    out.mkdir(parents=True)
    convert(source, out)
    before = tables(out)
    with pytest.raises(UsageError, match="not an empty folder"):
        convert(source, out, seed=3)
    assert tables(out) == before
    with pytest.raises(UsageError, match="not an empty folder"):
        convert(source, source / "u.data")


def test_an_out_that_cannot_be_made_is_wrong_usage(tmp_path: Path) -> None:
    source = make_source(tmp_path / "src")
    with pytest.raises(UsageError, match="cannot write"):
        convert(source, source / "u.data" / "out")


def test_a_failure_while_writing_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise OSError("disk full")

    source = make_source(tmp_path / "src")
    monkeypatch.setattr(movielens, "_write_items", broken)
    with pytest.raises(OSError, match="disk full"):
        convert(source, tmp_path / "out")
    assert [p.name for p in tmp_path.iterdir()] == ["src"]


@pytest.mark.parametrize(
    "wrong",
    [
        {"seed": -1},
        {"seed": 2**31},
        {"target_share": 0.0},
        {"target_share": float("nan")},
        {"low_share": 1.5},
        {"max_targets": 0},
        {"negatives_per_positive": 0},
    ],
)
def test_a_wrong_option_is_wrong_usage(wrong: dict[str, float], tmp_path: Path) -> None:
    source = make_source(tmp_path / "src")
    with pytest.raises(UsageError) as raised:
        convert(source, tmp_path / "out", **wrong)  # type: ignore[arg-type]
    assert re.search(r"expected", str(raised.value))
    assert isinstance(raised.value, MmctrKitError)
