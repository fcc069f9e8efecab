"""The log of a SPEC as arrays: every interaction in time, users and items by their new ids."""

from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from mmctr_kit.data.contract import SPLITS
from mmctr_kit.data.folds import user_hash
from mmctr_kit.datasets.imports.bad_cells import BadCellsError, BadRows
from mmctr_kit.datasets.imports.cells import (
    early_and_late,
    has_zone,
    ids,
    matches,
    moments,
    numbers,
    require_range,
    time_unit,
)
from mmctr_kit.datasets.imports.rules import Rule, parse_rule
from mmctr_kit.datasets.imports.sources import find_sources
from mmctr_kit.datasets.imports.spec import Spec
from mmctr_kit.datasets.imports.tables import Batch, header, read_batches
from mmctr_kit.errors import DataError, UsageError, did_you_mean
from mmctr_kit.metrics.ranks import Ids, Ints, Ints8, Ints32, first_rounded, group_starts

POSITIVE, NEGATIVE, NEITHER = 1, 0, -1
_ORDER_KEY = 0x0_DE2
_MOST_DIGITS = 18
"""Whole numbers of more digits do not fit an int64."""

Listen = Callable[[str, float], None]
"""Called with what is being done, and the share of it that is done."""


@dataclass(frozen=True)
class Log:
    """Interactions by user, time and a drawn order: (n,) each.

    ``user`` is the index in ``user_ids`` and ``user_names``; ``item`` is 1..n_items, the item
    after ``item - 1`` others in ``item_names``. ``time`` is milliseconds since 1970, or only grows
    (``calendar`` False). ``label`` is POSITIVE, NEGATIVE or NEITHER; ``split`` the index in SPLITS
    that the log gives, or None.
    """

    user: Ints32
    item: Ints32
    time: Ints
    label: Ints8
    split: Ints8 | None
    user_ids: Ints
    user_names: pa.LargeStringArray
    item_names: pa.LargeStringArray
    calendar: bool
    timed: bool
    unit: str
    read: int
    repeated: int

    def __len__(self) -> int:
        return len(self.user)

    @property
    def n_items(self) -> int:
        return len(self.item_names)

    def take(self, index: Ids) -> "Log":
        """These interactions, in this order."""
        rows = ("user", "item", "time", "label", "split")
        values: dict[str, Any] = {n: getattr(self, n) for n in rows}
        return replace(self, **{n: v[index] for n, v in values.items() if v is not None})


def read_log(spec: Spec, folder: Path, listen: Listen, guessed_rules: Collection[str] = ()) -> Log:
    """Read the interactions of ``spec``, whose files are in ``folder``.

    ``guessed_rules`` are keys of rules that nobody gave; an error about one says so.

    The result depends on the rows alone, not on their order in the files. Raises UsageError for a
    missing file; DataError for cells that cannot be read, with file and row of the first of each
    kind, and for a rule that fits every interaction or none.
    """
    table = spec.interactions
    sources = find_sources(table, folder, "interactions.files")
    reader = _Reader(spec, list(header(table, sources[0])), guessed_rules)
    for batch in read_batches(
        table, sources, reader.columns, lambda done: listen("reading the log", done)
    ):
        reader.add(batch)
    listen("sorting the log", 0.0)
    return reader.log()


