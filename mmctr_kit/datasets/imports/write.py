"""Imports a log: reads what a SPEC names, and writes a data folder with a report of each step."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from mmctr_kit.data.contract import FILES, IMAGES_FOLDER, MAX_HISTORY, SPLITS, SUBMISSION_ID, Split
from mmctr_kit.data.ragged import Ragged, expand_ranges
from mmctr_kit.datasets.imports.catalog import read_catalog
from mmctr_kit.datasets.imports.log import NEGATIVE, POSITIVE, Listen, Log, read_log
from mmctr_kit.datasets.imports.pictures import copy_pictures
from mmctr_kit.datasets.imports.rows import Candidates, candidates, item_levels
from mmctr_kit.datasets.imports.spec import Spec
from mmctr_kit.datasets.imports.splits import OUTSIDE, assign
from mmctr_kit.datasets.layout import Columns, write_file, write_items
from mmctr_kit.errors import plural
from mmctr_kit.files import new_folder, write_json, write_whole
from mmctr_kit.metrics.ranks import Ids, Ints

TEST_LABELS = "truth/test_labels.parquet"
"""ID and label of every test row; not in the challenge's layout, and never read in training."""
REPORT, SPEC_COPY = "import/report.json", "import/spec.yaml"
USERS, ITEMS = "import/users.parquet", "import/items.parquet"
"""What an import says of itself: counts, the whole SPEC, and the original ids."""
ORDER_DRAWN = (
    "the order of each user's rows is drawn, since no column holds the time; give it with "
    "--set interactions.time=COLUMN"
)
"""The note of an import without a column of the time."""
_CHUNK = 131_072
_WORKERS = 2


@dataclass(frozen=True)
class ImportedData:
    """An imported data set: its folder ``data``, and what became of the log.

    ``users`` and ``mean_history`` are over users of any split that have rows; ``label_mean`` is
    over all rows, test rows included. ``read`` counts the rows of the log; ``dropped`` those that
    are no row of the data set, by reason; ``drawn`` the negatives that the log does not hold.
    ``how`` is the SPEC in words.
    """

    data: Path
    users: int
    items: int
    rows: Mapping[Split, int]
    mean_history: float
    label_mean: float
    read: int
    positives: int
    negatives: int
    drawn: int
    dropped: Mapping[str, int]
    time_unit: str
    how: str
    notes: tuple[str, ...]


def import_data(
    spec: Spec,
    source: Path,
    out: Path,
    listen: Listen = lambda *_: None,
    notes: Sequence[str] = (),
    guessed_rules: Collection[str] = (),
) -> ImportedData:
    """Write the data folder ``out`` from the files of ``spec``, which are in ``source``.

    ``notes`` on the SPEC go into the report too; ``guessed_rules`` as in ``read_log``.
    Either all of ``out`` is written or nothing. Raises UsageError if a file is missing, or ``out``
    is not empty; DataError, with file and row, for what cannot be read or makes no data set.
    """
    with new_folder(out) as folder:
        log = read_log(spec, source, listen, guessed_rules)
        listen("making rows", 0.0)
        rows = candidates(log, spec.rows, spec.seed)
        split, until = assign(rows, log, spec.split, spec.seed)
        events = rows.event[(rows.event >= 0) & (split != OUTSIDE)]
        levels = item_levels(log, events, until)
        counts = np.bincount(log.item, minlength=log.n_items + 1)[1:]
        catalog = read_catalog(
            spec, source, log.item_names, counts, partial(listen, "reading the items")
        )
        _write_rows(folder, rows, log, split, levels, spec.seed, listen)
        listen("writing items", 0.0)
        given, info = catalog.given(_WORKERS)
        feature = catalog.feature() | {name: level[1:] for name, level in levels.items()}
        write_items(folder, feature, given, info, _CHUNK)
        pictures = copy_pictures(
            spec, source, folder, log.item_names, partial(listen, "copying pictures")
        )
        notes = (*notes, *catalog.notes, *_of_pictures(pictures))
        summary = _summary(out, spec, log, rows, split, notes)
        _write_report(folder, spec, log, summary)
    return summary


