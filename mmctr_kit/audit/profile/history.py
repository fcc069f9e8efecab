"""What histories give away: the target itself, labels by their length, users under two ids."""

from collections.abc import Iterator
from itertools import combinations

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from mmctr_kit.audit.profile.facts import Facts, within_users
from mmctr_kit.audit.profile.reading import Reading, auc_reading, beyond, nothing, percent, share
from mmctr_kit.data.contract import SPLITS, Split
from mmctr_kit.data.dataset import Rows, expand_ranges
from mmctr_kit.data.hashing import among, distinct, pair_keys, sequence_keys
from mmctr_kit.errors import plural
from mmctr_kit.metrics.auc import auc_with_se
from mmctr_kit.metrics.estimate import Estimate
from mmctr_kit.metrics.ranks import number_ids

TARGET_FLOOR = 0.0025
"""AUC beyond 0.5: half a per cent more positives than negatives in their user's history."""
SHARE_FLOOR = 0.005
LENGTH_FLOOR = 0.02
BETWEEN_FLOOR = 0.1
SIBLING_ITEMS = 3
"""Histories shorter than this coincide by chance and are not compared."""


def target_in_history(facts: Facts) -> Iterator[Reading]:
    """Targets that stand in a history of the row's own user, in any split, by label."""
    held = _held(facts)
    for split in ("train", "valid"):
        rows = facts.rows(split)
        label = rows.labels()
        value = auc_with_se(label, held[split].astype(np.float64), rows.user_id)
        rates = [percent(float(held[split][label == y].mean())) for y in (1, 0)]
        yield auc_reading(
            "target-in-history",
            split,
            value,
            TARGET_FLOOR,
            f"the user's histories hold the target of {rates[0]} of the positives and "
            f"{rates[1]} of the negatives",
        )
    test, train = (_user_share(held[s], facts.rows(s)) for s in ("test", "train"))
    gap = Estimate(test.value - train.value, float(np.hypot(test.se, train.se)), test.n)
    yield Reading(
        "target-in-history",
        "test - train",
        gap,
        0.0,
        SHARE_FLOOR,
        beyond(gap, 0.0, SHARE_FLOOR),
        f"held targets: {percent(train.value)} of train, {percent(test.value)} of test",
    )


def history_label(facts: Facts) -> Iterator[Reading]:
    """Whether the length of a row's history tells its label, within users and between them."""
    lengths = facts.data.histories.lengths
    for split in ("train", "valid"):
        rows = facts.rows(split)
        length = lengths[rows.history].astype(np.float64)
        codes = number_ids(rows.user_id)
        off = np.round(within_users(length, codes), 9)
        for where, score, floor in (
            ("in users", off, LENGTH_FLOOR),
            ("by user", length - off, BETWEEN_FLOOR),
        ):
            value = auc_with_se(rows.labels(), score, rows.user_id)
            yield auc_reading(
                "history-label",
                f"{split}, {where}",
                value,
                floor,
                f"the length of the history, compared {where}, has AUC {value}",
            )


def siblings(facts: Facts) -> Iterator[Reading]:
    """Users of two splits, and users of train, that have one history, or one an item longer."""
    users = {s: _users_with_history(facts.rows(s)) for s in SPLITS}
    for a, b in combinations(SPLITS, 2):
        both = int(among(distinct(users[b][0]), distinct(users[a][0])).sum())
        value = share(both, len(distinct(users[b][0])))
        yield Reading(
            "split-users",
            f"{a}/{b}",
            value,
            0.0,
            0.0,
            0.0 if both else 1.0,
            f"{plural(both, 'user')} of {b} also in {a}",
        )
    longer = _longer(facts)
    odds = _chance_of_a_meeting(facts)
    for a, b in (("train", "train"), *combinations(SPLITS, 2)):
        yield _shared(facts, (a, b), (users[a], users[b]), longer, odds)


def _held(facts: Facts) -> dict[Split, NDArray[np.bool_]]:
    """(rows,) a split: whether any history of the row's user, in any split, holds its target."""
    histories = facts.data.histories
    pairs = [_users_with_history(facts.rows(s)) for s in SPLITS]
    user, place = (np.concatenate([p[i] for p in pairs]) for i in (0, 1))
    begin, length = histories.offsets[place], histories.lengths[place]
    places, owner = expand_ranges(begin, length)
    keys = np.sort(pair_keys(user[owner], histories.items[places].astype(np.int64)))
    return {
        s: among(pair_keys(r.user_id, r.item_id.astype(np.int64)), keys)
        for s, r in facts.data.rows.items()
    }


