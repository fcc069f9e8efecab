"""Checks on train, valid and test, row by row: histories, targets, labels, IDs.

Histories are read in batches and kept as a few numbers a row, so that 3.6 million rows of 64
items never stand in memory together.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mmctr_kit.audit.check.item_files import padded_elsewhere
from mmctr_kit.audit.check.sequences import Lists, longest
from mmctr_kit.audit.check.source import Source, ints, ragged
from mmctr_kit.audit.findings import Finding, Level
from mmctr_kit.data.contract import PAD, SPLITS, SUBMISSION_ID, Split
from mmctr_kit.data.hashing import distinct, sequence_keys
from mmctr_kit.data.parquet import Ragged
from mmctr_kit.errors import plural

TARGET_IN_HISTORY = 0.001
"""Rate from which targets that stand in their own history are worth a warning."""


@dataclass(frozen=True)
class HistoryFacts:
    """(rows,) each: items that are not padding, a key equal for equal histories, whether a 0
    stands after an item, whether an id is unknown (None where item_info is not readable), whether
    the row's own target is in it (None where item_id is not usable)."""

    counts: NDArray[np.int64]
    keys: NDArray[np.uint64]
    misplaced: NDArray[np.bool_]
    unknown: NDArray[np.bool_] | None
    holds_target: NDArray[np.bool_] | None


@dataclass(frozen=True)
class RowFile:
    """What is held of one split: its usable scalar columns (rows,) by name, its histories, and
    those of a sample of users as they are (None where nothing asks for them)."""

    columns: Mapping[str, NDArray[np.int64]]
    history: HistoryFacts | None
    sample: Lists | None


RowFiles = Mapping[Split, RowFile]


def read_rows(
    sources: Mapping[str, Source],
    n_items: int | None,
    sampled: NDArray[np.int64] | None = None,
) -> dict[Split, RowFile]:
    """The three splits; ``n_items`` None where it is not known. ``sampled`` (ascending) are the
    users whose histories are held."""
    return {s: _read(sources[s], n_items, sampled) for s in SPLITS}


def row_findings(rows: RowFiles, n_items: int | None, sequences: bool | None) -> Iterator[Finding]:
    """Everything one row tells by itself.

    ``sequences``: whether item_seq.parquet holds unknown items; None where it cannot be read.
    """
    yield from _test_ids(rows["test"])
    yield from _histories(rows, n_items, sequences)
    yield from _targets(rows, n_items)
    yield from _labels(rows)


def _read(source: Source, n_items: int | None, sampled: NDArray[np.int64] | None) -> RowFile:
    scalars = [c.name for c in source.file.columns if c.kind == "int" and source.usable(c.name)]
    with_history = source.usable("item_seq")
    parts: dict[str, list[NDArray[np.int64]]] = {n: [] for n in scalars}
    histories: list[HistoryFacts] = []
    held: list[Lists] = []
    if scalars or with_history:
        for batch in source.batches(*scalars, *(["item_seq"] if with_history else [])):
            for name in scalars:
                parts[name].append(ints(batch[name]))
            if with_history:
                target = ints(batch["item_id"]) if "item_id" in scalars else None
                histories.append(_history(ragged(batch["item_seq"]), target, n_items))
                if sampled is not None and "user_id" in scalars:
                    lists = Lists(ints(batch["user_id"]), ragged(batch["item_seq"]))
                    held.append(longest([lists.of(sampled)]))
    columns = {n: np.concatenate(p) for n, p in parts.items()}
    return RowFile(
        columns, _joined(histories) if histories else None, longest(held) if held else None
    )


def _history(seq: Ragged, target: NDArray[np.int64] | None, n_items: int | None) -> HistoryFacts:
    values = np.asarray(seq.values, np.int64)
    filled = np.flatnonzero(values != PAD)
    real = values[filled]
    counts = np.diff(np.searchsorted(filled, seq.offsets))
    row = np.repeat(np.arange(len(seq)), counts)
    return HistoryFacts(
        counts,
        sequence_keys(real, counts),
        padded_elsewhere(seq),
        None if n_items is None else _any(row, (real < 0) | (real > n_items), len(seq)),
        None if target is None else _any(row, real == target[row], len(seq)),
    )


def _any(row: NDArray[np.int64], hit: NDArray[np.bool_], rows: int) -> NDArray[np.bool_]:
    """(rows,) bool: rows with at least one hit."""
    out = np.zeros(rows, np.bool_)
    out[row[hit]] = True
    return out


