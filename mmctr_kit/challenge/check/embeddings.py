"""Checks on each embedding column by itself: finite, not zero, not one vector for many items."""

from collections.abc import Iterator, Mapping

import numpy as np
from numpy.typing import NDArray

from mmctr_kit.challenge.check.items import ItemFile, Vectors
from mmctr_kit.challenge.hash import among, distinct
from mmctr_kit.challenge.load import MAX_SQUARED
from mmctr_kit.findings import Finding, Level, count

_SOURCES = {"item_emb_d128_v1": "txt_emb_BERT", "item_emb_d128_v2": "img_emb_CLIPRN50"}


def embedding_findings(items: Mapping[str, ItemFile]) -> Iterator[Finding]:
    """NaN, zero and repeated vectors of every embedding column that can be read."""
    columns = [(n, c, v) for n, f in items.items() for c, v in f.vectors.items()]
    if not columns:
        return
    found = [
        finding
        for name, column, vectors in columns
        if len(vectors.item_id)
        for finding in (
            *_whole(f"{name}: {column}", name == "item_info", vectors),
            *_repeats(f"{name}: {column}", vectors, _without_source(column, items)),
        )
    ]
    yield from found
    for check, what in (
        ("embeddings-finite", "all values finite"),
        ("embeddings-zero", "no item's vector is all zeros"),
        ("embeddings-duplicate", "hardly any two items share a vector"),
    ):
        if check not in {f.id for f in found}:
            yield Finding(check, Level.PASS, f"{what}, in {count(len(columns), 'embedding')}", "")


def _whole(where: str, needed: bool, vectors: Vectors) -> Iterator[Finding]:
    n = len(vectors.item_id)
    if broken := int(vectors.broken.sum()):
        yield Finding(
            "embeddings-finite",
            Level.FAIL,
            f"{where}: {count(broken, 'item holds', 'items hold')} NaN or infinity, the first is "
            f"item {vectors.item_id[vectors.broken][0]}",
            "encode these items again; one such value spoils a whole training",
        )
    yield from _far(where, vectors)
    zero = int(vectors.zero.sum())
    if zero == n and not needed:
        yield Finding(
            "embeddings-zero",
            Level.WARN,
            f"{where}: zero for every item, so it carries nothing",
            "leave it out of recipes, or download it again",
        )
    elif zero:
        yield Finding(
            "embeddings-zero",
            Level.FAIL if zero > n / 2 else Level.WARN,
            f"{where}: {count(zero, 'item')} ({zero / n:.2%}) with an all-zero vector",
            "look whether the encoder failed on them, as on an image that did not open",
        )


def _far(where: str, vectors: Vectors) -> Iterator[Finding]:
    far = np.flatnonzero(vectors.far)
    if not len(far):
        return
    first = far[np.argmax(vectors.largest[far])]
    overflows = bool(vectors.largest[first] > MAX_SQUARED)
    yield Finding(
        "embeddings-finite",
        Level.FAIL if overflows else Level.WARN,
        f"{where}: {count(len(far), 'item holds', 'items hold')} too large a value: item "
        f"{vectors.item_id[first]} one of {vectors.largest[first]:.3g}, where {vectors.usual:.3g} "
        "is usual for the largest of a vector",
        "encode these items again: "
        + ("training squares such a value beyond float32" if overflows else "it drowns the others"),
    )


def _repeats(where: str, vectors: Vectors, expected: NDArray[np.int64]) -> Iterator[Finding]:
    """Items that share a vector, those of the ids ``expected`` (and all zeros) left out."""
    counted = ~vectors.zero & ~among(vectors.item_id, expected)
    keys = vectors.keys[counted]
    repeated = len(keys) - len(distinct(keys))
    if repeated > 0.01 * len(keys):
        yield Finding(
            "embeddings-duplicate",
            Level.WARN,
            f"{where}: {count(repeated, 'copy', 'copies')} of another item's vector "
            f"({repeated / len(keys):.2%})",
            "look whether one input was encoded for many items",
        )


def _without_source(column: str, items: Mapping[str, ItemFile]) -> NDArray[np.int64]:
    """Ids, ascending, of the items whose text (for v1) or image (for v2) is all zeros.

    Their PCA is one and the same vector, which embeddings-zero has told already.
    """
    wide = items["item_feature"].vectors
    if column not in _SOURCES or _SOURCES[column] not in wide:
        return np.zeros(0, np.int64)
    source = wide[_SOURCES[column]]
    return np.sort(source.item_id[source.zero])
