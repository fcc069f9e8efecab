"""Probes of what histories give away: the target, labels by their length, users with two ids."""

from collections.abc import Iterator
from itertools import combinations

import numpy as np

from mmctr_kit.audit.profile.context import ProfileContext, within_users
from mmctr_kit.audit.profile.measurement import Measurement, percent, poisson_p, proportion
from mmctr_kit.data.contract import SPLITS, Split
from mmctr_kit.data.dataset import Rows
from mmctr_kit.data.hashing import among, distinct, pair_keys, sequence_keys
from mmctr_kit.errors import plural
from mmctr_kit.metrics.auc import auc_with_se
from mmctr_kit.metrics.estimate import Estimate
from mmctr_kit.metrics.ranks import Flags, Ints, group_starts, number_ids

TARGET_TOLERANCE = 0.0025
"""AUC above 0.5: half a per cent more positives than negatives are in their user's history."""
SHARE_TOLERANCE = 0.005
LENGTH_TOLERANCE = 0.02
BETWEEN_TOLERANCE = 0.1
SIBLING_ITEMS = 3
"""Shorter histories coincide by chance and are not compared."""


def target_in_history(context: ProfileContext) -> Iterator[Measurement]:
    """How many targets are in a history of the row's user, in any split, by label."""
    held = _held(context)
    for split in ("train", "valid"):
        rows = context.data.rows[split]
        label = rows.labels()
        value = auc_with_se(label, held[split].astype(np.float64), rows.user_id)
        ones, zeros = (percent(float(held[split][label == y].mean())) for y in (1, 0))
        what = f"the user's histories hold the target of {ones} of the positives and {zeros} of "
        what += "the negatives"
        yield Measurement.of("target-in-history", split, value, TARGET_TOLERANCE, what)
    test, train = (_user_share(held[s], context.data.rows[s]) for s in ("test", "train"))
    gap = Estimate(test.value - train.value, float(np.hypot(test.se, train.se)), test.n)
    what = f"targets held: {percent(train.value)} of train, {percent(test.value)} of test"
    yield Measurement.of("target-in-history", "test - train", gap, SHARE_TOLERANCE, what, clean=0.0)


def history_label(context: ProfileContext) -> Iterator[Measurement]:
    """Whether the length of a row's history predicts its label, within users and between them."""
    lengths = context.data.histories.lengths
    for split in ("train", "valid"):
        rows = context.data.rows[split]
        length = lengths[rows.history].astype(np.float64)
        codes = number_ids(rows.user_id)
        within = np.round(within_users(length, codes), 9)
        for where, score, tolerance in (
            ("in users", within, LENGTH_TOLERANCE),
            ("by user", length - within, BETWEEN_TOLERANCE),
        ):
            value = auc_with_se(rows.labels(), score, rows.user_id)
            what = f"the length of the history, compared {where}, has AUC {value}"
            yield Measurement.of("history-label", f"{split}, {where}", value, tolerance, what)


def siblings(context: ProfileContext) -> Iterator[Measurement]:
    """Users of two splits, or of train, that share a history, or have one an item longer."""
    users = {s: _users_with_history(context.data.rows[s]) for s in SPLITS}
    for a, b in combinations(SPLITS, 2):
        both = int(among(distinct(users[b][0]), distinct(users[a][0])).sum())
        value, p = proportion(both, len(distinct(users[b][0]))), 0.0 if both else 1.0
        what = f"{plural(both, 'user')} of {b} also in {a}"
        yield Measurement("split-users", f"{a}/{b}", value, 0.0, 0.0, p, what)
    longer = _longer(context)
    counts = np.bincount(context.data.histories.values)
    # The chance that two positions of histories hold the same item, if drawn independently.
    odds = float(((counts / max(float(counts.sum()), 1.0)) ** 2).sum())
    for a, b in (("train", "train"), *combinations(SPLITS, 2)):
        yield _shared(context, (a, b), (users[a], users[b]), longer, odds)


