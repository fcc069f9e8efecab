"""Turns a log into rows: a history, a target and a label each, as the challenge has them.

Nothing but its history and its item may predict a row's label:

- A history ends before its row's time, so it holds neither the target nor anything later. A shared
  history ends before the first of the user's rows.
- With drawn negatives every user has the same share of positives, so user id, history length and
  anything else that has one value a user have an AUC of 0.5 (but for a split that divides users).
- A drawn negative was taken by somebody before its positive's time: with items of later years among
  the negatives, an item's age alone would predict labels.
- Levels count no interaction that is a row's target.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from mmctr_kit.data.contract import N_LEVELS, PAD
from mmctr_kit.datasets.imports.draw import Draw
from mmctr_kit.datasets.imports.log import NEGATIVE, POSITIVE, Log
from mmctr_kit.datasets.imports.spec import Rows as RowsSpec
from mmctr_kit.metrics.ranks import Flags, Ids, Ints, Ints8, Ints32, group_starts


@dataclass(frozen=True)
class Candidates:
    """Rows before they are split, (rows,) each.

    ``user`` is an index of the log's users; ``event`` is the interaction in the log that is the
    row, or -1 if the row is a drawn negative, and ``source`` the interaction that gives the row its
    time. The history is ``taken[begin:end]``, the oldest item first; ``taken`` holds the positives
    of the log. ``dropped`` counts the interactions that are no row, by reason.
    """

    user: Ints32
    item: Ints32
    label: Ints8
    event: Ints32
    source: Ints32
    begin: Ints32
    end: Ints32
    taken: Ints32
    dropped: Mapping[str, int]

    def __len__(self) -> int:
        return len(self.user)

    def take(self, index: Ids | Flags) -> "Candidates":
        """These rows, in this order."""
        columns = ("user", "item", "label", "event", "source", "begin", "end")
        values = {name: getattr(self, name)[index] for name in columns}
        return Candidates(**values, taken=self.taken, dropped=self.dropped)


@dataclass(frozen=True)
class _Past:
    """What came before each interaction of the log, (n,) each.

    ``start`` is the user's first interaction; ``moment`` the first of the user at the same time;
    ``first`` and ``before`` are the positives of all users before these two.
    """

    start: Ints
    moment: Ints
    first: Ints
    before: Ints

    @classmethod
    def of(cls, log: Log) -> "_Past":
        index = np.arange(len(log))
        start = np.maximum.accumulate(np.where(group_starts(log.user), index, 0))
        moment = index  # if the order is drawn, nothing is at one moment
        if log.timed:
            moment = np.maximum.accumulate(np.where(group_starts(log.user, log.time), index, 0))
        earlier = np.cumsum(log.label == POSITIVE) - (log.label == POSITIVE)
        return cls(start, moment, earlier[start], earlier[moment])


def candidates(log: Log, spec: RowsSpec, seed: int) -> Candidates:
    """The rows of a log, in no order that means anything yet."""
    past = _Past.of(log)
    depth = past.before - past.first
    positive = log.label == POSITIVE
    targets = _targets(log, spec, depth)
    if spec.negatives == "logged":
        own = _logged(log, past, targets, depth >= spec.min_history)
        events = np.flatnonzero(targets | own)
        source, item, label = events, log.item[events], log.label[events]
    else:
        low = _since_first_target(log, past, targets)
        chosen, drawn, drawn_for = Draw.of(log, spec, seed).negatives(targets, low)
        events = np.concatenate([chosen, np.full(len(drawn), -1, chosen.dtype)])
        source = np.concatenate([chosen, drawn_for])
        item = np.concatenate([log.item[chosen], drawn])
        label = np.concatenate([log.label[chosen], np.zeros(len(drawn), np.int8)])
    user = log.user[source]
    end = past.before[source]
    if spec.history == "shared":
        first = np.full(len(log.user_ids), len(log), np.int64)
        np.minimum.at(first, user, source)
        end = past.before[first[user]]
    begin = np.maximum(past.first[source], end - spec.history_length)
    # A log has fewer than 2**31 interactions, and the rows are many.
    columns = {"item": item, "event": events, "source": source, "begin": begin, "end": end}
    narrow = {name: np.asarray(column, np.int32) for name, column in columns.items()}
    rows = Candidates(user=user, label=label, taken=log.item[positive], dropped={}, **narrow)
    return replace(rows, dropped=_reasons(log, rows, spec, depth))


def _targets(log: Log, spec: RowsSpec, depth: Ids) -> Flags:
    """(n,) the positives that become rows: a user's last ones, with enough of a history."""
    positive = np.flatnonzero(log.label == POSITIVE)
    user = log.user[positive]
    count = np.bincount(user, minlength=len(log.user_ids))
    wanted = np.maximum(1, (count * spec.target_share).astype(np.int64))
    if spec.max_targets is not None:
        wanted = np.minimum(wanted, spec.max_targets)
    rank = np.arange(len(positive)) - (np.cumsum(count) - count)[user]
    enough = (rank >= (count - wanted)[user]) & (depth[positive] >= spec.min_history)
    targets = np.zeros(len(log), np.bool_)
    targets[positive[enough]] = True
    return targets


