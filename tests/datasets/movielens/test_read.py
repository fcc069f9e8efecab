"""Ratings files in every format, and what is wrong with one."""

from pathlib import Path

import pyarrow.parquet as pq
import pytest

from mmctr_kit.datasets.movielens import convert
from mmctr_kit.errors import DataError, UsageError
from tests.datasets.movielens.made import (
    FILMS,
    RATINGS,
    WRITERS,
    make_source,
    split_tables,
    tables,
    write_recbole,
)


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
