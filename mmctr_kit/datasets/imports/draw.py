"""Draws negatives: items that a user never took and that somebody had taken by then."""

from dataclasses import dataclass

import numpy as np

from mmctr_kit.data.hashing import among
from mmctr_kit.datasets.imports.log import Log
from mmctr_kit.datasets.imports.spec import Rows as RowsSpec
from mmctr_kit.errors import DataError
from mmctr_kit.metrics.ranks import Flags, Floats, Ids, Ints, Ints32

_ROUNDS = 30
"""After so many draws that did not fit, an item is chosen from a list of those that do."""
_DAY = 86_400_000  # milliseconds


@dataclass(frozen=True)
class Draw:
    """What negatives are drawn from.

    ``items`` (n_items,) int64 in the order in which somebody took them first, ``since`` (n_items,)
    when that was, ``cumulative`` (n_items,) their weights, added up. ``own`` is sorted: user *
    (n_items + 1) + item of every interaction. ``when`` and ``what``: the log by time, for draws of
    what was taken recently.
    """

    log: Log
    spec: RowsSpec
    random: np.random.Generator
    items: Ints
    since: Ints
    cumulative: Floats
    own: Ints
    when: Ints
    what: Ints32

    @classmethod
    def of(cls, log: Log, spec: RowsSpec, seed: int) -> "Draw":
        """Count what the log holds; DataError for draws of recent items if it tells no dates."""
        if spec.negatives == "recent" and not log.calendar:
            raise DataError(
                "rows.negatives is recent, but interactions.time tells no dates; set popularity or "
                "uniform, or another time_unit"
            )
        count = np.bincount(log.item, minlength=log.n_items + 1)[1:]
        first = np.full(log.n_items + 1, np.iinfo(np.int64).max)
        np.minimum.at(first, log.item, log.time)
        items = np.argsort(first[1:], kind="stable") + 1
        power = 0.0 if spec.negatives == "uniform" else spec.power
        weight = count[items - 1].astype(np.float64) ** power
        own = np.unique(_keys(log, log.user, log.item))
        by_time = np.zeros(0, np.int64)
        if spec.negatives == "recent":
            by_time = np.argsort(log.time, kind="stable")
        return cls(
            log, spec, np.random.default_rng(seed), items, first[items], np.cumsum(weight), own,
            log.time[by_time], log.item[by_time],
        )  # fmt: skip

    def negatives(self, targets: Flags, low: Flags) -> tuple[Ids, Ints, Ids]:
        """The negatives of the positives ``targets`` (n,), of which the log's own are ``low`` (n,).

        Returns the interactions that are rows: the targets and the chosen ones of ``low``; the
        drawn items; and for each of these the target that it was drawn for. A user whose items do
        not suffice for all targets has only the first of them.
        """
        log, spec = self.log, self.spec
        users = len(log.user_ids)
        at = np.flatnonzero(targets)
        count = np.bincount(log.user[at], minlength=users)
        lows = np.bincount(log.user[low], minlength=users)
        first = np.zeros(users, np.int64)
        first[log.user[at[::-1]]] = at[::-1]
        count = self._affordable(count, lows, first)
        at = at[_rank(log.user[at]) < count[log.user[at]]]
        needed = count * spec.per_positive
        of_low = np.minimum(lows, (needed * spec.low_share).astype(np.int64))
        chosen = self._some(np.flatnonzero(low), of_low)
        drawn = needed - of_low
        owner = np.repeat(np.arange(users), drawn)
        # One after another for each of the user's targets.
        turn = _rank(owner) % np.maximum(count[owner], 1)
        source = at[(np.cumsum(count) - count)[owner] + turn]
        items = self._items(owner, source)
        return np.sort(np.concatenate([at, chosen])), items, source

    def _affordable(self, count: Ints, lows: Ints, first: Ids) -> Ints:
        """(users,) the most targets for which the items suffice that were taken by the first."""
        spec = self.spec
        known = self._known(self.log.time[first])
        spare = known - np.bincount(self.log.user, minlength=len(count))
        short = np.flatnonzero((count > 0) & (spare < count * spec.per_positive))
        for user in short:
            free = len(self._free(int(user), int(known[user])))
            for n in range(int(count[user]), -1, -1):
                needed = n * spec.per_positive
                if needed - min(int(lows[user]), int(needed * spec.low_share)) <= free:
                    count[user] = n
                    break
        return count

    def _known(self, time: Ints) -> Ints:
        """How many items somebody had taken at these times; they are the first of ``items``."""
        if not self.log.timed:
            return np.full(len(time), len(self.items))
        return np.searchsorted(self.since, time, side="right")

    def _free(self, user: int, known: int) -> Ints:
        """Positions in ``items`` of the first ``known`` ones that the user never took."""
        width = self.log.n_items + 1
        low, high = np.searchsorted(self.own, [user * width, (user + 1) * width])
        own = np.zeros(width, np.bool_)
        own[self.own[low:high] - user * width] = True
        return np.flatnonzero(~own[self.items[:known]])

    def _some(self, events: Ids, wanted: Ints) -> Ids:
        """``wanted`` (users,) of each user's ``events``, at random."""
        key = self.random.random(len(events))
        events = events[np.lexsort((key, self.log.user[events]))]
        user = self.log.user[events]
        return events[_rank(user) < wanted[user]]

    def _items(self, owner: Ids, source: Ids) -> Ints:
        """An item for each draw; those of one user differ."""
        log, width = self.log, self.log.n_items + 1
        time = log.time[source]
        known = self._known(time)
        items = np.zeros(len(owner), np.int64)
        taken = np.zeros(0, np.int64)
        waiting = np.arange(len(owner))
        for attempt in range(_ROUNDS):
            if not len(waiting):
                return items
            recent = self.spec.negatives == "recent" and attempt < _ROUNDS // 2
            found = self._draw(known[waiting], time[waiting] if recent else None)
            key, once = np.unique(_keys(log, owner[waiting], found), return_index=True)
            fits = ~among(key, self.own) & ~among(key, taken)
            items[waiting[once[fits]]] = found[once[fits]]
            taken = np.sort(np.concatenate([taken, key[fits]]), kind="stable")
            waiting = waiting[items[waiting] == 0]
        weights = np.diff(self.cumulative, prepend=0.0)
        for i in waiting:
            free = self._free(int(owner[i]), int(known[i]))
            free = free[~among(owner[i] * width + self.items[free], taken)]
            weight = weights[free]
            item = self.items[self.random.choice(free, p=weight / weight.sum())]
            items[i] = item
            key = owner[i] * width + item
            taken = np.insert(taken, np.searchsorted(taken, key), key)
        return items

    def _draw(self, known: Ints, time: Ints | None) -> Ints:
        """An item for each of ``known``, from the first so many of ``items``, by weight.

        With ``time`` it is that of an interaction of the days before, if there is one.
        """
        chance = self.random.random(len(known))
        at = np.searchsorted(self.cumulative, chance * self.cumulative[known - 1], side="right")
        items = self.items[np.minimum(at, known - 1)]
        if time is None:
            return items
        since = time - int(self.spec.recent_days * _DAY)
        begin = np.searchsorted(self.when, since, side="left")
        many = np.searchsorted(self.when, time, side="left") - begin
        some = many > 0
        pick = begin + (self.random.random(len(known)) * many).astype(np.int64)
        items[some] = self.what[pick[some]]
        return items


def _keys(log: Log, user: Ids, item: Ids) -> Ints:
    return user.astype(np.int64) * (log.n_items + 1) + item


def _rank(groups: Ids) -> Ints:
    """(n,) the place of each within its group; groups are consecutive."""
    starts = np.flatnonzero(np.diff(groups, prepend=-1))
    return np.arange(len(groups)) - np.repeat(starts, np.diff(np.append(starts, len(groups))))