class _Reader:
    """The columns of the log, batch after batch."""

    def __init__(self, spec: Spec, header_names: list[str], guessed: Collection[str]) -> None:
        self.table, self.split = spec.interactions, spec.split
        self.logged = spec.rows.negatives == "logged"
        self.unit: str = self.table.time_unit
        self.zoned: bool | None = None
        self.early, self.late = "", False
        self.guessed = guessed
        self.positive = _rule(self.table.positive, header_names, "positive")
        self.negative = _rule(self.table.negative, header_names, "negative")
        rules = [r.column for r in (self.positive, self.negative) if r]
        time = [self.table.time] if self.table.time else []
        split = [self.split.column] if self.split.column else []
        self.columns = [
            self.table.user, self.table.item, *time, *rules, *self.table.range, *split
        ]  # fmt: skip
        self.users: list[pa.DictionaryArray] = []
        self.items: list[pa.DictionaryArray] = []
        self.parts: dict[str, list[NDArray[Any]]] = {"time": [], "label": [], "split": []}
        self.bad = BadRows()

    def add(self, batch: Batch) -> None:
        """Keep a batch; from the first with a bad cell on, only count these."""
        if not self.bad.rows:
            try:
                self._keep(batch)
            except BadCellsError:
                self.bad.add(self._bad_cells(batch))
        else:
            self.bad.add(self._bad_cells(batch))

    def _bad_cells(self, batch: Batch) -> list[BadCellsError]:
        """Return an error for each column of a batch that has bad cells."""
        table, split = self.table, self.split.column
        rules = [r for r in (self.positive, self.negative) if r]
        if split:
            rules.append(Rule(split, "==", (self.split.values["train"],)))
        looks: list[Callable[[], object]] = [
            *(partial(ids, batch, column, True) for column in (table.user, table.item)),
            *(partial(numbers, batch, column) for column in table.range),
            *(partial(matches, rule, batch) for rule in rules),
        ]
        if table.time:
            looks.append(partial(self._moments, batch, table.time))
        found: dict[str, BadCellsError] = {}
        for look in looks:
            try:
                look()
            except BadCellsError as e:
                found[e.column] = e
        return list(found.values())

    def _keep(self, batch: Batch) -> None:
        table = self.table
        for column, (low, high) in table.range.items():
            require_range(batch, column, low, high)
        self.users.append(ids(batch, table.user, table.strip).dictionary_encode())
        self.items.append(ids(batch, table.item, table.strip).dictionary_encode())
        self.parts["label"].append(self._label(batch))
        if table.time:
            self.parts["time"].append(self._moments(batch, table.time))
        if self.split.column:
            self.parts["split"].append(self._split(batch, self.split.column))

    def _moments(self, batch: Batch, column: str) -> NDArray[Any]:
        if self.unit == "auto":
            self.unit = time_unit(batch, column)
        found = moments(batch, column, self.unit)
        self._require_alike(batch, column, found)
        return found

    def _require_alike(self, batch: Batch, column: str, found: NDArray[Any]) -> None:
        """Raise DataError if the times of this batch and those before have not one meaning."""
        if self.unit == "iso":
            zoned = has_zone(batch, column)
            if self.zoned not in (None, zoned):
                raise DataError(
                    f"{batch.row(0)}: {column} has {'a' if zoned else 'no'} time zone, and an "
                    "earlier part of the log differs; expected one in all files, or in none"
                )
            self.zoned = zoned
        early, late = early_and_late(found, self.unit)
        if early is not None:
            self.early = self.early or batch.row(early)
        self.late |= late
        if self.early and self.late:
            raise DataError(
                f"{self.early}: {column} lies in the first weeks of 1970 in time_unit {self.unit}, "
                "others after 1975; expected one unit in all rows (are these seconds?)"
            )

    def _label(self, batch: Batch) -> Ints8:
        label = np.full(len(batch), NEITHER, np.int8)
        positive = matches(self.positive, batch) if self.positive else None
        negative = matches(self.negative, batch) if self.negative else None
        if positive is None:
            positive = np.ones(len(batch), np.bool_) if negative is None else ~negative
        if negative is None:
            negative = ~positive if self.logged else np.zeros(len(batch), np.bool_)
        if (both := positive & negative).any():
            rules = {
                "interactions.positive": self.positive,
                "interactions.negative": self.negative,
            }
            shown = [
                f"{key} ({'guessed: ' * (key in self.guessed)}{r})" for key, r in rules.items()
            ]
            other = next((f"; give --set {key}=RULE" for key in rules if key in self.guessed), "")
            raise DataError(
                f"{batch.row(int(both.argmax()))}: {' and '.join(shown)} both fit; expected one of "
                f"them at most{other}"
            )
        label[positive], label[negative] = POSITIVE, NEGATIVE
        return label

    def _split(self, batch: Batch, column: str) -> Ints8:
        split = np.full(len(batch), -1, np.int8)
        for index, name in enumerate(SPLITS):
            split[matches(Rule(column, "==", (self.split.values[name],)), batch)] = index
        if (split < 0).any():
            at = int((split < 0).argmax())
            value, known = batch.columns[column][at].as_py(), ", ".join(self.split.values.values())
            raise DataError(f"{batch.row(at)}: {column} is {value!r}; split.values has {known}")
        return split

    def log(self) -> Log:
        if self.bad.rows:
            raise self.bad.error()
        if not self.users:
            raise DataError(
                f"interactions.files: {', '.join(self.table.files)} hold no row; expected one an "
                "interaction"
            )
        user, user_names = _encode(self.users)
        item, item_names = _encode(self.items)
        label = np.concatenate(self.parts["label"])
        self._require_labels(label)
        time, timed = self._time(len(user)), self.table.time is not None
        split = np.concatenate(self.parts["split"]) if self.parts["split"] else None
        log = Log(
            user, item + np.int32(1), time, label, split, _user_ids(user_names), user_names,
            item_names, timed and self.unit != "order", timed, self.unit, len(user), 0,
        )  # fmt: skip
        kept = _without_repeats(log, self.table.repeats)
        kept = replace(kept, repeated=len(log) - len(kept))
        return kept.take(_in_time(kept))

    def _time(self, rows: int) -> Ints:
        parts = self.parts["time"]
        if not parts:
            return np.zeros(rows, np.int64)
        values = np.concatenate(parts)
        if self.unit != "order":
            return np.asarray(values, np.int64)
        if (
            values.dtype.kind == "f"
            and (large := np.abs(values) >= first_rounded(values.dtype)).any()
        ):
            raise DataError(
                f"interactions.time: {values[large][0]:.17g} stands among fractions; whole "
                "numbers as large round to each other there, so that their order would be lost; "
                "expected whole numbers alone, or smaller ones"
            )
        return np.unique(values, return_inverse=True)[1].astype(np.int64)

    def _require_labels(self, label: Ints8) -> None:
        positives = int((label == POSITIVE).sum())
        if positives == 0:
            raise DataError(
                f"interactions.positive: {self.positive} fits none of {len(label):,} interactions; "
                "expected a rule that fits some (is it the scale of the column?)"
            )
        if self.logged and positives == len(label):
            raise DataError(
                f"interactions.positive: {self.positive} fits all of {len(label):,} interactions, "
                "so no negative is logged; mend the rule, or draw negatives with "
                "rows.negatives=popularity"
            )
        if self.table.positive and positives == len(label) and not self.logged:
            raise DataError(
                f"interactions.positive: {self.positive} fits all of {len(label):,} interactions; "
                "mend the rule, or leave it out if every interaction is a positive"
            )