def _held(context: ProfileContext) -> dict[Split, Flags]:
    """(rows,) for each split: whether any history of the row's user holds its target."""
    histories = context.data.histories
    pairs = [_users_with_history(context.data.rows[s]) for s in SPLITS]
    user, history = (np.concatenate([p[i] for p in pairs]) for i in (0, 1))
    taken = histories.take(history)
    keys = np.sort(pair_keys(user[taken.rows], taken.values.astype(np.int64)))
    return {
        s: among(pair_keys(r.user_id, r.item_id.astype(np.int64)), keys)
        for s, r in context.data.rows.items()
    }


def _user_share(held: Flags, rows: Rows) -> Estimate:
    """Share of the rows, its standard error clustered by user."""
    value = float(held.mean())
    of_user = np.bincount(number_ids(rows.user_id), held - value)
    return Estimate(value, float(np.sqrt(of_user @ of_user)) / len(held), len(held))


def _users_with_history(rows: Rows) -> tuple[Ints, Ints]:
    """(pairs,) each: the distinct pairs of a user and a history, by user."""
    history = rows.history.astype(np.int64)
    order = np.lexsort((history, rows.user_id))
    user, history = rows.user_id[order], history[order]
    new = group_starts(user, history)
    return user[new], history[new]


def _longer(context: ProfileContext) -> Ints:
    """(histories,) the history that this one continues by one item; -1 if there is none."""
    histories = context.data.histories
    items, lengths = histories.values.astype(np.int64), histories.lengths
    keys = sequence_keys(items, lengths)
    last = np.zeros(len(items), np.bool_)
    last[histories.offsets[1:][lengths > 0] - 1] = True
    cut = sequence_keys(items[~last], np.maximum(lengths - 1, 0))
    order = np.argsort(keys)
    shorter = order[np.minimum(np.searchsorted(keys[order], cut), len(keys) - 1)]
    fits = (keys[shorter] == cut) & (lengths > SIBLING_ITEMS)
    return np.where(fits, shorter, -1)


def _shared(
    context: ProfileContext,
    where: tuple[str, str],
    users: tuple[tuple[Ints, Ints], ...],
    longer: Ints,
    odds: float,
) -> Measurement:
    (user_a, history_a), (user_b, history_b) = users
    lengths = context.data.histories.lengths
    name = where[0] if where[0] == where[1] else "/".join(where)
    long_a, long_b = lengths[history_a] >= SIBLING_ITEMS, lengths[history_b] >= SIBLING_ITEMS
    if not long_a.any() or not long_b.any():
        return Measurement.none("sibling-rows", name, f"no histories of {SIBLING_ITEMS} items")
    # By history: how many users have it, and one of them.
    n = np.bincount(history_a, minlength=len(lengths))
    one = np.full(len(lengths), -1, np.int64)
    one[history_a] = user_a

    def other(history: Ints) -> Flags:
        held = (history >= 0) & (n[history] > 0)
        return np.asarray(held & ((n[history] > 1) | (one[history] != user_b)), np.bool_)

    before = longer[history_b]
    after = np.full(len(lengths), -1, np.int64)
    after[longer[longer >= 0]] = np.flatnonzero(longer >= 0)
    same = long_b & other(history_b)
    hit = same | (long_b & (other(before) | other(after[history_b])))
    hits, asked = int(hit.sum()), int(long_b.sum())
    value = proportion(hits, asked)
    n_a, n_b = (np.bincount(lengths[h]).astype(np.float64) for h in (history_a, history_b))
    sizes = np.arange(SIBLING_ITEMS, min(len(n_a), len(n_b)))
    pairs = float((n_a[sizes] * n_b[sizes] * odds**sizes).sum())
    p = poisson_p(hits, 2 * pairs + 0.5) if value.value > SHARE_TOLERANCE else 1.0
    what = (
        f"{hits:,} of {asked:,} users of {where[1]} have the history of another user of "
        f"{where[0]}, or one an item longer or shorter ({int(same.sum()):,} equal)"
    )
    return Measurement("sibling-rows", name, value, 0.0, SHARE_TOLERANCE, p, what)
