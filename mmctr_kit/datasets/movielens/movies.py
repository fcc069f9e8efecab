"""Titles, years and genres from the movies files of GroupLens and RecBole."""

import csv
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mmctr_kit.datasets.movielens.fields import (
    column_names,
    is_whole,
    place_of,
    place_of_any,
    text_lines,
    wrong_width,
)
from mmctr_kit.errors import DataError

# The 19 flags of ml-100k's u.item, in its order, for when u.genre is absent.
_GENRES_100K = [
    "unknown",
    "Action",
    "Adventure",
    "Animation",
    "Children's",
    "Comedy",
    "Crime",
    "Documentary",
    "Drama",
    "Fantasy",
    "Film-Noir",
    "Horror",
    "Musical",
    "Mystery",
    "Romance",
    "Sci-Fi",
    "Thriller",
    "War",
    "Western",
]
# The publishers' ways to say "none"; as a genre it would tie together films with nothing in common.
_NO_GENRE = {"", "unknown", "(no genres listed)"}
_YEAR = re.compile(r"\s*\((\d{4})\)\s*(?:\([A-Z]+\))?\s*$")  # "(1995)", "(1995) (V)"


@dataclass(frozen=True)
class Movie:
    """``title`` without its year; ``genres`` sorted."""

    title: str
    year: int | None
    genres: tuple[str, ...]


def read_u_item(path: Path) -> dict[str, Movie]:
    """ml-100k: ``id|title|release|video release|URL|19 genre flags``, named by u.genre."""
    genres = _flag_names(path.with_name("u.genre"))
    movies = {}
    for number, line in text_lines(path):
        fields = line.split("|")
        flags = fields[5:]
        if len(flags) != len(genres) or not set(flags) <= {"0", "1"}:
            raise DataError(
                f"{path}, line {number}: expected 5 fields and {len(genres)} genre flags of 0 or 1 "
                f"separated by '|', found {line[:60]!r}"
            )
        names = [g for g, flag in zip(genres, flags, strict=True) if flag == "1"]
        movies[fields[0]] = _movie(fields[1], "", names)
    return movies


def _flag_names(path: Path) -> list[str]:
    if not path.is_file():
        return _GENRES_100K
    names: dict[int, str] = {}
    for number, line in text_lines(path):
        name, _, place = line.partition("|")
        if not is_whole(place.strip()):
            raise DataError(f"{path}, line {number}: expected name|number, found {line[:60]!r}")
        names[int(place)] = name
    if not names or sorted(names) != list(range(len(names))):
        raise DataError(f"{path}: genre numbers are not 0, 1, 2 ... without a gap")
    return [names[i] for i in range(len(names))]


def read_movies_dat(path: Path) -> dict[str, Movie]:
    """ml-1m and ml-10m: ``id::title (year)::genre|genre``."""
    movies = {}
    for number, line in text_lines(path):
        fields = line.split("::")
        if len(fields) != 3:
            raise wrong_width(path, number, 3, len(fields), line)
        movies[fields[0]] = _movie(fields[1], "", fields[2].split("|"))
    return movies


def read_movies_csv(path: Path) -> dict[str, Movie]:
    """ml-latest: ``movieId,title,genres``, titles quoted where they hold a comma."""
    lines = text_lines(path)
    columns = column_names(next(lines, (1, ""))[1], ",")
    i, t, g = (place_of(path, columns, n) for n in ("movieId", "title", "genres"))
    movies = {}
    for number, line in lines:
        fields = next(csv.reader([line]))
        if len(fields) != len(columns):
            raise wrong_width(path, number, len(columns), len(fields), line)
        movies[fields[i]] = _movie(fields[t], "", fields[g].split("|"))
    return movies


def read_recbole_items(path: Path) -> dict[str, Movie]:
    """RecBole's ``.item``: typed header, tabs; title, year and genres are each optional."""
    lines = text_lines(path)
    columns = column_names(next(lines, (1, ""))[1], "\t")
    i = place_of(path, columns, "item_id")
    title = place_of_any(columns, ("movie_title", "title", "name"))
    year = place_of_any(columns, ("release_year", "year"))
    genre = place_of_any(columns, ("class", "genre", "genres"))
    movies = {}
    for number, line in lines:
        fields = line.split("\t")
        if len(fields) != len(columns):
            raise wrong_width(path, number, len(columns), len(fields), line)
        t, y, g = ("" if p is None else fields[p] for p in (title, year, genre))
        movies[fields[i]] = _movie(t, y, g.split(" "))
    return movies


def _movie(title: str, year: str, genres: Sequence[str]) -> Movie:
    """``title`` may end in "(1995)"; that wins over ``year``, which only RecBole's files have."""
    match = _YEAR.search(title)
    if match:
        title, year = title[: match.start()], match.group(1)
    known = int(year) if year.isascii() and year.isdigit() and len(year) == 4 else None
    kept = {g.strip() for g in genres} - _NO_GENRE
    return Movie(title.strip(), known, tuple(sorted(kept)))