def _user_share(held: NDArray[np.bool_], rows: Rows) -> Estimate:
    """Share of the rows, the error clustered by user."""
    value = float(held.mean())
    of_user = np.bincount(number_ids(rows.user_id), held - value)
    return Estimate(value, float(np.sqrt(of_user @ of_user)) / len(held), len(held))


def _users_with_history(rows: Rows) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """(pairs,) each: the distinct pairs of a user and a history, by user."""
    history = rows.history.astype(np.int64)
    order = np.lexsort((history, rows.user_id))
    user, history = rows.user_id[order], history[order]
    new = np.ones(len(user), np.bool_)
    new[1:] = (user[1:] != user[:-1]) | (history[1:] != history[:-1])
    return user[new], history[new]


def _longer(facts: Facts) -> NDArray[np.int64]:
    """(histories,) the history that this one continues by one item; -1 where there is none."""
    histories = facts.data.histories
    items, lengths = histories.items.astype(np.int64), histories.lengths
    keys = sequence_keys(items, lengths)
    last = np.zeros(len(items), np.bool_)
    last[histories.offsets[1:][lengths > 0] - 1] = True
    cut = sequence_keys(items[~last], np.maximum(lengths - 1, 0))
    order = np.argsort(keys)
    place = np.minimum(np.searchsorted(keys[order], cut), len(keys) - 1)
    found = order[place]
    fits = (keys[found] == cut) & (lengths > SIBLING_ITEMS)
    return np.where(fits, found, -1)


def _chance_of_a_meeting(facts: Facts) -> float:
    """The chance that two positions of histories hold one item, were items drawn by themselves."""
    counts = np.bincount(facts.data.histories.items)
    total = float(counts.sum())
    return float(((counts / total) ** 2).sum()) if total else 0.0


def _shared(
    facts: Facts,
    where: tuple[str, str],
    users: tuple[tuple[NDArray[np.int64], NDArray[np.int64]], ...],
    longer: NDArray[np.int64],
    odds: float,
) -> Reading:
    (user_a, own_a), (user_b, own_b) = users
    lengths = facts.data.histories.lengths
    name = where[0] if where[0] == where[1] else "/".join(where)
    long_a, long_b = lengths[own_a] >= SIBLING_ITEMS, lengths[own_b] >= SIBLING_ITEMS
    if not long_a.any() or not long_b.any():
        return nothing("sibling-rows", name, f"no histories of {SIBLING_ITEMS} items")
    # By history: how many users have it, and one of them.
    n = np.bincount(own_a, minlength=len(lengths))
    one = np.full(len(lengths), -1, np.int64)
    one[own_a] = user_a

    def other(history: NDArray[np.int64]) -> NDArray[np.bool_]:
        there = (history >= 0) & (n[history] > 0)
        return np.asarray(there & ((n[history] > 1) | (one[history] != user_b)), np.bool_)

    before = longer[own_b]
    after = np.full(len(lengths), -1, np.int64)
    after[longer[longer >= 0]] = np.flatnonzero(longer >= 0)
    same = long_b & other(own_b)
    hit = same | (long_b & (other(before) | other(after[own_b])))
    value = share(int(hit.sum()), int(long_b.sum()))
    pairs = float(
        sum(
            float((lengths[own_a] == k).sum()) * float((lengths[own_b] == k).sum()) * odds**k
            for k in np.unique(lengths[own_b][long_b])
        )
    )
    tail = float(stats.poisson.sf(int(hit.sum()) - 1, 2 * pairs + 0.5)) if hit.any() else 1.0
    return Reading(
        "sibling-rows",
        name,
        value,
        0.0,
        SHARE_FLOOR,
        tail if value.value > SHARE_FLOOR else 1.0,
        f"{int(hit.sum()):,} of {int(long_b.sum()):,} users of {where[1]} have the history of "
        f"another user of {where[0]}, or one an item longer or shorter ({int(same.sum()):,} equal)",
    )
