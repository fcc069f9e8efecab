"""Loads a data folder into :class:`ChallengeData`: in canonical order, deduplicated and cached.

Histories and embeddings are assigned by id, never by position in a file. A value that would index
out of range later (an unknown item, a level of 12) is refused here in one line; ``mmctr-kit data
check`` says more about such a folder.
"""

from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmctr_kit.activity import doing
from mmctr_kit.data.cache import Arrays, cached
from mmctr_kit.data.contract import (
    FILES,
    GIVEN_EMBEDDINGS,
    N_LEVELS,
    PAD,
    SPLITS,
    TIME,
    File,
    GivenEmbedding,
    Split,
)
from mmctr_kit.data.dataset import ChallengeData, Rows
from mmctr_kit.data.hashing import digest
from mmctr_kit.data.packing import deduplicate, history_hashes, strip_padding
from mmctr_kit.data.parquet import (
    column_names,
    ints,
    ragged,
    read_columns,
    read_table,
    read_vectors,
    require_all_items,
    require_folder,
)
from mmctr_kit.data.ragged import Ragged
from mmctr_kit.errors import DataError, UsageError
from mmctr_kit.metrics.ranks import Floats, Floats32, Ints, earlier_equals, group_starts

_FORMAT, _ROWS_FORMAT = 1, 3
MAX_TAG = 10_000_000
"""The largest tag id: models hold a vector for every id up to the largest, used or not."""
MOST_TAGS = 1_000
MAX_SQUARED = 1e18
"""The largest value of a vector: sums of squares of larger ones are beyond float32."""


def load(folder: Path) -> ChallengeData:
    """The data folder, from the cache if the same content was loaded before.

    Raises UsageError if there is no such folder, DataError if its content breaks the contract.
    """
    require_folder(folder)
    names = (*SPLITS, "item_info")
    files = {n: folder / FILES[n].path for n in names}
    arrays, meta = cached("data", files, {"format": _ROWS_FORMAT}, lambda: _build(folder))
    return ChallengeData(
        folder=folder,
        rows={s: _rows_from(arrays, s) for s in SPLITS},
        histories=Ragged(arrays["history_items"], arrays["history_offsets"]),
        item_tags=arrays["item_tags"],
        item_emb=arrays["item_emb"],
        rows_fingerprint=meta["rows"],
        context_fingerprint=meta["context"],
    )


_PRIOR = 10.0
"""An item's label mean is smoothed with this many rows of the overall mean."""
_MAX_ITEM, _MANY_ROWS = 2**24, 2**19


def targets_of_test(folder: Path) -> tuple[Ints, Floats, Floats]:
    """Each test row's target item, how often it is a target in train, and its mean label there.

    (test rows,) each, in ID order; the label mean is smoothed towards the overall mean. Reads
    these columns only.
    """
    require_folder(folder)
    test = read_table(folder, FILES["test"], ("ID", "item_id"))
    item = np.asarray(test["item_id"])[np.argsort(np.asarray(test["ID"]))]
    # Items beyond those of the test rows, or beyond any sensible id, count as never seen.
    end = min(int(item.max(initial=0)) + 1, _MAX_ITEM)
    seen, liked = np.zeros(end + 1, np.int64), np.zeros(end + 1, np.int64)
    rows = positives = 0
    for batch in read_columns(folder, FILES["train"], ("item_id", "label"), _MANY_ROWS):
        target, positive = np.asarray(batch["item_id"]), np.asarray(batch["label"]) > 0
        rows, positives = rows + len(target), positives + int(positive.sum())
        inside = (target >= 0) & (target < end)
        seen += np.bincount(target[inside], minlength=end + 1)
        liked += np.bincount(target[inside & positive], minlength=end + 1)
    rate = (liked + _PRIOR * positives / max(rows, 1)) / (seen + _PRIOR)
    index = np.where((item >= 0) & (item < end), item, end)
    return item, seen[index].astype(np.float64), rate[index]


