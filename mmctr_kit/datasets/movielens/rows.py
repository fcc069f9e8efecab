"""Turns ratings into the challenge's rows: one history a user, and negatives for each positive.

Nothing but its history and its item may predict a row's label:

- A user's history ends before the user's first target, so it never holds a positive of the user's
  other rows, and all rows of a user share it.
- Every user has the same share of positives, so user id, history length and anything else that has
  one value a user have an AUC of exactly 0.5.
- A sampled negative was rated by somebody before the user's last rating: with films of later years
  among the negatives, a title's decade alone would predict labels.
- Levels count no rating that is a row's target.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from mmctr_kit.data.contract import MAX_HISTORY, N_LEVELS, PAD, SPLITS, Split
from mmctr_kit.data.folds import user_hash
from mmctr_kit.data.ragged import Ragged
from mmctr_kit.datasets.movielens.read import Ratings
from mmctr_kit.metrics.ranks import Floats, Ints

POSITIVE_FROM = 4.0
NEGATIVE_TO = 3.0
"""Ratings between the two (3.5 in data with half stars) are neither; they still count as views."""
MIN_HISTORY = 3
TARGET_SHARE, MAX_TARGETS = 0.4, 40
"""The last part of a user's positives that become targets, and the most of them."""
NEGATIVES_PER_POSITIVE = 3
LOW_SHARE = 0.5
"""At most this part of the negatives are the user's own later low ratings, the rest unrated."""
POPULARITY_POWER = 0.75
"""Negatives are drawn by (number of ratings) ** 0.75, as in word2vec (Mikolov et al. 2013)."""
_HELD_OUT_SHARE = 0.1
_SPLIT_KEY = 0x5B_117
_ORDER_KEY = 0x0_DE2


@dataclass(frozen=True)
class UserRows:
    """The history and the rows of one user.

    ``history`` (<= 64,) int64 item ids, the most recent last; ``items`` and ``labels`` (rows,)
    int64, in no order that means anything; ``used`` (<= rows,) the positions of target ratings.
    """

    user: int
    history: Ints
    items: Ints
    labels: Ints
    used: Ints


@dataclass(frozen=True)
class SplitRows:
    """The rows of one split, shuffled.

    ``user``, ``item``, ``label`` (rows,) int64; ``user_index`` (rows,) int64, the row of
    ``histories`` (users, 64) int64, left-padded with 0, that is the row's.
    """

    user: Ints
    item: Ints
    label: Ints
    user_index: Ints
    histories: Ints


def user_rows(ratings: Ratings, seed: int) -> Iterator[UserRows]:
    """Every user who has at least 3 positives of history, a target and negatives for it.

    The order in time is by timestamp and, if a user rated several items in the same second,
    by a hash: by item id, a history's last id would say which of the tied items came later.
    """
    key = user_hash(ratings.user, seed ^ _ORDER_KEY) ^ ratings.item.astype(np.uint64)
    tie = user_hash(key.astype(np.int64), seed)
    order = np.lexsort((tie, ratings.time, ratings.user))
    popularity = np.bincount(ratings.item, minlength=ratings.n_items + 1)
    weight = popularity.astype(np.float64) ** POPULARITY_POWER
    first_rated = np.full(ratings.n_items + 1, np.inf)
    np.minimum.at(first_rated, ratings.item, ratings.time)
    starts = np.flatnonzero(np.diff(ratings.user[order], prepend=-1))
    for mine in np.split(order, starts[1:]):
        user = int(ratings.user[mine[0]])
        available = first_rated <= ratings.time[mine[-1]]
        available[ratings.item[mine]] = False
        rng = np.random.default_rng((seed, user))
        rows = _one_user(ratings, mine, np.flatnonzero(available), weight, rng)
        if rows is not None:
            yield rows


