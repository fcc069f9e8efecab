"""Extra training examples: predict an item of a training user's history from the items before it.

A user took every item of the history, so each is a positive for the history that came before it.
Labels are read only to see how the data set samples its negatives, and what a user took later. The
extra examples come from training users alone, so nothing of the predicted fold enters.
"""

import numpy as np

from mmctr_kit.data.contexts import find_sorted, longest_histories, new_positives
from mmctr_kit.data.contract import PAD
from mmctr_kit.data.dataset import ChallengeData, Examples
from mmctr_kit.data.ragged import expand_ranges
from mmctr_kit.items.features import Levels
from mmctr_kit.metrics.ranks import Ints, Ints32
from mmctr_kit.recipe import Augmentation

_ATTEMPTS = 20


def next_item_examples(
    data: ChallengeData,
    rows: Ints,
    options: Augmentation,
    max_history: int,
    levels: Levels,
    seed: int,
) -> Examples:
    """Examples of the users of these train rows: groups of one positive and its negatives.

    The positives are up to ``per_user`` positions of each user's longest history that have
    ``min_history`` positions before them. A negative is neither the target nor in that history, and
    no target of the user with label 1.
    The likes and views levels are those of the items.
    """
    random = np.random.default_rng(seed)
    user, begin, end = longest_histories(data, rows)
    owner, position = _draw_positions(begin, end, options, random)
    target = data.histories.values[position].astype(np.int64)
    drawn = _negatives(data, rows, owner, (user, begin, end), options, random)
    item = np.concatenate([target[:, None], drawn], axis=1).ravel()
    group = np.repeat(np.arange(len(position)), 1 + options.negatives)
    label = np.zeros((len(position), 1 + options.negatives), np.int8)
    label[:, 0] = 1
    real = item != PAD
    item, group, label = item[real], group[real], label.ravel()[real]
    likes, views = levels
    return Examples(
        user_id=user[owner][group],
        item_id=item.astype(np.int32),
        likes_level=likes[item].astype(np.int8),
        views_level=views[item].astype(np.int8),
        begin=np.maximum(begin[owner][group], position[group] - max_history),
        end=position[group],
        label=label,
    )


def _draw_positions(
    begin: Ints, end: Ints, options: Augmentation, random: np.random.Generator
) -> tuple[Ints, Ints]:
    """The owner, an index of ``begin``, and the history position of each positive, both (n,)."""
    first = begin + options.min_history
    position, owner = expand_ranges(first, np.maximum(end - first, 0))
    order = np.lexsort((random.random(len(owner)), owner))
    rank = position - first[owner]  # 0, 1, ... within each user, in that order too
    chosen = np.sort(order[rank < options.per_user])
    return owner[chosen], position[chosen]


def _negatives(
    data: ChallengeData,
    rows: Ints,
    owner: Ints,
    longest: tuple[Ints, Ints, Ints],
    options: Augmentation,
    random: np.random.Generator,
) -> Ints:
    """Items (n, negatives) that the owner did not take; 0 if several draws gave none."""
    _, begin, end = longest
    size = data.n_items + 1
    position, user = expand_ranges(begin, end - begin)
    held = data.histories.values[position]
    after, positive = new_positives(data, rows, longest)
    taken = np.unique(np.concatenate([user * size + held, after * size + positive]))
    pool = _pool(data, rows, held, options)
    user = np.repeat(owner, options.negatives)
    negatives = np.zeros(len(user), np.int64)
    missing = np.arange(len(user))
    for _ in range(_ATTEMPTS):
        drawn = pool[random.integers(0, len(pool), len(missing))]
        free = find_sorted(taken, user[missing] * size + drawn) < 0
        negatives[missing[free]] = drawn[free]
        missing = missing[~free]
        if not len(missing):
            break
    return negatives.reshape(len(owner), options.negatives)


def _pool(data: ChallengeData, rows: Ints, held: Ints32, options: Augmentation) -> Ints:
    """Items to draw negatives from, with repeats; ``held`` are all items of the histories."""
    if options.sampling == "uniform":
        return np.arange(1, data.n_items + 1)
    negative = rows[data.train.labels()[rows] == 0]
    items = held if options.sampling == "histories" else data.train.item_id[negative]
    return np.asarray(items, np.int64)
