"""Item tags and text embeddings from titles, years and genres."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mmctr_kit.data.contract import GIVEN_DIM, MAX_TAGS, PAD
from mmctr_kit.datasets.movielens.movies import Movie


@dataclass(frozen=True)
class Items:
    """What the item files hold of items 1..n, in the order of their ids.

    ``titles`` (n,) with the year as MovieLens writes it, "" where unknown; ``tags`` (n,) lists of
    tag ids from 1, ascending; ``text`` (n, d <= 128) float32 of unit length, zero where the item
    has no text; ``given`` (n, 128) float32, the same padded with zeros on the right.
    """

    titles: list[str]
    tags: list[list[int]]
    text: NDArray[np.float32]
    given: NDArray[np.float32]

    @property
    def last_tags(self) -> NDArray[np.int64]:
        """(n, 5) int64: the last 5 tags, left-padded with 0."""
        dense = np.full((len(self.tags), MAX_TAGS), PAD, np.int64)
        for row, tags in zip(dense, self.tags, strict=True):
            kept = tags[-MAX_TAGS:]
            row[MAX_TAGS - len(kept) :] = kept
        return dense


def describe(movies: Sequence[Movie | None]) -> Items:
    """Tags and embeddings of ``movies``; None is a film that the movies file does not know."""
    known = [m if m is not None else Movie("", None, ()) for m in movies]
    genres = sorted({g for m in known for g in m.genres})
    tag_of = {g: i for i, g in enumerate(genres, 1)}
    text = embed([_tokens(m) for m in known])
    given = np.zeros((len(known), GIVEN_DIM), np.float32)
    given[:, : text.shape[1]] = text
    return Items(
        titles=[m.title if m.year is None else f"{m.title} ({m.year})".strip() for m in known],
        tags=[[tag_of[g] for g in m.genres] for m in known],
        text=text,
        given=given,
    )


def embed(documents: Sequence[Sequence[str]]) -> NDArray[np.float32]:
    """(documents, d) float32, d <= 128: latent semantic analysis, rows of unit length.

    TF-IDF of the tokens, then the leading d = min(128, documents - 1, tokens - 1) singular
    directions (Deerwester et al. 1990), the same for every seed. A document without tokens is zero.
    """
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.utils.extmath import randomized_svd

    tfidf = TfidfVectorizer(analyzer=_as_is).fit_transform(documents)
    width = max(1, min(GIVEN_DIM, *(n - 1 for n in tfidf.shape)))
    u, s, _ = randomized_svd(tfidf, width, random_state=0)
    vectors = u * s
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    unit = vectors / np.where(length > 0, length, 1.0)
    return np.asarray(unit, dtype=np.float32)


def _as_is(tokens: Sequence[str]) -> Sequence[str]:
    return tokens


def _tokens(movie: Movie) -> list[str]:
    """Title words, genres and the decade; a film of a nearby year should not look unrelated."""
    words = re.findall(r"\w+", movie.title.lower())
    decade = [] if movie.year is None else [f"decade={movie.year // 10 * 10}"]
    return [*words, *decade, *(f"genre={g}" for g in movie.genres)]
