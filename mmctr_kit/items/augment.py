"""Extra training examples from training users' own histories: a later item from those before it.

A user took every item of the history, so each is a positive for the history that came before it.
No label is read but to see how the data set samples its negatives. What the extra examples say is
of training users alone, so nothing of the predicted fold enters.
"""

import numpy as np
from numpy.typing import NDArray

from mmctr_kit.data.contract import PAD
from mmctr_kit.data.dataset import ChallengeData, Examples
from mmctr_kit.data.ragged import expand_ranges
from mmctr_kit.items.features import Levels
from mmctr_kit.items.similarity.contexts import longest_histories
from mmctr_kit.recipe import Augmentation

_ATTEMPTS = 20


def next_item_examples(
    data: ChallengeData,
    rows: NDArray[np.int64],
    options: Augmentation,
    max_history: int,
    levels: Levels,
    seed: int,
) -> Examples:
    """Examples of the users of these train rows: groups of one positive and its negatives.

    Of each user's longest history, ``per_user`` places (or as many as there are) that have
    ``min_history`` places before them. A negative is neither the target nor in that history. The
    likes and views levels are those of the items.
    """
    random = np.random.default_rng(seed)
    user, begin, end = longest_histories(data, rows)
    owner, place = _places(begin, end, options, random)
    target = data.histories.values[place].astype(np.int64)
    drawn = _negatives(data, rows, owner, (begin, end), options, random)
    item = np.concatenate([target[:, None], drawn], axis=1).ravel()
    group = np.repeat(np.arange(len(place)), 1 + options.negatives)
    label = np.zeros((len(place), 1 + options.negatives), np.int8)
    label[:, 0] = 1
    kept = item != PAD
    item, group, label = item[kept], group[kept], label.ravel()[kept]
    likes, views = levels
    return Examples(
        user_id=user[owner][group],
        item_id=item.astype(np.int32),
        likes_level=likes[item].astype(np.int8),
        views_level=views[item].astype(np.int8),
        begin=np.maximum(begin[owner][group], place[group] - max_history),
        end=place[group],
        label=label,
    )


def _places(
    begin: NDArray[np.int64],
    end: NDArray[np.int64],
    options: Augmentation,
    random: np.random.Generator,
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """(n,) users' positions and the places drawn from their spans, without replacement."""
    first = begin + options.min_history
    count = np.maximum(end - first, 0)
    place, owner = expand_ranges(first, count)
    order = np.lexsort((random.random(len(owner)), owner))
    rank = place - first[owner]  # 0, 1, ... within each user, as it is in that order
    kept = np.sort(order[rank < options.per_user])
    return owner[kept], place[kept]


def _negatives(
    data: ChallengeData,
    rows: NDArray[np.int64],
    owner: NDArray[np.int64],
    spans: tuple[NDArray[np.int64], NDArray[np.int64]],
    options: Augmentation,
    random: np.random.Generator,
) -> NDArray[np.int64]:
    """(n, negatives) items that are not in the owner's span; 0 where none was found."""
    begin, end = spans
    size = data.n_items + 1
    place, held_by = expand_ranges(begin, end - begin)
    held = np.unique(held_by * size + data.histories.values[place])
    pool = _pool(data, rows, begin, end, options)
    wanted = np.repeat(owner, options.negatives)
    found = np.zeros(len(wanted), np.int64)
    open_ = np.arange(len(wanted))
    for _ in range(_ATTEMPTS):
        drawn = pool[random.integers(0, len(pool), len(open_))]
        keys = wanted[open_] * size + drawn
        at = np.minimum(np.searchsorted(held, keys), len(held) - 1)
        free = held[at] != keys
        found[open_[free]] = drawn[free]
        open_ = open_[~free]
        if not len(open_):
            break
    return found.reshape(len(owner), options.negatives)


def _pool(
    data: ChallengeData,
    rows: NDArray[np.int64],
    begin: NDArray[np.int64],
    end: NDArray[np.int64],
    options: Augmentation,
) -> NDArray[np.int64]:
    """The items to draw negatives from, each as often as it is to be drawn."""
    if options.sampling == "uniform":
        return np.arange(1, data.n_items + 1)
    if options.sampling == "histories":
        place, _ = expand_ranges(begin, end - begin)
        taken: NDArray[np.int64] = data.histories.values[place].astype(np.int64)
        return taken
    negative = rows[data.train.labels()[rows] == 0]
    shown: NDArray[np.int64] = data.train.item_id[negative].astype(np.int64)
    return shown