def load_given(data: ChallengeData, name: GivenEmbedding) -> Floats32:
    """(n_items + 1, d) float32: one of the embeddings in item_emb.parquet, padding row zero."""
    path = data.folder / FILES["item_emb"].path
    column = f"item_emb_d128_{name}"
    if not path.is_file():
        raise DataError(f"no file {path}, which holds embedding '{name}'; download it")
    has = [v for v in GIVEN_EMBEDDINGS if f"item_emb_d128_{v}" in column_names(path)]
    if has and name not in has:
        needs = f"items.embedding is {name}, which needs column {column} of {path.name}; it has "
        raise DataError(f"{needs}{', '.join(has)}: --set items.embedding={has[0]}")
    return load_vectors(data, "item_emb", column, "embedding")


def load_vectors(data: ChallengeData, key: str, column: str, kind: str) -> Floats32:
    """(n_items + 1, d) float32: a vector column of the contract's ``key``, cached as ``kind``."""
    file = FILES[key]

    def build() -> tuple[Arrays, dict[str, Any]]:
        doing(f"reading {file.path}")
        columns = read_table(data.folder, file, ("item_id", column))
        ids, vectors = ints(columns["item_id"]), ragged(columns[column])
        return {"table": by_item_id(ids, vectors, data.n_items, f"{file.path}: {column}")}, {}

    settings = {"column": column, "items": data.n_items, "format": _FORMAT}
    return cached(kind, {"file": data.folder / file.path}, settings, build)[0]["table"]


def load_feature_levels(data: ChallengeData) -> tuple[Ints, Ints] | None:
    """(n_items + 1,) likes and views levels of item_feature; None if it does not hold them."""
    file = FILES["item_feature"]
    path = data.folder / file.path
    names = ("item_id", "likes_level", "views_level")
    if not path.is_file() or not set(names) <= set(column_names(path)):
        return None

    def build() -> tuple[Arrays, dict[str, Any]]:
        columns = {n: ints(v) for n, v in read_table(data.folder, file, names).items()}
        levels = {}
        for name in names[1:]:
            values = columns[name]
            _require_range(name, values, file.path, data.n_items)
            one = Ragged(values.astype(np.float32), np.arange(len(values) + 1))
            table = by_item_id(columns["item_id"], one, data.n_items, f"{file.path}: {name}")
            levels[name] = table[:, 0].astype(np.int64)
        return levels, {}

    settings = {"items": data.n_items, "format": _FORMAT}
    arrays = cached("levels", {"file": path}, settings, build)[0]
    return arrays["likes_level"], arrays["views_level"]


def load_own(data: ChallengeData, path: Path) -> Floats32:
    """(n_items + 1, d) float32 from a parquet file that the user made.

    Its columns are item_id and vector, or item_info's (as ``items export`` writes them).
    """
    if not path.is_file():
        raise UsageError(f"no item-embedding file at '{path}' (recipe key items.file)")
    vector = "item_emb_d128" if "item_emb_d128" in column_names(path) else "vector"
    ids, vectors = read_vectors(path, "item_id", vector)
    return by_item_id(ids, vectors, data.n_items, str(path))


def load_encoded(data: ChallengeData, path: Path, column: str) -> Floats32:
    """(n_items + 1, d) float32: a vector column of a file like those of ``items encode``, cached.

    The row of an item whose vector is null, or that the file lacks, is zero.
    """
    require_all_items(path, data.n_items)

    def build() -> tuple[Arrays, dict[str, Any]]:
        ids, vectors = read_vectors(path, "item_id", column, skip_nulls=True)
        table = by_item_id(ids, vectors, data.n_items, f"{path}: {column}", complete=False)
        return {"table": table}, {}

    settings = {"column": column, "items": data.n_items, "format": _FORMAT}
    return cached("encoded", {"file": path}, settings, build)[0]["table"]


