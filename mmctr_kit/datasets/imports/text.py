"""Vectors of items from their words: latent semantic analysis of titles, tags and descriptions."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from mmctr_kit.data.contract import GIVEN_DIM
from mmctr_kit.data.ragged import Ragged
from mmctr_kit.metrics.ranks import Floats32, Ints

FIT_ITEMS = 100_000
"""The vectors of more items are learned from this many, the most frequent in the log."""
_VOCABULARY = 1 << 16
"""Then the most tokens, those that occur most often, and none that one item alone has: 20 s and
not 52 s for 100,000 titles on two busy cores."""
_BATCH = 1 << 16
_ROUNDING = 1e-6
"""A vector of a document without tokens may be as long; others are up to 1."""
# A year as in "(1995)" or "(1995) (V)", and one that begins a date.
_YEAR_AT_END = r"(?s)^(?P<name>.*?)\s*\((?P<year>\d{4})\)\s*(?:\([A-Z]+\))?\s*$"
_YEAR_AT_START = r"(?s)^\s*(?P<year>\d{4})(?:\D.*)?$"
_NO_WORD = r"[^\p{L}\p{N}_]+"

Tokens = tuple[pa.LargeStringArray, Ints]
"""The tokens of documents, in any order, and the number of each token's document."""
Documents = Callable[[Ints], Tokens]
"""The tokens of the items at these positions; the first is document 0."""


def shown_titles(titles: pa.LargeStringArray, years: pa.LargeStringArray) -> pa.LargeStringArray:
    """Titles with their year as MovieLens writes it, each without blanks around it.

    A year in parentheses at the title's end wins over ``years``, of which the first four digits
    count.

    >>> shown_titles(pa.array(["Seven", "Land (1995) (V)"]), pa.array(["1995-09-22", ""])).tolist()
    ['Seven (1995)', 'Land (1995)']
    """
    parts = pc.extract_regex(titles, _YEAR_AT_END)
    names = pc.coalesce(pc.struct_field(parts, "name"), titles)
    given = pc.struct_field(pc.extract_regex(years, _YEAR_AT_START), "year")
    year = pc.coalesce(pc.struct_field(parts, "year"), given)
    ends = pc.fill_null(_joined(" (", year, ")"), "")
    return pc.utf8_trim_whitespace(_joined(pc.utf8_trim_whitespace(names), ends))


def _joined(*parts: Any) -> pa.LargeStringArray:
    """Texts side by side, each the same for all rows or an array of them; null if one is."""
    kind = pa.large_string()
    return pc.binary_join_element_wise(
        *(pa.scalar(p, kind) if isinstance(p, str) else p for p in parts), pa.scalar("", kind)
    )


def tokens(
    titles: pa.LargeStringArray,
    tags: Ragged[np.int64],
    tag_names: Sequence[str],
    descriptions: pa.LargeStringArray,
) -> Tokens:
    """Words of titles, decades, tags and words of descriptions.

    ``titles`` are as :func:`shown_titles` makes them; tag t is ``tag_names[t - 1]``. The decade,
    and not the year, since an item of a nearby year should not look unrelated.
    """
    parts = pc.extract_regex(titles, _YEAR_AT_END)
    names = pc.coalesce(pc.struct_field(parts, "name"), titles)
    decades = pc.utf8_slice_codeunits(pc.struct_field(parts, "year"), 0, 3)
    dated = pc.is_valid(decades)
    decades = _joined("decade=", decades.filter(dated), "0")
    genres = pa.array([f"genre={name}" for name in tag_names], pa.large_string())
    found = [
        _words(names),
        (decades, np.flatnonzero(dated)),
        (genres.take(pa.array(tags.values - 1)), tags.rows),
        _words(descriptions),
    ]
    return pa.concat_arrays([t for t, _ in found]), np.concatenate([rows for _, rows in found])


def _words(texts: pa.LargeStringArray) -> Tokens:
    lists = pc.split_pattern_regex(pc.utf8_lower(texts), _NO_WORD)
    rows = np.repeat(np.arange(len(texts)), np.asarray(pc.list_value_length(lists)))
    words = pc.list_flatten(lists)
    real = pc.not_equal(words, "")
    return words.filter(real), rows[np.asarray(real)]


def embed(documents: Documents, counts: Ints) -> Floats32 | None:
    """(items, d) float32, d <= 128, or None without a token (of many items: without a common one).

    TF-IDF of the tokens, then the leading d = min(128, items, tokens) singular directions
    (Deerwester et al. 1990), the same for every seed; rows of unit length, zero without a token.
    Of more than FIT_ITEMS items those with the largest ``counts`` (items,) are learned from.
    """
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.utils.extmath import randomized_svd

    n, many = len(counts), len(counts) > FIT_ITEMS
    fit = np.sort(np.argsort(-counts, kind="stable")[:FIT_ITEMS])
    few = {"min_df": 2, "max_features": _VOCABULARY, "dtype": np.float32} if many else {}
    tfidf = TfidfVectorizer(analyzer=list, **few)
    try:
        learned = tfidf.fit_transform(_lists(*documents(fit), len(fit)))
    except ValueError:  # its only one for lists of texts: no token remains
        return None
    width = min(GIVEN_DIM, *learned.shape)
    u, s, directions = randomized_svd(learned, width, random_state=0)
    if not many:
        return _unit(u * s)
    vocabulary = pa.array(tfidf.get_feature_names_out(), pa.large_string())
    axes = tfidf.idf_[:, None].astype(np.float32) * directions.T
    out = np.empty((n, width), np.float32)
    for start in range(0, n, _BATCH):
        part = np.arange(start, min(start + _BATCH, n))
        out[part] = _unit(_counted(*documents(part), len(part), vocabulary) @ axes)
    return out


def _lists(words: pa.LargeStringArray, rows: Ints, n: int) -> list[list[str]]:
    """The tokens of each of ``n`` documents."""
    ends = Ragged.of(rows[:0], np.bincount(rows, minlength=n)).offsets
    by_row = words.take(pa.array(np.argsort(rows, kind="stable")))
    lists: list[list[str]] = pa.LargeListArray.from_arrays(pa.array(ends), by_row).to_pylist()
    return lists


def _counted(
    words: pa.LargeStringArray, rows: Ints, n: int, vocabulary: pa.LargeStringArray
) -> Any:
    """How often each of ``n`` documents has each token, as a sparse matrix."""
    from scipy.sparse import csr_matrix

    columns = pc.index_in(words, vocabulary)
    known = np.asarray(pc.is_valid(columns))
    ones = np.ones(int(known.sum()), np.float32)
    return csr_matrix(
        (ones, (rows[known], np.asarray(columns.drop_null()))), shape=(n, len(vocabulary))
    )


def _unit(vectors: Any) -> Floats32:
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    filled = length > _ROUNDING
    return np.asarray(np.where(filled, vectors, 0.0) / np.where(filled, length, 1.0), np.float32)