def _joined(parts: list[HistoryFacts]) -> HistoryFacts:
    def join(arrays: list[NDArray[np.bool_] | None]) -> NDArray[np.bool_] | None:
        known = [a for a in arrays if a is not None]
        return np.concatenate(known) if known else None

    return HistoryFacts(
        np.concatenate([p.counts for p in parts]),
        np.concatenate([p.keys for p in parts]),
        np.concatenate([p.misplaced for p in parts]),
        join([p.unknown for p in parts]),
        join([p.holds_target for p in parts]),
    )


def _test_ids(test: RowFile) -> Iterator[Finding]:
    if SUBMISSION_ID not in test.columns:
        return
    ids = test.columns[SUBMISSION_ID]
    wrong = np.flatnonzero(ids != np.arange(len(ids)))
    if len(wrong):
        yield Finding(
            "test-ids",
            Level.FAIL,
            f"test: ID is not 0..{len(ids) - 1:,} in order; row {wrong[0]:,} has {ids[wrong[0]]}",
            "download test.parquet again: a submission is scored by this order",
        )
    else:
        yield Finding("test-ids", Level.PASS, f"test: ID is 0..{len(ids) - 1:,} in order", "")


def _histories(rows: RowFiles, n_items: int | None, sequences: bool | None) -> Iterator[Finding]:
    known = {s: f.history for s, f in rows.items() if f.history is not None}
    for split, history in known.items():
        yield _padding(split, history)
    if n_items is not None:
        yield from _history_ids(known, n_items, sequences)
    yield from (
        _target_in_history(split, history.holds_target, rows[split])
        for split, history in known.items()
        if history.holds_target is not None
    )


def _padding(split: Split, history: HistoryFacts) -> Finding:
    check = "left-padding-history"
    if wrong := int(history.misplaced.sum()):
        return Finding(
            check,
            Level.FAIL,
            f"{split}: {plural(wrong, 'history has', 'histories have')} a 0 after an item",
            "pad on the left: zeros first, the most recent item last",
        )
    return Finding(check, Level.PASS, f"{split}: on the left only", "")


def _history_ids(
    known: Mapping[Split, HistoryFacts], n_items: int, sequences: bool | None
) -> Iterator[Finding]:
    unknown = {s: int(h.unknown.sum()) for s, h in known.items() if h.unknown is not None}
    wrong = [
        f"{s}: {plural(n, 'history holds', 'histories hold')}" for s, n in unknown.items() if n
    ]
    wrong += ["item_seq.parquet: some sequences hold"] if sequences else []
    for what in wrong:
        yield Finding(
            "history-ids",
            Level.FAIL,
            f"{what} an item that is not among 1..{n_items:,}",
            "take all files from the same release of the data",
        )
    if unknown and not wrong:
        names = [*unknown, *(["item_seq.parquet"] if sequences is False else [])]
        yield Finding(
            "history-ids", Level.PASS, f"{', '.join(names)}: all items are among 1..{n_items:,}", ""
        )


def _target_in_history(split: Split, holds: NDArray[np.bool_], file: RowFile) -> Finding:
    rate = float(holds.mean())
    said = f"{split}: {rate:.2%} of the targets stand in their own row's history"
    if rate and "label" in file.columns:
        label = file.columns["label"]
        parts = [(y, holds[label == y]) for y in (0, 1)]
        said += "".join(f", of label {y} {part.mean():.2%}" for y, part in parts if len(part))
    if rate <= TARGET_IN_HISTORY:
        return Finding("target-in-history", Level.PASS, said, "")
    return Finding(
        "target-in-history",
        Level.WARN,
        said,
        "look whether histories were cut before the target; if not, they tell labels",
    )


def _targets(rows: RowFiles, n_items: int | None) -> Iterator[Finding]:
    if n_items is None:
        return
    for split, file in rows.items():
        if "item_id" not in file.columns:
            continue
        ids = file.columns["item_id"]
        if wrong := int(((ids < 1) | (ids > n_items)).sum()):
            yield Finding(
                "target-ids",
                Level.FAIL,
                f"{split}: {plural(wrong, 'row')} of an item_id outside 1..{n_items:,}",
                "take all files from the same release of the data",
            )
        else:
            yield Finding("target-ids", Level.PASS, f"{split}: item_id in 1..{n_items:,}", "")


def _labels(rows: RowFiles) -> Iterator[Finding]:
    for split, file in rows.items():
        if split == "test" or "label" not in file.columns:
            continue
        label = file.columns["label"]
        found = distinct(label)
        if found.tolist() == [0, 1]:
            yield Finding("labels", Level.PASS, f"{split}: labels are 0 and 1", "")
            continue
        few = ", ".join(str(v) for v in found[:5])
        yield Finding(
            "labels",
            Level.FAIL,
            f"{split}: labels are {few}{', ...' if len(found) > 5 else ''}; expected 0 and 1, "
            "both of them",
            f"download {split}.parquet again",
        )