def by_item_id(
    ids: Ints, vectors: Ragged[np.float32], n_items: int, where: str, complete: bool = True
) -> Floats32:
    """Vectors as a table by item id, row 0 zero.

    Each item 1..n_items must occur once or, unless the file must be ``complete``, at most once.
    """
    try:
        values = vectors.dense()
    except ValueError as e:
        raise DataError(f"{where} has {e}; expected one length") from e
    real = ids != PAD
    ids, values = ids[real], values[real]
    wrong = (ids < 0) | (ids > n_items)
    if wrong.any():
        raise DataError(f"{where}: item {ids[wrong][0]} is not among items 1..{n_items}")
    counts = np.bincount(ids, minlength=n_items + 1)[1:]
    wrong = counts != 1 if complete else counts > 1
    if wrong.any():
        item = int(np.flatnonzero(wrong)[0])
        raise DataError(f"{where}: item {item + 1} occurs {counts[item]} times; expected once")
    if not np.isfinite(values).all():
        raise DataError(f"{where} holds non-finite values; run 'mmctr-kit data check'")
    largest = np.maximum(values.max(axis=1, initial=0), -values.min(axis=1, initial=0))
    if (worst := float(largest.max(initial=0))) > MAX_SQUARED:
        raise DataError(
            f"{where} holds {worst:.3g} for item {ids[largest.argmax()]}; expected values up to "
            f"{MAX_SQUARED:g}, whose squares float32 holds: encode the item again"
        )
    table = np.zeros((n_items + 1, values.shape[1]), np.float32)
    table[ids] = values
    return table


def _build(folder: Path) -> tuple[Arrays, dict[str, Any]]:
    items = _read_items(folder)
    n_items = len(items["item_tags"]) - 1
    optional = (TIME,) if _has_times(folder) else ()
    read = {s: _read_rows(folder, s, n_items, optional) for s in SPLITS}
    splits = {s: columns for s, (columns, _) in read.items()}
    rows_histories = Ragged.concatenate([histories for _, histories in read.values()])
    del read
    doing("storing each history once")
    histories, index = deduplicate(rows_histories)
    arrays = items | {"history_items": histories.values, "history_offsets": histories.offsets}
    begin = 0
    for split, columns in splits.items():
        end = begin + len(columns["user_id"])
        columns["history"] = index[begin:end]
        arrays |= {f"{split}_{name}": array for name, array in columns.items()}
        begin = end
    names = ("user_id", "item_id", "occurrence", "label")
    rows = [f"{s}_{n}" for s in SPLITS for n in names if (s, n) != ("test", "label")]
    context = sorted(set(arrays) - set(rows))
    fingerprints = {"rows": rows, "context": context}
    return arrays, {of: digest(**{n: arrays[n] for n in ns}) for of, ns in fingerprints.items()}


def _read_items(folder: Path) -> Arrays:
    file = FILES["item_info"]
    doing(f"reading {file.path}")
    columns = read_table(folder, file, ("item_id", "item_tags", "item_emb_d128"))
    ids, tags = ints(columns["item_id"]), ragged(columns["item_tags"])
    n_items = len(ids) - 1
    if n_items < 1 or not np.array_equal(np.sort(ids), np.arange(n_items + 1)):
        raise DataError(f"{file.path}: item_id is not 0..{n_items}; run 'mmctr-kit data check'")
    outside = tags.values[(tags.values < 0) | (tags.values > MAX_TAG)]
    if len(outside):
        raise DataError(
            f"{file.path}: item_tags holds {int(outside[0])}, expected tag ids 0..{MAX_TAG:,}; "
            "renumber the tags 1, 2, 3, ..."
        )
    width = int(tags.lengths.max(initial=1))
    if width > MOST_TAGS:
        raise DataError(
            f"{file.path}: item {ids[tags.lengths.argmax()]} has {width:,} tags, expected at most "
            f"{MOST_TAGS:,}, since every item gets room for as many; keep its most telling ones"
        )
    table = np.zeros((n_items + 1, width), np.int32)
    table[ids] = tags.padded(width)
    table[PAD] = PAD
    vectors = ragged(columns["item_emb_d128"])
    embedding = by_item_id(ids, vectors, n_items, f"{file.path}: item_emb_d128")
    return {"item_tags": table, "item_emb": embedding}


