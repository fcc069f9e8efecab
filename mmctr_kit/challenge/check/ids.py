"""Checks on the ids of the item files: each item once, none left out, in order.

An item that item_info lacks is one fault, however many rows and files speak of it. So items are
numbered up to the highest id, holes included, and what refers to a hole is not told again.
"""

from collections.abc import Iterator, Mapping

import numpy as np
from numpy.typing import NDArray

from mmctr_kit.challenge.check.items import ItemFile
from mmctr_kit.challenge.contract import PAD
from mmctr_kit.challenge.hash import distinct
from mmctr_kit.findings import Finding, Level, count

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
            f"{name}: {count(len(again), 'item id occurs', 'item ids occur')} more than once, the "
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
            f"{name}: {count(len(there), 'item id')} from {there[0]} to {there[-1]}; "
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
