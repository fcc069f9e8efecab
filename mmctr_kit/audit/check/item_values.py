"""Checks on what the item files hold: ids, vectors, and tags compared between two files.

An item that item_info lacks is one fault, however many rows and files refer to it. So items are
numbered up to the highest id, gaps included, and a reference to a gap is not reported again.
"""

from collections import Counter
from collections.abc import Mapping

import numpy as np

from mmctr_kit.audit.check.item_files import ItemFile, Vectors
from mmctr_kit.audit.findings import Log
from mmctr_kit.data.contract import PAD
from mmctr_kit.data.hashing import among, distinct, sequence_keys
from mmctr_kit.data.load import MAX_SQUARED
from mmctr_kit.data.ragged import Ragged
from mmctr_kit.errors import plural
from mmctr_kit.metrics.ranks import Ints, Uints

NAMED = 5
"""Number of missing items that a message names."""
DUPLICATES = 0.01
"""Share of the items from which repeated vectors are worth a warning."""
SAME_LISTS = 0.95
"""Share of the lists of tags, counted as often as they occur, that two equal files must share."""
BY_ID = 0.5
"""Below this share of items with equal lists in both files, lists are assigned wrongly."""
CHANCE = 0.1
"""From this share of equal lists in random order, lists are too alike to compare."""
MIN_LISTS = 100
_SOURCES = {"item_emb_d128_v1": "txt_emb_BERT", "item_emb_d128_v2": "img_emb_CLIPRN50"}
_MADE_OF = dict.fromkeys(("txt_emb_BERT", "item_emb_d128_v1"), "text")
_MADE_OF |= dict.fromkeys(("img_emb_CLIPRN50", "item_emb_d128_v2"), "image that opens")
_OF_BOTH = "text or image"
_ITEM_HOLDS = ("item holds", "items hold")


def count_items(items: Mapping[str, ItemFile]) -> int | None:
    """The highest item id, which is the number of items; None if item_info's ids are not known.

    It is item_info's own, gaps included, unless the other two files both hold the items 1..n of a
    higher n: then item_info lacks its last items. If over half of the ids would be gaps, the
    number of ids is taken instead.
    """
    info = items["item_info"].item_id
    if info is None:
        return None
    highest = _highest(info)
    others = [f.item_id for name, f in items.items() if name != "item_info"]
    tops = {
        0 if ids is None or len(_missing(ids, _highest(ids))) else _highest(ids) for ids in others
    }
    agreed = tops.pop() if len(tops) == 1 else highest
    return agreed if highest < agreed <= 2 * highest else highest


def incomplete_files(items: Mapping[str, ItemFile]) -> set[str]:
    """The files whose ids leave items out."""
    known = {n: f.item_id for n, f in items.items() if f.item_id is not None}
    return {name for name, ids in known.items() if len(_missing(ids, _last(name, ids, items)))}


def check_item_ids(items: Mapping[str, ItemFile], log: Log) -> None:
    """Each item once in each file, none left out, in order."""
    known = {n: f.item_id for n, f in items.items() if f.item_id is not None}
    for name, ids in known.items():
        distinct_ids, copies = np.unique(ids, return_counts=True)
        repeated = distinct_ids[copies > 1]
        if len(repeated):
            number = plural(len(repeated), "item id occurs", "item ids occur")
            what = f"{name}: {number} more than once, the first is {repeated[0]}"
            log.fail("item-ids-unique", what, "keep one row for each item")
        _check_complete(name, distinct_ids, items, log)
        falls = np.flatnonzero(ids[1:] < ids[:-1])
        if len(falls):
            what = f"{name}: not sorted by item_id, first at row {falls[0] + 1:,}"
            todo = "sort the file by item_id: other people's code assigns vectors by position"
            log.fail("item-ids-sorted", what, todo)
    if names := ", ".join(known):
        log.passed("item-ids-unique", f"{names}: each item id once")
        log.passed("item-ids-complete", f"{names}: no item id left out")
        log.passed("item-ids-sorted", f"{names}: sorted by item id")


def _check_complete(name: str, ids: Ints, items: Mapping[str, ItemFile], log: Log) -> None:
    # Without its padding row item_info counts from 1 like the others; padding-row says so.
    first = PAD if name == "item_info" and items[name].has_padding_row else 1
    last = _last(name, ids, items)
    missing = _missing(ids, last)
    if ids[0] < first or ids[-1] > last:
        what = (
            f"{name}: {plural(len(ids), 'item id')} from {ids[0]} to {ids[-1]}; expected every id "
            f"from {first} to {first + len(ids) - 1}"
        )
        todo = "row 0 of item_info is the padding item; all files number the items from 1"
        log.fail("item-ids-complete", what, todo)
    elif len(missing):
        named = ", ".join(str(item) for item in missing[:NAMED])
        which = f"item {named}" if len(missing) == 1 else f"{len(missing):,} items: {named}"
        more = ", ..." if len(missing) > NAMED else ""
        todo = (
            "download it again, or add what is missing: all files number the items 1..n, and rows "
            "may refer to any of them"
        )
        log.fail("item-ids-complete", f"{name} lacks {which}{more} (of 1..{last:,})", todo)


def _last(name: str, ids: Ints, items: Mapping[str, ItemFile]) -> int:
    """The highest id that the file should hold."""
    n_items = count_items(items) if name == "item_info" else None
    return _highest(ids) if n_items is None else n_items


def _missing(ids: Ints, last: int) -> Ints:
    """The ids of 1..last, ascending, that are missing."""
    return np.setdiff1d(np.arange(1, last + 1), ids)


def _highest(ids: Ints) -> int:
    real = distinct(ids[ids > PAD])
    top = int(real[-1]) if len(real) else 0
    return top if top <= 2 * len(real) else len(real)