def _has_times(folder: Path) -> bool:
    """Whether the splits have a column ``time``; DataError if some have it and others lack it."""
    timed = [s for s in SPLITS if TIME in column_names(folder / FILES[s].path)]
    lacking = [s for s in SPLITS if s not in timed]
    if timed and lacking:
        raise DataError(
            f"{FILES[lacking[0]].path} lacks the column {TIME} that {FILES[timed[0]].path} has; "
            "write it into train, valid and test, or into none of them"
        )
    return bool(timed)


def _read_rows(
    folder: Path, split: Split, n_items: int, optional: tuple[str, ...]
) -> tuple[Arrays, Ragged[np.int32]]:
    """The split's columns and each row's history, in canonical order."""
    file = FILES[split]
    doing(f"reading {file.path}")
    parts: dict[str, list[NDArray[Any]]] = {}
    histories: list[Ragged[np.int32]] = []
    for batch in read_columns(folder, file, (*file.column_names, *optional)):
        for name, values in batch.items():
            if isinstance(values, Ragged):
                histories.append(strip_padding(values, file.path, n_items))
            else:
                column = ints(values)
                _require_range(name, column, file.path, n_items)
                parts.setdefault(name, []).append(column.astype(_DTYPES.get(name, np.int64)))
    if not parts:
        raise DataError(f"{file.path} holds no rows")
    columns = {name: np.concatenate(arrays) for name, arrays in parts.items()}
    return _canonical(columns, Ragged.concatenate(histories), file)


_DTYPES: dict[str, Any] = {
    "item_id": np.int32,
    "likes_level": np.int8,
    "views_level": np.int8,
    "label": np.int8,
}


def _require_range(name: str, values: Ints, path: str, n_items: int) -> None:
    low, high = {
        "item_id": (1, n_items),
        "likes_level": (0, N_LEVELS - 1),
        "views_level": (0, N_LEVELS - 1),
        "label": (0, 1),
        "user_id": (np.iinfo(np.int64).min, np.iinfo(np.int64).max),
        "ID": (0, np.iinfo(np.int64).max),
        TIME: (np.iinfo(np.int64).min, np.iinfo(np.int64).max),
    }[name]
    wrong = (values < low) | (values > high)
    if wrong.any():
        raise DataError(
            f"{path}: {name} {values[wrong][0]} is outside {low}..{high}; "
            "run 'mmctr-kit data check'"
        )


def _canonical(
    columns: Arrays, histories: Ragged[np.int32], file: File
) -> tuple[Arrays, Ragged[np.int32]]:
    """The rows in an order that depends on their content only."""
    n = len(columns["user_id"])
    if "ID" in columns:
        ids = columns.pop("ID")
        if not np.array_equal(np.sort(ids), np.arange(n)):
            raise DataError(f"{file.path}: ID is not 0..{n - 1}; run 'mmctr-kit data check'")
        order = np.argsort(ids)
    else:
        names = (TIME, "views_level", "likes_level", "label", "item_id", "user_id")
        keys = [columns[n] for n in names if n in columns]
        order = np.lexsort(keys)
        if not group_starts(*(key[order] for key in keys)).all():  # the histories decide ties
            order = np.lexsort((history_hashes(histories), *keys))
    columns = {name: array[order] for name, array in columns.items()}
    columns["occurrence"] = earlier_equals(columns["item_id"], columns["user_id"]).astype(np.int32)
    return columns, histories.take(order)


def _rows_from(arrays: Arrays, split: Split) -> Rows:
    columns: dict[str, Any] = {f.name: arrays.get(f"{split}_{f.name}") for f in fields(Rows)}
    return Rows(**columns)