def _write_rows(
    folder: Path,
    rows: Candidates,
    log: Log,
    split: Ids,
    levels: Mapping[str, Ints],
    seed: int,
    listen: Listen,
) -> None:
    """The files of the splits, each in an order that means nothing."""
    done = 0
    for index, name in enumerate(SPLITS):
        own = np.flatnonzero(split == index)
        own = own[np.lexsort((rows.item[own], rows.user[own]))]
        part = rows.take(np.random.default_rng((seed, index)).permutation(own))
        path = folder / FILES[name].path
        path.parent.mkdir(exist_ok=True)

        def batches(part: Candidates = part, before: int = done) -> Iterator[Columns]:
            for start in range(0, len(part), _CHUNK):
                yield _batch(part, log, levels, start)
                listen("writing rows", (before + start) / len(rows))

        write_file(path, name, batches())
        done += len(part)
        if name == "test":
            truth = folder / TEST_LABELS
            truth.parent.mkdir()
            table = pa.table({SUBMISSION_ID: np.arange(len(part)), "label": part.label})
            pq.write_table(table, truth)


def _batch(rows: Candidates, log: Log, levels: Mapping[str, Ints], start: int) -> Columns:
    part = rows.take(np.arange(start, min(start + _CHUNK, len(rows))))
    columns: dict[str, Any] = {
        SUBMISSION_ID: np.arange(start, start + len(part)),
        "user_id": log.user_ids[part.user],
        "item_seq": histories(part).padded(MAX_HISTORY).astype(np.int64),
        "item_id": part.item,
        **{name: level[part.item] for name, level in levels.items()},
        "label": part.label,
    }
    if log.timed:
        columns["time"] = log.time[part.source]
    return columns


def histories(rows: Candidates) -> Ragged[np.int32]:
    """The history of each row, without the row's own item, the oldest item first."""
    begin, end = rows.begin.astype(np.int64), rows.end.astype(np.int64)
    positions, owner = expand_ranges(begin, end - begin)
    items = rows.taken[positions]
    other = items != rows.item[owner]
    return Ragged.of(items[other], np.bincount(owner[other], minlength=len(rows)))


def _summary(
    data: Path, spec: Spec, log: Log, rows: Candidates, split: Ids, notes: tuple[str, ...]
) -> ImportedData:
    kept = rows.take(split != OUTSIDE)
    first = np.unique(kept.user, return_index=True)[1]
    dropped = dict(rows.dropped)
    if log.repeated:
        dropped[f"repeats: the user's {spec.interactions.repeats} one with the item counts"] = (
            log.repeated
        )
    if outside := len(rows) - len(kept):
        dropped["outside the period of their user's split"] = outside
    if not log.timed:
        notes = (ORDER_DRAWN, *notes)
    if spec.rows.history == "growing" and len(kept) > len(first):
        notes = (
            *notes,
            "histories grow: a later row's history holds its user's earlier positives, so never "
            "learn from the histories of rows that you predict",
        )
    return ImportedData(
        data=data,
        users=len(first),
        items=log.n_items,
        rows={name: int((split == index).sum()) for index, name in enumerate(SPLITS)},
        mean_history=float(histories(kept.take(first)).lengths.mean()),
        label_mean=float(kept.label.mean()),
        read=log.read,
        positives=int((log.label == POSITIVE).sum()),
        negatives=int((log.label == NEGATIVE).sum()),
        drawn=int((kept.event < 0).sum()),
        dropped=dropped,
        time_unit=log.unit if log.timed else "none",
        how=spec.in_words(),
        notes=notes,
    )


def _of_pictures(numbers: Mapping[str, int]) -> Iterator[str]:
    if numbers:
        yield f"{plural(numbers['items_with_picture'], 'picture')} in {IMAGES_FOLDER}"
    if missing := numbers.get("items_without_picture", 0):
        yield f"{plural(missing, 'item has', 'items have')} no picture"


def _write_report(folder: Path, spec: Spec, log: Log, summary: ImportedData) -> None:
    (folder / REPORT).parent.mkdir()
    report = asdict(summary)
    del report["data"]  # wherever it lies, it is the same data
    write_json(folder / REPORT, report)
    write_whole(folder / SPEC_COPY, lambda path: path.write_text(spec.to_yaml(), "utf-8"))
    numbers = np.arange(1, log.n_items + 1)
    _write_originals(folder / USERS, "user_id", log.user_ids, log.user_names)
    _write_originals(folder / ITEMS, "item_id", numbers, log.item_names)


def _write_originals(path: Path, column: str, ids: Ints, originals: pa.LargeStringArray) -> None:
    table = pa.table({column: ids, "original": originals})
    write_whole(path, lambda to: pq.write_table(table, to))