def _rule(text: str | None, names: list[str], key: str) -> Rule | None:
    if text is None:
        return None
    rule = parse_rule(text)
    if rule.column not in names:
        raise UsageError(
            f"interactions.{key}: {text!r} is about a column that the log lacks"
            f"{did_you_mean(rule.column, names)}; its columns: {', '.join(names)}"
        )
    return rule


def _encode(parts: list[pa.DictionaryArray]) -> tuple[Ints32, pa.LargeStringArray]:
    """Each text's index among the sorted distinct texts; numbers are sorted as numbers."""
    whole = pa.chunked_array(parts).unify_dictionaries()
    names = whole.chunk(0).dictionary
    index = np.concatenate([np.asarray(chunk.indices) for chunk in whole.chunks])
    used = np.zeros(len(names), np.bool_)
    used[index] = True
    order = np.asarray(pc.sort_indices(names))
    if (values := _whole_numbers(names)) is not None:
        order = order[np.argsort(values[order], kind="stable")]
    rank = np.empty(len(names), np.int32)
    rank[order] = np.arange(len(names), dtype=np.int32)
    return rank[index], names.take(pa.array(order))


def _whole_numbers(names: pa.LargeStringArray) -> Ints | None:
    """The texts as int64 if all are whole numbers that fit, else None."""
    digits = pc.match_substring_regex(names, f"^[0-9]{{1,{_MOST_DIGITS}}}$")
    if not pc.all(digits).as_py():
        return None
    return np.asarray(pc.cast(names, pa.int64()), np.int64)


def _user_ids(names: pa.LargeStringArray) -> Ints:
    """(users,) int64: the original ids if they are distinct whole numbers, else 1..users."""
    values = _whole_numbers(names)
    if values is not None and len(np.unique(values)) == len(values):
        return values
    return np.arange(1, len(names) + 1)


def _without_repeats(log: Log, repeats: str) -> Log:
    """The log with the last or the first of a user's interactions with one item, or with all."""
    if repeats == "keep":
        return log
    # At one moment the positive counts.
    order = np.lexsort((log.label, log.time, log.item, log.user))
    starts = group_starts(log.user[order], log.item[order])
    kept = starts if repeats == "first" else np.append(starts[1:], True)
    return log.take(order[kept])


def _in_time(log: Log) -> Ids:
    """The order by user and time.

    What one moment holds is ordered by a hash: by item id, a history's last item would say which
    of the tied items came later.
    """
    key = user_hash(log.user_ids[log.user], _ORDER_KEY) ^ log.item.astype(np.uint64)
    tie = user_hash(key.astype(np.int64), 0)
    return np.lexsort((log.label, tie, log.time, log.user))