def _since_first_target(log: Log, past: _Past, targets: Flags) -> Flags:
    """(n,) the log's negatives from the time of the user's first target on."""
    first = np.full(len(log.user_ids), len(log), np.int64)
    np.minimum.at(first, log.user[targets], past.moment[targets])
    return np.asarray((log.label == NEGATIVE) & (past.moment >= first[log.user]))


def _logged(log: Log, past: _Past, targets: Flags, enough: Flags) -> Flags:
    """(n,) the log's negatives that are rows: those with ``enough`` of a history.

    If only a user's last positives are targets, only negatives since the first of these.
    """
    left_out = np.zeros(len(log.user_ids), np.bool_)
    left_out[log.user[(log.label == POSITIVE) & enough & ~targets]] = True
    since = _since_first_target(log, past, targets)
    return np.asarray((log.label == NEGATIVE) & enough & (since | ~left_out[log.user]))


def _reasons(log: Log, rows: Candidates, spec: RowsSpec, depth: Ids) -> dict[str, int]:
    """How many interactions are no row, by reason; each is counted once."""
    used = np.zeros(len(log), np.bool_)
    used[rows.event[rows.event >= 0]] = True
    has_row = np.zeros(len(log.user_ids), np.bool_)
    has_row[rows.user] = True
    first = np.full(len(log.user_ids), len(log), np.int64)
    np.minimum.at(first, rows.user, rows.source)
    positive, negative = log.label == POSITIVE, log.label == NEGATIVE
    history = positive & (np.arange(len(log)) < first[log.user])
    reasons = {
        "neither positive nor negative: they count as views": ~(positive | negative),
        "of users without a row": ~has_row[log.user],
        "positives that are history alone": history,
        f"of users with fewer than {spec.min_history} positives by then": depth < spec.min_history,
        "negatives before the user's first row, or beyond rows.low_share": negative,
        "positives at the time of the user's first row, or without enough items to draw": positive,
    }
    counts, left = {}, ~used
    for reason, flags in reasons.items():
        counts[reason] = int((left & flags).sum())
        left &= ~flags
    return {reason: count for reason, count in counts.items() if count}


def item_levels(log: Log, events: Ids, until: int | None) -> dict[str, Ints]:
    """The columns likes_level and views_level, from all interactions but those at ``events``.

    (n_items + 1,) int64 each, 1..10, 0 for the padding item: ranks of counts of interactions, up
    to the time ``until`` if that is not None.
    """
    counted = np.ones(len(log), np.bool_) if until is None else log.time < until
    counted[events] = False
    liked = counted & (log.label == POSITIVE)
    rows = {"likes_level": liked, "views_level": counted}
    size = log.n_items + 1
    return {n: _levels(np.bincount(log.item[r], minlength=size)) for n, r in rows.items()}


def _levels(counts: Ints) -> Ints:
    """Tenths of the items by rank of count; equal counts share a level, no count is level 1."""
    items = counts[1:]
    fewer = np.searchsorted(np.sort(items), items, side="left")
    levels = np.full(len(counts), PAD, np.int64)
    levels[1:] = 1 + fewer * (N_LEVELS - 1) // len(items)
    return levels
