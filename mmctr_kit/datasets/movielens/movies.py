"""Movies files of GroupLens and RecBole, and what item files say of their movies."""

import csv
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mmctr_kit.data.contract import GIVEN_DIM
from mmctr_kit.data.ragged import Ragged
from mmctr_kit.errors import DataError
from mmctr_kit.metrics.ranks import Floats32

# The 19 flags of ml-100k's u.item, in its order, for when u.genre is absent.
_GENRES_100K = (
    "unknown|Action|Adventure|Animation|Children's|Comedy|Crime|Documentary|Drama|Fantasy|"
    "Film-Noir|Horror|Musical|Mystery|Romance|Sci-Fi|Thriller|War|Western"
)
# The publishers' ways to say "none"; as a genre it would tie together films with nothing in common.
_NO_GENRE = {"", "unknown", "(no genres listed)"}
_YEAR = re.compile(r"\s*\((\d{4})\)\s*(?:\([A-Z]+\))?\s*$")  # "(1995)", "(1995) (V)"


@dataclass(frozen=True)
class Movie:
    """``title`` without its year; ``genres`` sorted."""

    title: str
    year: int | None
    genres: tuple[str, ...]


def text_lines(path: Path) -> Iterator[tuple[int, str]]:
    """Lines that are not empty: UTF-8 (ml-10m and later), else Latin-1 (ml-100k and ml-1m)."""
    raw = path.read_bytes()
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = raw.decode("latin-1")
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            yield number, line.rstrip("\r")


def column_names(line: str, separator: str) -> list[str]:
    """The header's columns without RecBole's types (``rating:float``)."""
    return [name.partition(":")[0].strip() for name in line.rstrip("\r\n").split(separator)]


def column_index(path: Path, columns: Sequence[str], name: str) -> int:
    """The index of column ``name``; DataError if the header lacks it."""
    if name not in columns:
        header = ", ".join(columns)[:120] or "nothing"
        raise DataError(f"{path}, line 1: no {name} column; found {header}")
    return columns.index(name)


def wrong_width(path: Path, number: int, wanted: int, actual: int, line: str) -> DataError:
    """The error of a line that splits into too few or too many fields."""
    return DataError(
        f"{path}, line {number}: expected {wanted} fields, found {actual} in {line.rstrip()[:60]!r}"
    )


def is_whole(token: str) -> bool:
    """Whether ``token`` is a whole number that fits an int64."""
    return token.isascii() and token.isdigit() and len(token) <= 18


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
        return _GENRES_100K.split("|")
    names: dict[int, str] = {}
    for number, line in text_lines(path):
        name, _, number_text = line.partition("|")
        if not is_whole(number_text.strip()):
            raise DataError(f"{path}, line {number}: expected name|number, found {line[:60]!r}")
        names[int(number_text)] = name
    if not names or sorted(names) != list(range(len(names))):
        raise DataError(f"{path}: genre numbers are not 0, 1, 2 ... without a gap")
    return [names[i] for i in range(len(names))]


def read_movies_dat(path: Path) -> dict[str, Movie]:
    """ml-1m and ml-10m: ``id::title (year)::genre|genre``."""
    rows = _fields(path, text_lines(path), 3, lambda line: line.split("::"))
    return {i: _movie(title, "", genres.split("|")) for i, title, genres in rows}


def read_movies_csv(path: Path) -> dict[str, Movie]:
    """ml-latest: ``movieId,title,genres``, titles quoted if they hold a comma."""
    lines = text_lines(path)
    columns = column_names(next(lines, (1, ""))[1], ",")
    i, t, g = (column_index(path, columns, n) for n in ("movieId", "title", "genres"))
    rows = _fields(path, lines, len(columns), lambda line: next(csv.reader([line])))
    return {row[i]: _movie(row[t], "", row[g].split("|")) for row in rows}


def read_recbole_items(path: Path) -> dict[str, Movie]:
    """RecBole's ``.item``: typed header, tabs; title, year and genres are each optional."""
    lines = text_lines(path)
    columns = column_names(next(lines, (1, ""))[1], "\t")
    i = column_index(path, columns, "item_id")
    known = (
        ("movie_title", "title", "name"),
        ("release_year", "year"),
        ("class", "genre", "genres"),
    )
    optional = [next((columns.index(n) for n in names if n in columns), None) for names in known]
    movies = {}
    for row in _fields(path, lines, len(columns), lambda line: line.split("\t")):
        title, year, genres = ("" if at is None else row[at] for at in optional)
        movies[row[i]] = _movie(title, year, genres.split(" "))
    return movies


def _fields(
    path: Path, lines: Iterator[tuple[int, str]], width: int, split: Callable[[str], list[str]]
) -> Iterator[list[str]]:
    """The fields of each line; DataError if they are not ``width``."""
    for number, line in lines:
        fields = split(line)
        if len(fields) != width:
            raise wrong_width(path, number, width, len(fields), line)
        yield fields


def _movie(title: str, year: str, genres: Sequence[str]) -> Movie:
    """``title`` may end in "(1995)"; that wins over ``year``, which only RecBole's files have."""
    match = _YEAR.search(title)
    if match:
        title, year = title[: match.start()], match.group(1)
    known = int(year) if year.isascii() and year.isdigit() and len(year) == 4 else None
    names = {g.strip() for g in genres} - _NO_GENRE
    return Movie(title.strip(), known, tuple(sorted(names)))


def describe(movies: Sequence[Movie | None]) -> dict[str, Any]:
    """Columns of item_feature for items 1..n; None is a film that the movies file does not know.

    ``item_title`` with the year as MovieLens writes it, "" if unknown; ``item_tags``, a Ragged of
    ascending tag ids from 1; ``txt_emb_BERT`` as :func:`embed` makes it.
    """
    known = [m if m is not None else Movie("", None, ()) for m in movies]
    genres = sorted({g for m in known for g in m.genres})
    tag_of = {g: i for i, g in enumerate(genres, 1)}
    tags = [[tag_of[g] for g in m.genres] for m in known]
    titles = [m.title if m.year is None else f"{m.title} ({m.year})".strip() for m in known]
    counts = np.array([len(row) for row in tags], np.int64)
    of_items = Ragged.of(np.array([t for row in tags for t in row], np.int64), counts)
    text = embed([_tokens(m) for m in known])
    return {"item_title": titles, "item_tags": of_items, "txt_emb_BERT": text}


def embed(documents: Sequence[Sequence[str]]) -> Floats32:
    """(documents, d) float32, d <= 128: latent semantic analysis, rows of unit length.

    TF-IDF of the tokens, then the leading d = min(128, documents - 1, tokens - 1) singular
    directions (Deerwester et al. 1990), the same for every seed. A document without tokens is zero.
    """
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.utils.extmath import randomized_svd

    tfidf = TfidfVectorizer(analyzer=list).fit_transform(documents)
    width = max(1, min(GIVEN_DIM, *(n - 1 for n in tfidf.shape)))
    u, s, _ = randomized_svd(tfidf, width, random_state=0)
    vectors = u * s
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    unit = vectors / np.where(length > 0, length, 1.0)
    return np.asarray(unit, dtype=np.float32)


def _tokens(movie: Movie) -> list[str]:
    """Title words, genres and the decade; a film of a nearby year should not look unrelated."""
    words = re.findall(r"\w+", movie.title.lower())
    decade = [] if movie.year is None else [f"decade={movie.year // 10 * 10}"]
    return [*words, *decade, *(f"genre={g}" for g in movie.genres)]
