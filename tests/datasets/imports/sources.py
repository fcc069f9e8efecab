"""A few lines of every source that a SPEC is shipped for, in its own format."""

import gzip
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np


def _lines(path: Path, *lines: str, encoding: str = "utf-8") -> None:
    path.write_text("".join(f"{line}\n" for line in lines), encoding)


def _json(path: Path, *rows: dict[str, object]) -> None:
    with gzip.open(path, "wt", encoding="utf-8") as file:
        file.writelines(json.dumps(row) + "\n" for row in rows)


def _movielens_csv(folder: Path) -> None:
    header = "userId,movieId,rating,timestamp"
    _lines(folder / "ratings.csv", header, "1,1,4.0,964982703", "1,3,0.5,964981247")
    movies = ("1,Toy Story (1995),Adventure|Animation", '3,"Amélie, la (2001)",(no genres listed)')
    _lines(folder / "movies.csv", "movieId,title,genres", *movies)


def _movielens_dat(folder: Path) -> None:
    _lines(folder / "ratings.dat", "1::1::5::978300760", "1::3::3::978302109")
    movies = ("1::Toy Story (1995)::Adventure|Animation", "3::Amélie, la (2001)::Comedy")
    _lines(folder / "movies.dat", *movies, encoding="latin-1")


def _movielens_100k(folder: Path) -> None:
    _lines(folder / "u.data", "196\t1\t3\t881250949", "186\t3\t4\t891717742")
    flags = {1: "0|0|1|1|" + "|".join("0" * 15), 3: "1|" + "|".join("0" * 18)}
    titles = {1: "Toy Story (1995)", 3: "Amélie, la (2001)"}
    _lines(
        folder / "u.item",
        *(f"{i}|{t}|01-Jan-1995||http://us.imdb.com/M/t|{flags[i]}" for i, t in titles.items()),
        encoding="latin-1",
    )


def _recbole(folder: Path) -> None:
    header = "user_id:token\titem_id:token\trating:float\ttimestamp:float"
    _lines(folder / "x.inter", header, "196\t1\t3\t881250949", "186\t3\t4\t891717742")
    header = "item_id:token\tmovie_title:token_seq\trelease_year:token\tclass:token_seq"
    movies = ("1\tToy Story\t1995\tAdventure Animation", "3\tAmélie, la\t2001\tunknown")
    _lines(folder / "x.item", header, *movies)


def _movietweetings(folder: Path) -> None:
    _lines(folder / "ratings.dat", "1::0114508::8::1381006850", "2::0111161::10::1362062307")
    movies = ("0114508::Species (1995)::Action|Horror", "0111161::Amélie (2001)::")
    _lines(folder / "movies.dat", *movies)


def _mmrec(folder: Path) -> None:
    header = "userID\titemID\trating\ttimestamp\tx_label"
    _lines(folder / "baby.inter", header, "0\t0\t5.0\t1370304000\t0", "0\t1\t5.0\t1370390400\t2")
    for name, width in (("text", 384), ("image", 4096)):
        vectors = np.arange(2 * width, dtype=np.float32).reshape(2, width)
        np.save(folder / f"{name}_feat.npy", vectors / width)


def _amazon(folder: Path) -> None:
    review = {"overall": 5.0, "verified": True, "reviewTime": "09 1, 2016", "asin": "B00006L9LC"}
    review |= {"reviewerID": "A3CIUOJXQ5VDQ2", "reviewText": "Nice", "unixReviewTime": 1472688000}
    _json(folder / "All_Beauty_5.json.gz", review, {**review, "asin": "B000URXP6E"})
    meta = {
        "category": ["Beauty", "Soap"],
        "description": ["Fine soap.", "Smells"],
        "title": "Soap",
    }
    rows = ({**meta, "asin": "B00006L9LC"}, {"category": [], "asin": "B000URXP6E", "title": "Gel"})
    _json(folder / "meta_All_Beauty.json.gz", *rows)


def _amazon_2023(folder: Path) -> None:
    review = {"rating": 5.0, "title": "Nice", "text": "Nice", "images": [], "asin": "B00YQ6X8EO"}
    review |= {"parent_asin": "B00YQ6X8EO", "user_id": "AGKHLEW2SOWHNMFQ", "helpful_vote": 0}
    review["timestamp"] = 1588687728923
    rows = [review, {**review, "parent_asin": "B07"}]
    _json(folder / "All_Beauty.jsonl.gz", *rows)
    meta = {"main_category": "All Beauty", "title": "Soap", "description": ["Fine", "soap."]}
    meta |= {"categories": ["Beauty", "Soap"], "store": "X", "price": None}
    rows = [{**meta, "parent_asin": "B00YQ6X8EO"}, {**meta, "parent_asin": "B07", "categories": []}]
    _json(folder / "meta_All_Beauty.jsonl.gz", *rows)


def _kuairec(folder: Path) -> None:
    header = "user_id,video_id,play_duration,video_duration,time,date,timestamp,watch_ratio"
    times = "2020-07-05 00:08:23.438,20200705,1593878903.438"
    rows = (f"0,3649,13838,10867,{times},1.2733", f"0,9598,13665,10984,{times},2.2441")
    _lines(folder / "big_matrix.csv", header, *rows)
    _lines(folder / "item_categories.csv", "video_id,feat", "3649,[8]", '9598,"[27, 9]"')


SOURCES: dict[str, Callable[[Path], None]] = {
    "movielens-csv": _movielens_csv,
    "movielens-dat": _movielens_dat,
    "movielens-100k": _movielens_100k,
    "recbole": _recbole,
    "movietweetings": _movietweetings,
    "mmrec": _mmrec,
    "amazon-reviews": _amazon,
    "amazon-reviews-2023": _amazon_2023,
    "kuairec": _kuairec,
}
"""Writes the files of a source, two interactions with two items, into a folder."""

TITLES = {
    "recbole": ["Toy Story (1995)", "Amélie, la (2001)"],
    "movietweetings": ["Species (1995)", "Amélie (2001)"],
    "mmrec": ["", ""],
    "amazon-reviews": ["Soap", "Gel"],
    "amazon-reviews-2023": ["Soap", "Soap"],
    "kuairec": ["", ""],
}
"""The titles of the two items; of other sources those of recbole."""

TAGS = {
    "movielens-dat": [["Adventure", "Animation"], ["Comedy"]],
    "movietweetings": [["Action", "Horror"], []],
    "mmrec": [[], []],
    "amazon-reviews": [["Beauty", "Soap"], []],
    "amazon-reviews-2023": [["Beauty", "Soap"], []],
    "kuairec": [["8"], ["27", "9"]],
}
"""Their tags; of other sources those of the first with two of them, and none."""
