"""Vectors of items from their words: latent semantic analysis of titles, tags and descriptions."""

import re
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from mmctr_kit.data.contract import GIVEN_DIM
from mmctr_kit.metrics.ranks import Floats32, Ints

FIT_ITEMS = 100_000
"""The vectors of more items are learned from this many, the most frequent in the log."""
_VOCABULARY = 1 << 16
"""Then the most tokens, those that occur most often, and none that one item alone has: 20 s and
not 52 s for 100,000 titles on two busy cores."""
_BATCH = 1 << 16
_ROUNDING = 1e-6
"""A vector of a document without tokens may be as long; others are up to 1."""
_YEAR = re.compile(r"\s*\((\d{4})\)\s*(?:\([A-Z]+\))?\s*$")  # "(1995)", "(1995) (V)"
_FOUR_DIGITS = re.compile(r"\s*(\d{4})(?!\d)")

Documents = Callable[[Ints], list[list[str]]]
"""The tokens of the items at these positions."""


def shown_title(title: str, year: str) -> str:
    """The title with its year as MovieLens writes it, without either if it is not known.

    A year in parentheses at the title's end wins over ``year``, of which the first four digits
    count.

    >>> shown_title("Seven", "1995-09-22"), shown_title("Land III (1995) (V)", "")
    ('Seven (1995)', 'Land III (1995)')
    """
    name, known = _split_year(title)
    if known is None and (match := _FOUR_DIGITS.match(year)):
        known = match.group(1)
    return name if known is None else f"{name} ({known})".strip()


def tokens(title: str, tags: Sequence[str], description: str) -> list[str]:
    """Words of the title, decade, tags and words of the description.

    ``title`` is as :func:`shown_title` makes it. The decade, and not the year, since an item of a
    nearby year should not look unrelated.
    """
    name, year = _split_year(title)
    decade = [] if year is None else [f"decade={int(year) // 10 * 10}"]
    return [*_words(name), *decade, *(f"genre={tag}" for tag in tags), *_words(description)]


def embed(documents: Documents, counts: Ints) -> Floats32 | None:
    """(items, d) float32, d <= 128, or None without a token (of many items: without a common one).

    TF-IDF of the tokens, then the leading d = min(128, items, tokens) singular directions
    (Deerwester et al. 1990), the same for every seed; rows of unit length, zero without a token.
    Of more than FIT_ITEMS items those with the largest ``counts`` (items,) are learned from.
    """
    if len(counts) > FIT_ITEMS:
        return _embed_many(documents, counts)
    from sklearn.feature_extraction.text import TfidfVectorizer

    learned = documents(np.arange(len(counts)))
    if not any(learned):
        return None
    u, s, _ = _leading(TfidfVectorizer(analyzer=list).fit_transform(learned))
    return _unit(u * s)


def _embed_many(documents: Documents, counts: Ints) -> Floats32 | None:
    from sklearn.feature_extraction.text import TfidfVectorizer

    frequent = np.sort(np.argsort(-counts, kind="stable")[:FIT_ITEMS])
    tfidf = TfidfVectorizer(analyzer=list, min_df=2, max_features=_VOCABULARY, dtype=np.float32)
    try:
        learned = tfidf.fit_transform(documents(frequent))
    except ValueError:  # its only one for lists of texts: no token remains
        return None
    axes = _leading(learned)[2].T
    out = np.empty((len(counts), axes.shape[1]), np.float32)
    for start in range(0, len(counts), _BATCH):
        rows = np.arange(start, min(start + _BATCH, len(counts)))
        out[rows] = _unit(tfidf.transform(documents(rows)) @ axes)
    return out


def _leading(tfidf: Any) -> Any:
    """The leading left directions, singular values and right directions."""
    from sklearn.utils.extmath import randomized_svd

    return randomized_svd(tfidf, min(GIVEN_DIM, *tfidf.shape), random_state=0)


def _unit(vectors: Any) -> Floats32:
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    filled = length > _ROUNDING
    return np.asarray(np.where(filled, vectors, 0.0) / np.where(filled, length, 1.0), np.float32)


def _split_year(title: str) -> tuple[str, str | None]:
    match = _YEAR.search(title)
    if match is None:
        return title.strip(), None
    return title[: match.start()].strip(), match.group(1)


def _words(text: str) -> list[str]:
    return re.findall(r"\w+", text.lower())