def _one_user(
    ratings: Ratings, mine: Ints, unrated: Ints, weight: Floats, rng: np.random.Generator
) -> UserRows | None:
    """``mine``: positions of the user's ratings, by time; ``unrated``: items for negatives."""
    value = ratings.value[mine]
    positive = np.flatnonzero(value >= POSITIVE_FROM)
    wanted = min(max(1, int(len(positive) * TARGET_SHARE)), MAX_TARGETS)
    n_targets = min(wanted, len(positive) - MIN_HISTORY)
    if n_targets < 1:
        return None
    past, targets = positive[:-n_targets], positive[-n_targets:]
    low = np.flatnonzero(value <= NEGATIVE_TO)
    low = low[low > past[-1]]
    n_targets, n_low = _affordable(n_targets, len(low), len(unrated))
    if n_targets < 1:
        return None
    low = rng.choice(low, n_low, replace=False)
    n_drawn = n_targets * NEGATIVES_PER_POSITIVE - n_low
    drawn = _weighted_draw(unrated, weight[unrated], n_drawn, rng)
    used = mine[np.concatenate([targets[:n_targets], low])]
    items = np.concatenate([ratings.item[used], drawn])
    labels = (np.arange(len(items)) < n_targets).astype(np.int64)
    history = ratings.item[mine[past[-MAX_HISTORY:]]]
    return UserRows(int(ratings.user[mine[0]]), history, items, labels, used)


def _affordable(n_targets: int, n_low: int, n_unrated: int) -> tuple[int, int]:
    """(targets, low ratings to use): the most targets for which the negatives suffice."""
    for n in range(n_targets, 0, -1):
        needed = n * NEGATIVES_PER_POSITIVE
        low = min(n_low, int(needed * LOW_SHARE))
        if needed - low <= n_unrated:
            return n, low
    return 0, 0


def _weighted_draw(items: Ints, weight: Floats, count: int, rng: np.random.Generator) -> Ints:
    """``count`` distinct items, one after another by weight (Efraimidis and Spirakis 2006)."""
    if count == 0:
        return items[:0]
    arrival = rng.exponential(size=len(items)) / weight
    return items[np.argpartition(arrival, count - 1)[:count]]


def item_levels(ratings: Ratings, used: Ints) -> dict[str, Ints]:
    """The columns likes_level and views_level from all ratings but those at positions ``used``.

    (n_items + 1,) int64 each, 1..10, 0 for the padding item: ranks of counts of ratings.
    """
    counted = np.ones(len(ratings.item), np.bool_)
    counted[used] = False
    liked = counted & (ratings.value >= POSITIVE_FROM)
    rows = {"likes_level": liked, "views_level": counted}
    size = ratings.n_items + 1
    return {n: _levels(np.bincount(ratings.item[r], minlength=size)) for n, r in rows.items()}


def _levels(counts: Ints) -> Ints:
    """Tenths of the items by rank of count; equal counts share a level, no count is level 1."""
    items = counts[1:]
    fewer = np.searchsorted(np.sort(items), items, side="left")
    levels = np.full(len(counts), PAD, np.int64)
    levels[1:] = 1 + fewer * (N_LEVELS - 1) // len(items)
    return levels


def split_users(users: Ints, seed: int) -> dict[Split, Ints]:
    """Positions in ``users`` by split: 10 % valid, 10 % test, at least one user each.

    By rank of a hash, so that the order of users changes nothing.
    """
    ranked = np.argsort(user_hash(users, seed ^ _SPLIT_KEY), kind="stable")
    held = max(1, round(len(users) * _HELD_OUT_SHARE))
    cuts = np.split(ranked, [len(users) - 2 * held, len(users) - held])
    return {s: np.sort(p) for s, p in zip(SPLITS, cuts, strict=True)}


def assemble(users: list[UserRows], rng: np.random.Generator) -> SplitRows:
    """The rows of one split's users, shuffled so that a row's position tells nothing."""
    lengths = np.array([len(u.history) for u in users], np.int64)
    histories = Ragged.of(np.concatenate([u.history for u in users]), lengths)
    index = np.repeat(np.arange(len(users)), [len(u.items) for u in users])
    order = rng.permutation(len(index))
    index = index[order]
    user = np.array([u.user for u in users], np.int64)[index]
    item = np.concatenate([u.items for u in users])[order]
    label = np.concatenate([u.labels for u in users])[order]
    return SplitRows(user, item, label, index, histories.padded(MAX_HISTORY))
