"""Checks on train, valid and test, row by row: histories, targets, labels, IDs.

Histories are read in batches and kept as a few numbers a row, so that 3.6 million rows of 64
items are never in memory together.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from mmctr_kit.audit.check.scan import FileScan
from mmctr_kit.audit.check.sequences import UserLists, longest
from mmctr_kit.audit.findings import Log
from mmctr_kit.data.contract import PAD, SPLITS, SUBMISSION_ID, Split
from mmctr_kit.data.hashing import distinct, sequence_keys
from mmctr_kit.data.packing import zero_after_value
from mmctr_kit.data.parquet import ints, ragged
from mmctr_kit.data.ragged import Ragged
from mmctr_kit.errors import plural
from mmctr_kit.metrics.ranks import Flags, Ints, Uints

TARGET_IN_HISTORY = 0.001
"""Share of the rows with their target in their own history that is worth a warning."""
_SAME_RELEASE = "take all files from the same release of the data"


@dataclass(frozen=True)
class HistoryColumns:
    """Each row's history as a few numbers, (rows,) each.

    ``counts``: items that are not padding; ``keys``: equal for equal histories; ``misplaced``: a 0
    follows an item; ``unknown``: it holds an unknown id (None if item_info is not readable);
    ``holds_target``: it holds the row's own target (None if item_id is not usable).
    """

    counts: Ints
    keys: Uints
    misplaced: Flags
    unknown: Flags | None
    holds_target: Flags | None


@dataclass(frozen=True)
class RowFile:
    """One split: its usable scalar ``columns`` (rows,) by name, and its histories in numbers.

    ``sample``: the whole histories of some users, None if not asked for.
    """

    columns: Mapping[str, Ints]
    history: HistoryColumns | None
    sample: UserLists | None


RowFiles = Mapping[Split, RowFile]


def read_rows(
    scans: Mapping[str, FileScan], n_items: int | None, sampled: Ints | None = None
) -> dict[Split, RowFile]:
    """The three splits, with the whole histories of the users ``sampled`` (ascending)."""
    return {s: _read(scans[s], n_items, sampled) for s in SPLITS}


def check_rows(rows: RowFiles, n_items: int | None, sequences: bool | None, log: Log) -> None:
    """Every check of a row by itself; ``sequences``: whether item_seq.parquet has unknown items."""
    _check_test_ids(rows["test"], log)
    if n_items is not None:
        known = {s: f.history for s, f in rows.items() if f.history is not None}
        _check_history_ids(known, n_items, sequences, log)
    for split, file in rows.items():
        if file.history is not None:
            _check_history(split, file, file.history, log)
        if n_items is not None and "item_id" in file.columns:
            ids = file.columns["item_id"]
            if wrong := int(((ids < 1) | (ids > n_items)).sum()):
                what = f"{split}: {plural(wrong, 'row')} with an item_id outside 1..{n_items:,}"
                log.fail("target-ids", what, _SAME_RELEASE)
            log.passed("target-ids", f"{split}: item_id in 1..{n_items:,}")
        if split != "test" and "label" in file.columns:
            values = distinct(file.columns["label"]).tolist()
            if values != [0, 1]:
                few = ", ".join(str(v) for v in values[:5]) + (", ..." if len(values) > 5 else "")
                what = f"{split}: labels are {few}; expected 0 and 1, both of them"
                log.fail("labels", what, f"download {split}.parquet again")
            log.passed("labels", f"{split}: labels are 0 and 1")


def _read(scan: FileScan, n_items: int | None, sampled: Ints | None) -> RowFile:
    scalars = [c.name for c in scan.file.columns if c.kind == "int" and scan.usable(c.name)]
    with_history = scan.usable("item_seq")
    parts: dict[str, list[Ints]] = {n: [] for n in scalars}
    histories: list[HistoryColumns] = []
    whole: list[UserLists] = []
    if scalars or with_history:
        for batch in scan.batches(*scalars, *(["item_seq"] if with_history else [])):
            for name in scalars:
                parts[name].append(ints(batch[name]))
            if with_history:
                seq: Ragged[np.int64] = ragged(batch["item_seq"])
                target = ints(batch["item_id"]) if "item_id" in scalars else None
                histories.append(_history(seq, target, n_items))
                if sampled is not None and "user_id" in scalars:
                    lists = UserLists(ints(batch["user_id"]), seq)
                    whole.append(longest([lists.of(sampled)]))
    columns = {n: np.concatenate(p) for n, p in parts.items()}
    return RowFile(
        columns, _joined(histories) if histories else None, longest(whole) if whole else None
    )


def _history(seq: Ragged[np.int64], target: Ints | None, n_items: int | None) -> HistoryColumns:
    filled = np.flatnonzero(seq.values != PAD)
    real = seq.values[filled]
    counts = np.diff(np.searchsorted(filled, seq.offsets))
    row = np.repeat(np.arange(len(seq)), counts)
    unknown = None if n_items is None else _any(row, (real < 0) | (real > n_items), len(seq))
    holds = None if target is None else _any(row, real == target[row], len(seq))
    keys, misplaced = sequence_keys(real, counts), zero_after_value(seq)
    return HistoryColumns(counts, keys, misplaced, unknown, holds)


def _any(row: Ints, hit: Flags, rows: int) -> Flags:
    """(rows,) bool: rows with at least one hit."""
    out = np.zeros(rows, np.bool_)
    out[row[hit]] = True
    return out


def _joined(parts: list[HistoryColumns]) -> HistoryColumns:
    arrays: dict[str, Any] = {
        name: None if first is None else np.concatenate([getattr(p, name) for p in parts])
        for name, first in vars(parts[0]).items()
    }
    return HistoryColumns(**arrays)


def _check_test_ids(test: RowFile, log: Log) -> None:
    if SUBMISSION_ID not in test.columns:
        return
    ids = test.columns[SUBMISSION_ID]
    expected = f"0..{len(ids) - 1:,} in order"
    wrong = np.flatnonzero(ids != np.arange(len(ids)))
    if len(wrong):
        what = f"test: ID is not {expected}; row {wrong[0]:,} has {ids[wrong[0]]}"
        todo = "download test.parquet again: a submission is scored by this order"
        log.fail("test-ids", what, todo)
    log.passed("test-ids", f"test: ID is {expected}")


def _check_history_ids(
    known: Mapping[Split, HistoryColumns], n_items: int, sequences: bool | None, log: Log
) -> None:
    unknown = {s: int(h.unknown.sum()) for s, h in known.items() if h.unknown is not None}
    holds = ("history holds", "histories hold")
    wrong = [f"{s}: {plural(n, *holds)}" for s, n in unknown.items() if n]
    wrong += ["item_seq.parquet: some sequences hold"] if sequences else []
    for what in wrong:
        log.fail("history-ids", f"{what} an item that is not among 1..{n_items:,}", _SAME_RELEASE)
    if unknown:
        names = [*unknown, *(["item_seq.parquet"] if sequences is False else [])]
        log.passed("history-ids", f"{', '.join(names)}: all items are among 1..{n_items:,}")


def _check_history(split: Split, file: RowFile, history: HistoryColumns, log: Log) -> None:
    if wrong := int(history.misplaced.sum()):
        number = plural(wrong, "history has", "histories have")
        todo = "pad on the left: zeros first, the most recent item last"
        log.fail("left-padding-history", f"{split}: {number} a 0 after an item", todo)
    log.passed("left-padding-history", f"{split}: on the left only")
    holds = history.holds_target
    if holds is not None:
        rate = float(holds.mean())
        by_label = rates_by_label(holds, file) if rate else ""
        what = f"{split}: {rate:.2%} of the targets are in their own row's history{by_label}"
        todo = "were histories cut before the target? if not, they predict labels"
        log.warn_if(rate > TARGET_IN_HISTORY, "target-in-history", what, todo)


def rates_by_label(hits: Flags, file: RowFile) -> str:
    """The share of ``hits`` (rows,) by label, as the end of a sentence; "" without labels."""
    if "label" not in file.columns:
        return ""
    parts = [(y, hits[file.columns["label"] == y]) for y in (0, 1)]
    return "".join(f", of label {y} {part.mean():.2%}" for y, part in parts if len(part))
