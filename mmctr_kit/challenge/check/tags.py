"""Are item_info's tags those of the same items in item_feature? Compared by item id, as lists.

Only lists that can't have been cut, and of two tags or more, count: a single tag would be found at
another item by chance. Where item_info numbers the tags otherwise, nothing can be said.
"""

from collections.abc import Iterator, Mapping

import numpy as np
from numpy.typing import NDArray

from mmctr_kit.challenge.check.items import ItemFile
from mmctr_kit.challenge.contract import PAD
from mmctr_kit.challenge.hash import sequence_keys
from mmctr_kit.challenge.read import Ragged
from mmctr_kit.findings import Finding, Level

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
