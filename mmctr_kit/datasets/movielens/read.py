"""MovieLens as published, read into one form: GroupLens ml-100k, ml-1m/10m, ml-latest, and RecBole.

Source of the formats: the READMEs that GroupLens ships with each data set (Harper & Konstan 2015,
doi:10.1145/2827872) and RecBole's atomic files (typed headers such as ``rating:float``).
Lines are parsed one by one, so that a malformed one is reported by its number.
"""

import math
from array import array
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mmctr_kit.datasets.movielens.movies import (
    Movie,
    column_index,
    column_names,
    is_whole,
    read_movies_csv,
    read_movies_dat,
    read_recbole_items,
    read_u_item,
    wrong_width,
)
from mmctr_kit.errors import DataError, UsageError
from mmctr_kit.metrics.ranks import Floats, Ints

MAX_RATING = 5.0
_KNOWN = "u.data, ratings.dat, ratings.csv or a RecBole *.inter file"


@dataclass(frozen=True)
class Ratings:
    """Every rating once, users and items by their new ids.

    ``user`` (n,) int64; ``item`` (n,) int64 in 1..n_items; ``value`` (n,) float64 in 0..5;
    ``time`` (n,) float64, any unit that grows. ``repeated`` counts the ratings that were left out
    because the same user rated the same item again later.
    """

    user: Ints
    item: Ints
    value: Floats
    time: Floats
    n_items: int
    repeated: int


MovieReader = Callable[[Path], dict[str, Movie]]

_MOVIES: Mapping[str, tuple[str, MovieReader]] = {
    "u.data": ("u.item", read_u_item),
    "ratings.dat": ("movies.dat", read_movies_dat),
    "ratings.csv": ("movies.csv", read_movies_csv),
}
"""GroupLens ratings file -> its movies file and the reader of that."""


def read_source(source: Path) -> tuple[Ratings, list[Movie | None]]:
    """The ratings and movies of ``source``: a folder, or the ratings file itself.

    Movie ``i`` is the item of id ``i + 1``, None if the movies file does not know it.
    Raises UsageError if SRC is no ratings file and no folder with one, and DataError, with file and
    line number, for a line that cannot be read.
    """
    path = _ratings_file(source)
    movies_file, read_movies = _movies_file(path)
    if not movies_file.is_file():
        raise DataError(
            f"no {movies_file.name} next to {path}; expected the movies file there, whose titles "
            f"or genres become the item embeddings"
        )
    ratings, tokens = _read_ratings(path)
    known = read_movies(movies_file)
    movies = [known.get(t) for t in tokens]
    if not any(m and (m.title or m.genres) for m in movies):
        raise DataError(
            f"{movies_file} has neither a title nor a genre for any rated item; expected either, "
            f"to make the item embeddings of"
        )
    return ratings, movies


def _ratings_file(source: Path) -> Path:
    if source.is_file():
        return source
    if not source.is_dir():
        raise UsageError(f"nothing at '{source}'; expected a folder with {_KNOWN}")
    files = [source / n for n in _MOVIES if (source / n).is_file()]
    files += sorted(source.glob("*.inter"))
    if not files:
        raise DataError(f"no ratings file in '{source}'; expected {_KNOWN}")
    if len(files) > 1:
        names = ", ".join(p.name for p in files)
        raise UsageError(f"several ratings files in '{source}' ({names}); name one of them as SRC")
    return files[0]


def _movies_file(ratings: Path) -> tuple[Path, MovieReader]:
    """The movies file that belongs to a ratings file, whether or not it exists; its reader."""
    if ratings.name in _MOVIES:
        name, reader = _MOVIES[ratings.name]
        return ratings.with_name(name), reader
    if ratings.suffix != ".inter":
        raise UsageError(f"'{ratings}' is no ratings file by its name; expected {_KNOWN}")
    same, others = ratings.with_suffix(".item"), sorted(ratings.parent.glob("*.item"))
    single = not same.is_file() and len(others) == 1
    return others[0] if single else same, read_recbole_items


def _read_ratings(path: Path) -> tuple[Ratings, list[str]]:
    """The ratings, and each item's original token in the order of the new ids."""
    users: dict[str, int] = {}
    items: dict[str, int] = {}
    user, item = array("q"), array("q")
    value, time = array("d"), array("d")
    for number, (user_token, item_token, stars, timestamp) in _rating_fields(path):
        try:
            rating, moment = float(stars), float(timestamp)
        except ValueError:
            rating = moment = math.nan
        plausible = 0 <= rating <= MAX_RATING and math.isfinite(moment)
        if not (plausible and user_token and item_token):
            raise DataError(
                f"{path}, line {number}: user {user_token!r}, item {item_token!r}, rating "
                f"{stars!r}, timestamp {timestamp!r}; expected ids, a rating from 0 to "
                f"{MAX_RATING:g} and a number"
            )
        user.append(users.setdefault(user_token, len(users)))
        item.append(items.setdefault(item_token, len(items)))
        value.append(rating)
        time.append(moment)
    if not users:
        raise DataError(f"{path} holds no rating; expected one a line")
    numbers = all(map(is_whole, items))  # else they are sorted as text
    item_tokens = sorted(items, key=lambda t: (int(t) if numbers else 0, t))
    ranks = np.empty(len(items), np.int64)
    ranks[[items[t] for t in item_tokens]] = np.arange(1, len(items) + 1)
    u, i = _user_ids(users)[np.array(user)], ranks[np.array(item)]
    v, t = np.array(value), np.array(time)
    # Sorted by user and item, so that the order of lines in the file changes nothing.
    order = np.lexsort((v, t, i, u))
    last = np.append((np.diff(u[order]) != 0) | (np.diff(i[order]) != 0), True)
    rows = order[last]
    repeated = len(order) - len(rows)
    return Ratings(u[rows], i[rows], v[rows], t[rows], len(items), repeated), item_tokens


def _user_ids(users: Mapping[str, int]) -> Ints:
    """(users,) int64: the original ids if they are distinct whole numbers, else 1..users."""
    tokens = list(users)
    if all(map(is_whole, tokens)) and len({int(t) for t in tokens}) == len(tokens):
        return np.array([int(t) for t in tokens], np.int64)
    ids = np.empty(len(tokens), np.int64)
    ids[[users[t] for t in sorted(tokens)]] = np.arange(1, len(tokens) + 1)
    return ids


def _rating_fields(path: Path) -> Iterator[tuple[int, Sequence[str]]]:
    """(line number, (user, item, rating, timestamp)) of every line that is not empty."""
    with path.open(encoding="utf-8-sig", errors="replace") as f:
        if path.name == "ratings.csv":
            names, separator = ("userId", "movieId", "rating", "timestamp"), ","
        elif path.suffix == ".inter":
            names, separator = ("user_id", "item_id", "rating", "timestamp"), "\t"
        else:
            names, separator = None, "::" if path.suffix == ".dat" else "\t"
        indices, width, first = [0, 1, 2, 3], 4, 1
        if names is not None:
            columns = column_names(f.readline(), separator)
            indices = [column_index(path, columns, n) for n in names]
            width, first = len(columns), 2
        a, b, c, d = indices
        for number, line in enumerate(f, first):
            fields = line.rstrip("\r\n").split(separator)
            if len(fields) == width:
                yield number, (fields[a], fields[b], fields[c], fields[d])
            elif line.strip():
                raise wrong_width(path, number, width, len(fields), line)
