"""MovieLens sources in every format, made from the same ratings and films."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mmctr_kit.datasets.imports.load import load_spec, shipped

GENRES = ["Action", "Children's", "Comedy", "Drama", "Film-Noir", "Sci-Fi", "War"]


# The shipped SPEC names them in the order of u.item.
_ITEMS = load_spec(shipped()["movielens-100k"]).items
assert _ITEMS is not None
assert _ITEMS.columns is not None
FLAGS = _ITEMS.columns[5:]


N_ITEMS = 70


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
        stars, times = rng.integers(1, 6, len(items)), rng.integers(1, 40, size=len(items))
        stars[:5] = 5
        rows += [(user, 3 * i + 3, r, t) for i, r, t in zip(items, stars, times, strict=True)]
    # One early user, who is left out for having no positive, so that all items are on offer.
    rows += [(100, 3 * i + 3, 1, 0) for i in range(N_ITEMS)]
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
