"""Checks on the ids of the item files: each item once, none left out, in order.

An item that item_info lacks is one fault, however many rows and files speak of it. So items are
numbered up to the highest id, holes included, and what refers to a hole is not told again.
"""

from collections.abc import Iterator, Mapping

import numpy as np
from numpy.typing import NDArray

from mmctr_kit.audit.check.item_files import ItemFile, Vectors
from mmctr_kit.audit.findings import Finding, Level
from mmctr_kit.data.contract import PAD
from mmctr_kit.data.hashing import among, distinct, sequence_keys
from mmctr_kit.data.load import MAX_SQUARED
from mmctr_kit.data.parquet import Ragged
from mmctr_kit.errors import plural

NAMED = 5
"""Missing items that are named."""

Ids = NDArray[np.int64]


def count_items(items: Mapping[str, ItemFile]) -> int | None:
    """The highest item id, which is the number of items; None where item_info's ids do not tell.

    It is item_info's own, holes included, unless the other two files both hold the items 1..n of a
    higher one: then item_info lacks its last items. Ids of which over half would be holes number
    nothing: of those their count is taken.
    """
    info = items["item_info"].item_id
    if info is None:
        return None
    own = _highest(info)
    others = [f.item_id for name, f in items.items() if name != "item_info"]
    tops = {
        0 if ids is None or len(_missing(ids, _highest(ids))) else _highest(ids) for ids in others
    }
    agreed = tops.pop() if len(tops) == 1 else own
    return agreed if own < agreed <= 2 * own else own


def incomplete(items: Mapping[str, ItemFile]) -> set[str]:
    """The files whose ids leave items out."""
    known = {n: f.item_id for n, f in items.items() if f.item_id is not None}
    return {name for name, ids in known.items() if len(_missing(ids, _last(name, ids, items)))}


def id_findings(items: Mapping[str, ItemFile]) -> Iterator[Finding]:
    """What the ids of the item files tell."""
    known = {n: f.item_id for n, f in items.items() if f.item_id is not None}
    found = [f for name, ids in known.items() for f in _ids_of(name, ids, items)]
    yield from found
    for check, what in (
        ("item-ids-unique", "each item id once"),
        ("item-ids-complete", "no item id left out"),
        ("item-ids-sorted", "sorted by item id"),
    ):
        if known and check not in {f.id for f in found}:
            yield Finding(check, Level.PASS, f"{', '.join(known)}: {what}", "")


def _ids_of(name: str, ids: Ids, items: Mapping[str, ItemFile]) -> Iterator[Finding]:
    there, copies = np.unique(ids, return_counts=True)
    if (copies > 1).any():
        again = there[copies > 1]
        yield Finding(
            "item-ids-unique",
            Level.FAIL,
            f"{name}: {plural(len(again), 'item id occurs', 'item ids occur')} more than once, the "
            f"first is {again[0]}",
            "keep one row for each item",
        )
    yield from _complete(name, there, items)
    descents = np.flatnonzero(ids[1:] < ids[:-1])
    if len(descents):
        yield Finding(
            "item-ids-sorted",
            Level.FAIL,
            f"{name}: not sorted by item_id, first at row {descents[0] + 1:,}",
            "sort the file by item_id: other people's code assigns vectors by place",
        )


def _complete(name: str, there: Ids, items: Mapping[str, ItemFile]) -> Iterator[Finding]:
    # Without its padding row item_info counts from 1 like the others; padding-row says so.
    first = PAD if name == "item_info" and items[name].has_padding_row else 1
    last = _last(name, there, items)
    missing = _missing(there, last)
    if there[0] < first or there[-1] > last:
        yield Finding(
            "item-ids-complete",
            Level.FAIL,
            f"{name}: {plural(len(there), 'item id')} from {there[0]} to {there[-1]}; "
            f"expected every id from {first} to {first + len(there) - 1}",
            "row 0 of item_info is the padding item; all files number the items from 1",
        )
    elif len(missing):
        named = ", ".join(str(item) for item in missing[:NAMED])
        which = f"item {named}" if len(missing) == 1 else f"{len(missing):,} items: {named}"
        yield Finding(
            "item-ids-complete",
            Level.FAIL,
            f"{name} lacks {which}{', ...' if len(missing) > NAMED else ''} (of 1..{last:,})",
            "download it again, or add what is missing: all files number the items 1..n, and "
            "rows may speak of any",
        )