def check_embeddings(items: Mapping[str, ItemFile], log: Log) -> None:
    """NaN, zero and repeated vectors of every embedding column that can be read."""
    columns = [(n, c, v) for n, f in items.items() for c, v in f.vectors.items()]
    for name, column, vectors in columns:
        if len(vectors.item_id):
            where = f"{name}: {column}"
            _check_finite(where, vectors, log)
            # Without any other vector item_info's could not be made: such data have none.
            _check_zero(where, name == "item_info" and len(columns) > 1, vectors, log)
            # Vectors that are all zeros do not count, nor do those made of such ones.
            counted = ~vectors.zero & ~among(vectors.item_id, _without_source(column, items))
            keys = vectors.keys[counted]
            repeated = len(keys) - len(distinct(keys))
            if repeated > DUPLICATES * len(keys):
                copies = f"{plural(repeated, 'copy', 'copies')} of another item's vector"
                what = f"{where}: {copies} ({repeated / len(keys):.2%})"
                todo = "was one input encoded for many items?"
                few = 2 * repeated < len(keys)  # items of a log may well have equal texts
                log.warn("embeddings-duplicate", what, todo, challenge=few)
    if columns:
        number = plural(len(columns), "embedding")
        log.passed("embeddings-finite", f"all values finite, in {number}")
        log.passed("embeddings-zero", f"no item's vector is all zeros, in {number}")
        log.passed("embeddings-duplicate", f"hardly any two items share a vector, in {number}")


def _check_finite(where: str, vectors: Vectors, log: Log) -> None:
    if broken := int(vectors.broken.sum()):
        first = vectors.item_id[vectors.broken][0]
        what = f"{where}: {plural(broken, *_ITEM_HOLDS)} NaN or infinity, the first is item {first}"
        todo = "encode these items again; one such value spoils a whole training"
        log.fail("embeddings-finite", what, todo)
    far = np.flatnonzero(vectors.far)
    if not len(far):
        return
    row = far[np.argmax(vectors.largest[far])]
    what = (
        f"{where}: {plural(len(far), *_ITEM_HOLDS)} too large a value: item {vectors.item_id[row]} "
        f"one of {vectors.largest[row]:.3g}; usually a vector's largest is {vectors.usual:.3g}"
    )
    todo = "encode these items again: "
    if vectors.largest[row] > MAX_SQUARED:
        todo += "training squares such a value beyond float32"
        log.fail("embeddings-finite", what, todo)
    else:
        log.warn("embeddings-finite", what, f"{todo}it drowns the others")


def _check_zero(where: str, needed: bool, vectors: Vectors, log: Log) -> None:
    n, zero = len(vectors.item_id), int(vectors.zero.sum())
    if zero == n and not needed:
        what = f"{where}: zero for every item, so it carries nothing"
        todo = "leave it out of recipes (items.embedding none or factors), or download it again"
        log.warn("embeddings-zero", what, todo, challenge=True)
    elif zero:
        what = f"{where}: {plural(zero, 'item')} ({zero / n:.2%}) with an all-zero vector"
        lacks = next((of for column, of in _MADE_OF.items() if where.endswith(column)), _OF_BOTH)
        todo = f"these items may have no {lacks}, or the encoder failed on them"
        report = log.fail if zero > n / 2 else log.warn
        report("embeddings-zero", what, todo)


def _without_source(column: str, items: Mapping[str, ItemFile]) -> Ints:
    """Ids, ascending, of the items whose text (for v1) or image (for v2) is all zeros.

    Their PCA is one and the same vector, which embeddings-zero has reported already.
    """
    wide = items["item_feature"].vectors
    if column not in _SOURCES or _SOURCES[column] not in wide:
        return np.zeros(0, np.int64)
    source = wide[_SOURCES[column]]
    return np.sort(source.item_id[source.zero])


def check_tag_alignment(items: Mapping[str, ItemFile], log: Log) -> None:
    """FAIL if item_info and item_feature hold the same lists of tags, but for other items."""
    info, feature = items["item_info"], items["item_feature"]
    if info.tags is None or info.item_id is None:
        return
    if feature.tags is None or feature.item_id is None:
        return
    width = int(info.tags.lengths.max(initial=0))
    _, at_info, at_feature = np.intersect1d(info.item_id, feature.item_id, return_indices=True)
    ours = _list_keys(info.tags)[0][at_info]
    theirs, counts = _list_keys(feature.tags)
    theirs, counts = theirs[at_feature], counts[at_feature]
    whole = np.flatnonzero((counts >= 2) & (counts <= width))
    if len(whole) < MIN_LISTS:
        return
    same = float((ours[whole] == theirs[whole]).mean())
    shuffled = theirs[np.random.default_rng(0).permutation(whole)]
    chance = float((theirs[whole] == shuffled).mean())
    shared = (Counter(theirs[whole].tolist()) & Counter(ours.tolist())).total() / len(whole)
    if same < BY_ID and chance < CHANCE and shared >= SAME_LISTS:
        what = (
            f"item_info's tags are item_feature's for {same:.1%} of the items by id; the other "
            "lists belong to other items"
        )
        todo = "a file that you wrote yourself must hold tags by item_id, not by position"
        log.fail("item-info-alignment", what, todo)


def _list_keys(tags: Ragged[np.int64]) -> tuple[Uints, Ints]:
    """(rows,) each: a key that is equal for equal sets of tags, and how many tags there are."""
    real = tags.values != PAD
    row, values = tags.rows[real], tags.values[real]
    counts = np.bincount(row, minlength=len(tags))
    return sequence_keys(values[np.lexsort((values, row))], counts), counts