def _last(name: str, ids: Ids, items: Mapping[str, ItemFile]) -> int:
    """The highest id that the file should hold."""
    every = count_items(items) if name == "item_info" else None
    return _highest(ids) if every is None else every


def _missing(ids: Ids, last: int) -> Ids:
    """The ids of 1..last, ascending, that are not there."""
    there = np.zeros(last + 1, np.bool_)
    there[ids[(ids > PAD) & (ids <= last)]] = True
    return np.flatnonzero(~there[1:]) + 1


def _highest(ids: Ids) -> int:
    real = distinct(ids[ids > PAD])
    top = int(real[-1]) if len(real) else 0
    return top if top <= 2 * len(real) else len(real)


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
            yield Finding(check, Level.PASS, f"{what}, in {plural(len(columns), 'embedding')}", "")


def _whole(where: str, needed: bool, vectors: Vectors) -> Iterator[Finding]:
    n = len(vectors.item_id)
    if broken := int(vectors.broken.sum()):
        yield Finding(
            "embeddings-finite",
            Level.FAIL,
            f"{where}: {plural(broken, 'item holds', 'items hold')} NaN or infinity, the first is "
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
            f"{where}: {plural(zero, 'item')} ({zero / n:.2%}) with an all-zero vector",
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
        f"{where}: {plural(len(far), 'item holds', 'items hold')} too large a value: item "
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
            f"{where}: {plural(repeated, 'copy', 'copies')} of another item's vector "
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


SAME_LISTS = 0.95
"""Share of the lists, each counted as often as it occurs, from which both files hold the same."""
BY_ID = 0.5
"""Share of items with the same list in both below which they are assigned wrongly."""
CHANCE = 0.1
"""Share of items that agree in random order from which lists are too alike to tell."""
MIN_ITEMS = 100


def tag_findings(items: Mapping[str, ItemFile]) -> Iterator[Finding]:
    """A FAIL where both files hold the same lists of tags, but for other items."""
    info, feature = items["item_info"], items["item_feature"]
    if info.tags is None or info.item_id is None:
        return
    if feature.tags is None or feature.item_id is None:
        return
    width = int(info.tags.lengths.max(initial=0))
    _, at_info, at_feature = np.intersect1d(info.item_id, feature.item_id, return_indices=True)
    ours = _keys(info.tags)[0][at_info]
    theirs, counts = _keys(feature.tags)
    theirs, counts = theirs[at_feature], counts[at_feature]
    whole = np.flatnonzero((counts >= 2) & (counts <= width))
    if len(whole) < MIN_ITEMS:
        return
    same = _share(ours[whole] == theirs[whole])
    chance = _share(theirs[whole] == theirs[np.random.default_rng(0).permutation(whole)])
    if same < BY_ID and chance < CHANCE and _overlap(theirs[whole], ours) >= SAME_LISTS:
        yield Finding(
            "item-info-alignment",
            Level.FAIL,
            f"item_info's tags are item_feature's for {same:.1%} of the items by id; the other "
            "lists stand at other items",
            "a file you wrote yourself must hold tags by item_id, not by their place in a file",
        )


def _keys(tags: Ragged) -> tuple[NDArray[np.uint64], NDArray[np.int64]]:
    """(rows,) each: a key equal for equal sets of tags, and their number."""
    values = np.asarray(tags.values, np.int64)
    row = np.repeat(np.arange(len(tags)), tags.lengths)[values != PAD]
    values = values[values != PAD]
    counts = np.bincount(row, minlength=len(tags))
    return sequence_keys(values[np.lexsort((values, row))], counts), counts


def _share(hits: NDArray[np.bool_]) -> float:
    return float(hits.mean())


def _overlap(these: NDArray[np.uint64], among: NDArray[np.uint64]) -> float:
    """The share of ``these`` that ``among`` holds, each as often as it occurs."""
    wanted, needed = np.unique(these, return_counts=True)
    there, counts = np.unique(among, return_counts=True)
    place = np.minimum(np.searchsorted(there, wanted), len(there) - 1)
    found = np.where(there[place] == wanted, counts[place], 0)
    return float(np.minimum(needed, found).sum() / needed.sum())
